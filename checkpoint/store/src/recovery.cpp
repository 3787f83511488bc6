#include "recovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <utility>

#include "agreement.hpp"
#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "shard_copy.hpp"

namespace mpitrain::checkpoint {
namespace {

using Key = std::pair<std::uint64_t, std::string>;  // step, and the seal of the manifest

bool is_newer(const LocalCommit& commit, const std::optional<SharedCommit>& newest) {
    const std::string token = newest ? newest->token : "";
    const auto& known = commit.lineage;
    return std::find(known.begin(), known.end(), token) != known.end() &&
           (!newest || commit.step > newest->step);
}

Result<std::string> describe_newest(FileSystem& files, const std::string& directory) {
    MPITRAIN_TRY(const auto newest, find_last_good(files, directory));
    if (!newest) {
        return std::string();
    }
    MPITRAIN_TRY(const std::string text, read_manifest_text(files, newest->path));
    MPITRAIN_TRY(const Manifest manifest, decode_manifest(text));
    return fmt::format("{} {} {}", newest->step, seal_of(text), token_of(manifest));
}

}  // namespace

Result<std::optional<SharedCommit>> newest_shared(SaveSteps& shared) {
    const StoreOptions& options = shared.options();
    const auto mine = shared.is_first() ? describe_newest(shared.disk(), options.directory)
                                        : Result<std::string>(std::string());
    MPITRAIN_TRY(const Agreement told,
                 agree(shared.peers(), mine, options.deadline, "looking for the last commit"));
    if (told.failed()) {
        return told.failure();
    }
    const std::string& word = told.words.front();
    if (word.empty()) {
        return std::optional<SharedCommit>();
    }
    const std::size_t first = word.find(' ');
    const std::size_t second = word.find(' ', first + 1);
    return std::optional(SharedCommit{std::stoull(word.substr(0, first)),
                                      word.substr(second + 1),
                                      word.substr(first + 1, second - first - 1)});
}

std::vector<Recoverable> choose_recoverable(const NodeMap& nodes,
                                            const std::vector<std::vector<LocalCommit>>& by_rank,
                                            const std::optional<SharedCommit>& newest) {
    std::map<Key, Recoverable, std::greater<>> found;
    for (std::size_t node = 0; node < nodes.node_count(); ++node) {
        const std::vector<int>& ranks = nodes.ranks_of(node);
        for (const LocalCommit& commit : by_rank[static_cast<std::size_t>(ranks.front())]) {
            if (!is_newer(commit, newest)) {
                continue;
            }
            Recoverable& one = found[{commit.step, commit.seal}];
            one.step = commit.step;
            one.token = commit.token;
            one.seal = commit.seal;
            one.shard_count = commit.shard_count;
            one.holders.resize(commit.shard_count);
            one.name_by_node.resize(nodes.node_count());
            if (!one.name_by_node[node].empty()) {
                continue;  // once under its own name and once under another: one is enough
            }
            one.name_by_node[node] = commit.name;
            one.contents_holders.push_back(ranks.front());
            for (const std::size_t shard : commit.shards) {
                one.holders[shard].push_back(ranks[shard % ranks.size()]);
            }
        }
    }
    std::vector<Recoverable> whole;
    for (auto& [key, one] : found) {
        if (std::none_of(one.holders.begin(), one.holders.end(), [](const auto& holders) {
                return holders.empty();
            })) {
            whole.push_back(std::move(one));
        }
    }
    return whole;
}

namespace {

// One recovery, of one commit after the other until one comes through.
class Recovery {
  public:
    Recovery(SaveSteps& shared,
             const NodeMap& nodes,
             const std::string& root,
             const Staging& staging,
             std::chrono::milliseconds deadline)
        : shared_(shared),
          peers_(shared.peers()),
          nodes_(nodes),
          root_(root),
          staging_(staging),
          deadline_(deadline) {}

    Result<std::vector<Recoverable>> candidates() {
        const auto mine = [&]() -> Result<std::string> {
            if (!nodes_.is_first_of_node(peers_.rank())) {
                return encode(std::vector<LocalCommit>());
            }
            MPITRAIN_TRY(const auto commits, list_local_commits(shared_.disk(), root_));
            return encode(commits);
        }();
        MPITRAIN_TRY(const auto texts, tell(mine, "looking at the nodes' directories"));
        std::vector<std::vector<LocalCommit>> by_rank;
        for (const std::string& text : texts) {
            MPITRAIN_TRY(auto commits, decode_local_commits(text));
            by_rank.push_back(std::move(commits));
        }
        MPITRAIN_TRY(const auto newest, newest_shared(shared_));
        return choose_recoverable(nodes_, by_rank, newest);
    }

    // Errors: of the ranks. False: it did not come through, and `why` tells.
    Result<bool> drain(const Recoverable& commit, std::string& why) {
        const auto opened = [&]() -> Result<std::string> {
            if (!shared_.is_first()) {
                return std::string();
            }
            std::string token = shared_.fresh_token();
            MPITRAIN_TRY_VOID(shared_.open_commit(commit.step, token));
            return token;
        }();
        MPITRAIN_TRY(const auto tokens, tell(opened, "draining what the nodes hold"));
        token_ = tokens.front();
        for (const int holder : commit.contents_holders) {
            MPITRAIN_TRY(const bool got, share_contents(commit, holder));
            if (got) {
                break;
            }
        }
        if (contents_.manifest.empty()) {
            why = "no node can read its manifest";
            return false;
        }
        MPITRAIN_TRY(const bool copied, copy_all(commit, why));
        if (!copied) {
            return false;
        }
        const auto published =
            shared_.is_first()
                ? shared_.publish(commit.step, token_, contents_.manifest, contents_.view)
                : Result<void>();
        MPITRAIN_TRY_VOID(tell(word_of(published), "committing what the nodes held"));
        return true;
    }

    // After a commit that did not come through.
    void abandon(const Recoverable& commit) {
        if (shared_.is_first() && !token_.empty()) {
            shared_.abandon(commit.step, token_);
        }
        token_.clear();
        contents_ = {};
    }

  private:
    static Result<std::string> word_of(const Result<void>& done) {
        return done ? Result<std::string>(std::string()) : Result<std::string>(done.error());
    }

    Result<std::vector<std::string>> tell(const Result<std::string>& mine, std::string_view phase) {
        MPITRAIN_TRY(Agreement agreement, agree(peers_, mine, deadline_, phase));
        if (agreement.failed()) {
            return agreement.failure();
        }
        return std::move(agreement.words);
    }

    [[nodiscard]] std::string place_of(const Recoverable& commit) const {
        return join_path(root_, commit.name_by_node[nodes_.node_of(peers_.rank())]);
    }

    // Manifest and view, from one rank to all; false when that one cannot read them.
    Result<bool> share_contents(const Recoverable& commit, int holder) {
        std::string word;
        if (peers_.rank() == holder) {
            const auto contents = read_contents(shared_.disk(), place_of(commit));
            word = contents && seal_of(contents->manifest) == commit.seal ? pack(*contents) : "";
        }
        MPITRAIN_TRY(const auto words, tell(word, "reading a node's manifest"));
        const std::string& packed = words[static_cast<std::size_t>(holder)];
        if (packed.empty()) {
            return false;
        }
        MPITRAIN_TRY(contents_, unpack(packed));
        MPITRAIN_TRY(manifest_, decode_manifest(contents_.manifest));
        return true;
    }

    // Each shard from the first node that has it right. False: one is right nowhere.
    Result<bool> copy_all(const Recoverable& commit, std::string& why) {
        std::set<std::size_t> missing;
        for (std::size_t shard = 0; shard < commit.shard_count; ++shard) {
            missing.insert(shard);
        }
        for (std::size_t turn = 0; !missing.empty(); ++turn) {
            std::string failed;  // "3,7,": what this rank could not copy
            for (const std::size_t shard : missing) {
                const auto& holders = commit.holders[shard];
                if (turn >= holders.size()) {
                    why = fmt::format("{}: no node has it right", manifest_.shards[shard].file);
                    return false;  // all ranks come to this alike
                }
                if (holders[turn] == peers_.rank() && !copy(commit, shard)) {
                    failed += fmt::format("{},", shard);
                }
            }
            MPITRAIN_TRY(const auto words, tell(failed, "draining what the nodes hold"));
            missing.clear();
            for (const std::string& word : words) {
                for (std::size_t at = 0; at < word.size(); at = word.find(',', at) + 1) {
                    missing.insert(std::stoul(word.substr(at)));
                }
            }
        }
        return true;
    }

    bool copy(const Recoverable& commit, std::size_t shard) {
        const std::atomic<bool> hurry = true;
        return shared_.make_place_of(commit.step, token_) &&
               copy_shard(shared_.disk(),
                          place_of(commit),
                          shared_.place_of(commit.step, token_),
                          manifest_.shards[shard],
                          manifest_.block_bytes,
                          staging_,
                          {0, hurry});
    }

    SaveSteps& shared_;
    Peers& peers_;
    const NodeMap& nodes_;
    const std::string& root_;
    const Staging& staging_;
    std::chrono::milliseconds deadline_;
    std::string token_;
    Contents contents_;
    Manifest manifest_;
};

}  // namespace

Result<Recovered> recover(SaveSteps& shared,
                          const NodeMap& nodes,
                          const std::string& root,
                          const Staging& staging,
                          std::chrono::milliseconds deadline) {
    Recovery recovery(shared, nodes, root, staging, deadline);
    MPITRAIN_TRY(const auto candidates, recovery.candidates());
    Recovered recovered;
    for (const Recoverable& commit : candidates) {
        std::string why;
        MPITRAIN_TRY(const bool drained, recovery.drain(commit, why));
        if (drained) {
            recovered.warnings.push_back(
                fmt::format("step {} was on the nodes only, and has been drained", commit.step));
            break;
        }
        recovered.warnings.push_back(
            fmt::format("step {} on the nodes is lost: {}", commit.step, why));
        recovery.abandon(commit);
    }
    return recovered;
}

Result<void> clear_local(FileSystem& files, const std::string& root, const std::string& spared) {
    MPITRAIN_TRY(const auto entries, files.list(root));
    for (const DirectoryEntry& entry : entries) {
        std::string name = entry.name;
        if (name.starts_with(node_mark_prefix)) {
            MPITRAIN_TRY_VOID(files.remove_file(join_path(root, name)));
            continue;
        }
        const auto step = parse_step_directory(name);
        if (name == spared || (!step && !is_leftover(name))) {
            continue;
        }
        if (step) {
            // Out of sight by one rename, so that a half-removed one is none.
            name = leftover_directory(*step, Leftover::gone, "local");
            MPITRAIN_TRY_VOID(remove_tree(files, join_path(root, name)));
            MPITRAIN_TRY_VOID(files.rename(join_path(root, entry.name), join_path(root, name)));
        }
        MPITRAIN_TRY_VOID(remove_tree(files, join_path(root, name)));
    }
    return {};
}

}  // namespace mpitrain::checkpoint
