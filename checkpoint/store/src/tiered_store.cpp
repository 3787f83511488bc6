#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "agreement.hpp"
#include "begun_save.hpp"
#include "drain.hpp"
#include "local_commit.hpp"
#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "mpitrain/checkpoint/retention.hpp"
#include "mpitrain/checkpoint/tiers.hpp"
#include "node_map.hpp"
#include "partner_copy.hpp"
#include "recovery.hpp"
#include "shard_report.hpp"
#include "view_of_plan.hpp"

namespace mpitrain::checkpoint {
namespace {

// The name under which the nodes know the shared directory: DIR/.tiers.json. Another directory, or
// this one made anew, has another, so that nothing is taken for its own that is not.
constexpr std::string_view id_name = ".tiers.json";
constexpr std::string_view id_schema = "mpitrain.tiers/1";

// Errors: not_found, data_loss, io.
Result<std::string> read_id(FileSystem& files, const std::string& directory) {
    const std::string path = join_path(directory, id_name);
    MPITRAIN_TRY(const std::string text, read_small_file(files, path, 1 << 16));
    const auto json = nlohmann::json::parse(text, nullptr, false);
    const std::string id = json.is_object() && json.value("schema", "") == id_schema
                               ? json.value("id", std::string())
                               : "";
    if (id.empty() || id.front() == '.' || id.find_first_of("/ ") != std::string::npos) {
        return Error(ErrorCode::data_loss, "this names no checkpoint directory")
            .at(path)
            .mend("remove it: what only the nodes hold is lost then");
    }
    return id;
}

Result<std::string> make_id(FileSystem& files, const std::string& directory, std::string id) {
    const std::string path = join_path(directory, id_name);
    const std::string fresh = path + ".new";
    const auto removed = files.remove_file(fresh);  // of a writer that died here
    if (!removed && removed.error().code() != ErrorCode::not_found) {
        return Error(removed.error());
    }
    const std::string text = nlohmann::json({{"schema", id_schema}, {"id", id}}).dump() + "\n";
    MPITRAIN_TRY_VOID(write_new_file(files, fresh, text));
    MPITRAIN_TRY_VOID(files.rename(fresh, path));
    MPITRAIN_TRY_VOID(files.sync_directory(directory));
    return id;
}

Result<void> make_directory(FileSystem& files, const std::string& path) {
    const auto made = files.make_directory(path);
    if (made) {
        return files.sync_directory(parent_path(path));
    }
    return made.error().code() == ErrorCode::already_exists ? Result<void>() : made;
}

class NodesAndShared final : public TieredStore {
  public:
    NodesAndShared(Surroundings surroundings, StoreOptions options, TierOptions tiers)
        : world_(std::move(surroundings)),
          options_(std::move(options)),
          tiers_(std::move(tiers)),
          shared_(world_, options_) {}

    Result<Committed> save(const SaveInput& input) override;
    Result<bool> start(const SaveInput& input) override {
        MPITRAIN_TRY(const Committed committed, save(input));
        return true;
    }
    std::optional<Result<Committed>> poll() override;
    Result<void> settle(std::chrono::milliseconds deadline) override {
        return drain_ ? drain_->settle(deadline) : Result<void>();
    }
    [[nodiscard]] std::optional<std::chrono::milliseconds> estimate(
        const Contribution& mine) const override;
    Result<void> release() override { return shared_.release(); }
    Result<std::optional<Loaded>> load_newest(std::span<const TensorSpec> wanted,
                                              std::span<std::byte* const> targets) override;

  private:
    // What all ranks know of a save while it is under way.
    struct Local {
        std::uint64_t step = 0;
        std::string token;
        std::string place;
        Manifest manifest{};
        Contents contents{};
        // The ranks lost each other in the last word, so that one of them may have told of success:
        // nothing of it may go.
        bool may_be_committed = false;
    };

    [[nodiscard]] bool is_first_of_node() const {
        return nodes_->is_first_of_node(world_.peers.rank());
    }
    Result<std::vector<std::string>> tell(const Result<std::string>& mine, std::string_view phase);
    static Result<std::string> word_of(Result<void> done, std::string word = "") {
        return done ? Result<std::string>(std::move(word))
                    : Result<std::string>(std::move(done).error());
    }

    Result<bool> open_nodes(bool create);
    Result<void> recover_into(std::vector<std::string>& warnings);
    Result<void> begin_writing();

    Result<BegunSaves> begin(const SaveInput& input);
    Result<void> write(const SaveInput& input, Local& local);
    Result<Contents> compose(const SaveInput& input,
                             const Local& local,
                             const std::vector<std::string>& reports);
    Result<void> copy_to_partners(const Local& local);
    Result<void> reveal(Local& local);
    void take_back(const Local& local);
    Result<void> forget_old(std::uint64_t newest, const std::string& token);
    Result<std::optional<std::string>> local_path_of_newest();

    Surroundings world_;
    StoreOptions options_;
    TierOptions tiers_;
    SaveSteps shared_;
    std::string root_;  // this node's directory of this checkpoint directory
    std::optional<NodeMap> nodes_;
    std::unique_ptr<SaveSteps> local_;
    bool writing_ = false;
    // By step, the tokens of this life: first the newest shared commit, then all made since.
    std::vector<std::pair<std::uint64_t, std::string>> lineage_;
    std::vector<std::uint64_t> on_node_;  // steps that lie in root_
    std::chrono::milliseconds last_taken_{0};
    std::unique_ptr<Drain> drain_;  // last: its thread uses the rest
};

Result<std::vector<std::string>> NodesAndShared::tell(const Result<std::string>& mine,
                                                      std::string_view phase) {
    MPITRAIN_TRY(Agreement agreement, agree(world_.peers, mine, options_.deadline, phase));
    if (agreement.failed()) {
        return agreement.failure();
    }
    return std::move(agreement.words);
}

// False: the directory has no id yet, so that no node holds anything of it.
Result<bool> NodesAndShared::open_nodes(bool create) {
    if (nodes_) {
        return true;
    }
    const auto named = [&]() -> Result<std::string> {
        if (!shared_.is_first()) {
            return std::string();
        }
        auto id = read_id(world_.files, options_.directory);
        if (!id && id.error().code() == ErrorCode::not_found) {
            id = create ? make_id(world_.files, options_.directory, world_.fresh_token())
                        : Result<std::string>(std::string());
        }
        MPITRAIN_TRY(const std::string known, id);
        return known + " " + world_.fresh_token();
    }();
    MPITRAIN_TRY(const auto words, tell(named, "naming the checkpoint directory"));
    const std::size_t blank = words.front().find(' ');
    if (blank == 0) {
        return false;
    }
    root_ = join_path(tiers_.local_directory, words.front().substr(0, blank));
    const auto made = [&]() -> Result<void> {
        MPITRAIN_TRY_VOID(make_directory(world_.files, tiers_.local_directory));
        return make_directory(world_.files, root_);
    }();
    MPITRAIN_TRY_VOID(tell(word_of(made), "making the node's directory"));
    MPITRAIN_TRY(
        nodes_,
        find_nodes(
            world_.files, world_.peers, root_, words.front().substr(blank + 1), options_.deadline));
    StoreOptions on_node = options_;
    on_node.directory = root_;
    local_ = std::make_unique<SaveSteps>(world_, on_node);
    drain_ = std::make_unique<Drain>(shared_, *nodes_, tiers_.drain_bytes_per_second);
    return true;
}

Result<void> NodesAndShared::recover_into(std::vector<std::string>& warnings) {
    MPITRAIN_TRY(Recovered recovered,
                 recover(shared_, *nodes_, root_, world_.staging, options_.deadline));
    warnings.insert(warnings.end(), recovered.warnings.begin(), recovered.warnings.end());
    return {};
}

// Before the first save of a life: nothing that a node holds is left behind, and then only what the
// shared directory has is kept there, so that a state that was given up cannot come back.
Result<void> NodesAndShared::begin_writing() {
    if (writing_) {
        return {};
    }
    MPITRAIN_TRY_VOID(tell(word_of(shared_.take_lease()), "taking the lease"));
    MPITRAIN_TRY_VOID(open_nodes(true));
    std::vector<std::string> warnings;
    MPITRAIN_TRY_VOID(recover_into(warnings));
    MPITRAIN_TRY(const auto newest, newest_shared(shared_));
    std::string kept;
    const auto cleared = [&]() -> Result<void> {
        MPITRAIN_TRY(const auto commits, list_local_commits(world_.files, root_));
        for (const LocalCommit& commit : commits) {
            const bool is_newest = newest && commit.seal == newest->seal &&
                                   commit.name == step_directory(newest->step);
            kept = is_newest ? commit.name : kept;
        }
        return is_first_of_node() ? clear_local(world_.files, root_, kept) : Result<void>();
    }();
    MPITRAIN_TRY_VOID(tell(word_of(cleared), "clearing the node's directory"));
    lineage_ = {{newest ? newest->step : 0, newest ? newest->token : ""}};
    if (!kept.empty()) {
        on_node_ = {newest->step};
    }
    writing_ = true;
    return {};
}

std::optional<std::chrono::milliseconds> NodesAndShared::estimate(const Contribution& mine) const {
    if (last_taken_.count() == 0 || !local_ || local_->plan_for(mine).empty()) {
        return std::nullopt;
    }
    return last_taken_ + last_taken_ / 4;
}

Result<BegunSaves> NodesAndShared::begin(const SaveInput& input) {
    const auto mine = [&]() -> Result<std::string> {
        const auto needed = estimate(*input.contribution);
        if (input.time_left && needed && *needed > *input.time_left) {
            return Error(ErrorCode::deadline_exceeded,
                         fmt::format("saving would take {} ms, and only {} ms are left",
                                     needed->count(),
                                     input.time_left->count()))
                .mend("the commit before stays; give more time with --stop-grace");
        }
        if (world_.files.status(local_->path_of(input.step))) {
            return Error(ErrorCode::already_exists, "this step is committed already")
                .at(local_->path_of(input.step));
        }
        return encode(BegunSave{input.step,
                                shared_.is_first() ? shared_.fresh_token() : "",
                                local_->plan_for(*input.contribution),
                                false});
    }();
    MPITRAIN_TRY(BegunSaves begun,
                 begin_together(world_.peers, mine, input.step, options_.deadline));
    MPITRAIN_TRY_VOID(local_->prepare(input.contribution, begun.plans, begun.token));
    return begun;
}

Result<Contents> NodesAndShared::compose(const SaveInput& input,
                                         const Local& local,
                                         const std::vector<std::string>& reports) {
    const SavePlan& plan = local_->prepared().plan;
    MPITRAIN_TRY(const auto read, read_reports(plan, reports));
    Manifest manifest = manifest_of(plan, read);
    manifest.step = local.step;
    manifest.world_size = world_.peers.size();
    manifest.created = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                                   fmt::gmtime(std::chrono::system_clock::to_time_t(world_.now())));
    manifest.model = options_.model;
    manifest.job = world_.self.job;
    manifest.attempt = world_.self.attempt;
    manifest.attributes = input.attributes;
    Contents contents;
    if (options_.hdf5_view && deserves_view(plan)) {
        Attributes attributes = input.attributes;
        attributes["mpt.schema"] = std::string(manifest_schema);
        attributes["mpt.step"] = static_cast<std::int64_t>(input.step);
        MPITRAIN_TRY(const std::vector<std::byte> bytes,
                     world_.container.view(view_of(plan, local.token), attributes));
        contents.view.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        manifest.view = ViewFile{bytes.size(), crc32c(bytes)};
    }
    contents.manifest = encode(manifest);
    return contents;
}

// Every rank: its shard in the node's directory, durably; then what all of them make.
Result<void> NodesAndShared::write(const SaveInput& input, Local& local) {
    const auto written = [&]() -> Result<std::string> {
        MPITRAIN_TRY_VOID(local_->make_place_of(local.step, local.token));
        return local_->write_shard_of(input, local.token);
    }();
    MPITRAIN_TRY(const auto reports, tell(written, "waiting for all shards"));
    const auto composed = [&]() -> Result<std::string> {
        if (!shared_.is_first()) {
            return std::string();
        }
        MPITRAIN_TRY(const Contents contents, compose(input, local, reports));
        return pack(contents);
    }();
    MPITRAIN_TRY(const auto words, tell(composed, "describing the commit"));
    MPITRAIN_TRY(local.contents, unpack(words.front()));
    MPITRAIN_TRY(local.manifest, decode_manifest(local.contents.manifest));
    MPITRAIN_TRY_VOID(tell(word_of(copy_to_partners(local)), "copying to the next node"));
    return {};
}

Result<void> NodesAndShared::copy_to_partners(const Local& local) {
    if (tiers_.partner_copies && nodes_->node_count() > 1) {
        MPITRAIN_TRY_VOID(exchange_copies(world_.files,
                                          world_.peers,
                                          *nodes_,
                                          local.place,
                                          local.manifest,
                                          world_.staging,
                                          options_.deadline));
    }
    if (!is_first_of_node()) {
        return {};
    }
    Lineage lineage;
    for (const auto& [step, token] : lineage_) {
        lineage.push_back(token);
    }
    MPITRAIN_TRY_VOID(write_new_file(
        world_.files, join_path(local.place, lineage_name), encode_lineage(lineage)));
    if (!local.contents.view.empty()) {
        MPITRAIN_TRY_VOID(
            write_new_file(world_.files, join_path(local.place, view_name), local.contents.view));
    }
    return write_new_file(
        world_.files, join_path(local.place, manifest_name), local.contents.manifest);
}

// The names are synced once all files are there, the rank that writes last not being known; from
// the first rename on the commit is one, on whatever node.
Result<void> NodesAndShared::reveal(Local& local) {
    const auto synced =
        is_first_of_node() ? world_.files.sync_directory(local.place) : Result<void>();
    MPITRAIN_TRY_VOID(tell(word_of(synced), "making the nodes' directories durable"));
    const auto renamed = [&]() -> Result<void> {
        if (!is_first_of_node()) {
            return {};
        }
        MPITRAIN_TRY_VOID(world_.files.rename(local.place, local_->path_of(local.step)));
        return world_.files.sync_directory(root_);
    }();
    const auto told = agree(world_.peers,
                            word_of(renamed, fmt::format("{}", drain_->begun())),
                            options_.deadline,
                            "committing on the nodes");
    local.may_be_committed = !told && renamed;
    MPITRAIN_TRY(const Agreement committed, told);
    if (committed.failed()) {
        return committed.failure();
    }
    std::uint64_t begun = 0;
    for (const std::string& word : committed.words) {
        begun = std::max<std::uint64_t>(begun, std::stoull(word));
    }
    lineage_.emplace_back(local.step, local.token);
    on_node_.push_back(local.step);
    drain_->submit(std::make_shared<Drainable>(Drainable{.step = local.step,
                                                         .token = local.token,
                                                         .place = local_->path_of(local.step),
                                                         .manifest = std::move(local.manifest),
                                                         .contents = std::move(local.contents)}),
                   begun);
    return {};
}

// A node keeps its newest commit, and those that a drain still needs.
Result<void> NodesAndShared::forget_old(std::uint64_t newest, const std::string& token) {
    const auto needed = drain_->needed();
    std::vector<std::uint64_t> kept;
    for (const std::uint64_t step : on_node_) {
        if (step == newest || needed.contains(step)) {
            kept.push_back(step);
        } else if (is_first_of_node()) {
            MPITRAIN_TRY_VOID(remove_commit(world_.files, local_->path_of(step), token));
        }
    }
    on_node_ = std::move(kept);
    return {};
}

// What the node holds of a save that all ranks know to have failed.
void NodesAndShared::take_back(const Local& local) {
    if (!is_first_of_node()) {
        return;
    }
    static_cast<void>(remove_tree(world_.files, local.place));
    const std::string path = local_->path_of(local.step);
    if (world_.files.status(path)) {
        static_cast<void>(remove_commit(world_.files, path, local.token));
    }
}

Result<Committed> NodesAndShared::save(const SaveInput& input) {
    const auto started = std::chrono::steady_clock::now();
    MPITRAIN_TRY_VOID(begin_writing());
    MPITRAIN_TRY(const BegunSaves begun, begin(input));
    Local local{.step = input.step,
                .token = begun.token,
                .place = local_->place_of(input.step, begun.token)};
    Committed committed{input.step, local_->path_of(input.step), 0, {}};
    auto done = write(input, local);
    if (done) {
        committed.size_bytes = local.manifest.size_bytes();
        done = reveal(local);
    }
    if (!done) {
        if (!local.may_be_committed) {
            take_back(local);
        }
        return Error(std::move(done).error());
    }
    if (auto forgotten = forget_old(input.step, begun.token); !forgotten) {
        committed.warnings.push_back("an old commit could not be removed: " +
                                     forgotten.error().text());
    }
    last_taken_ =
        std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
    return committed;
}

std::optional<Result<Committed>> NodesAndShared::poll() {
    auto outcome = drain_ ? drain_->poll() : std::nullopt;
    if (outcome && *outcome) {
        // What came before the drained one is no shared commit's name any more.
        const std::uint64_t step = (*outcome)->step;
        std::erase_if(lineage_, [&](const auto& one) { return one.first < step; });
    }
    return outcome;
}

// Where every rank has the newest shared commit whole on its own node.
Result<std::optional<std::string>> NodesAndShared::local_path_of_newest() {
    MPITRAIN_TRY(const auto newest, newest_shared(shared_));
    if (!newest) {
        return std::optional<std::string>();
    }
    const auto has_all = [&]() -> Result<std::string> {
        MPITRAIN_TRY(const auto commits, list_local_commits(world_.files, root_));
        const bool here = std::any_of(commits.begin(), commits.end(), [&](const LocalCommit& one) {
            return one.seal == newest->seal && one.name == step_directory(newest->step) &&
                   one.shards.size() == one.shard_count;
        });
        return std::string(here ? "yes" : "no");
    }();
    MPITRAIN_TRY(const auto words, tell(has_all, "looking at the nodes' directories"));
    const bool everywhere = std::all_of(
        words.begin(), words.end(), [](const std::string& one) { return one == "yes"; });
    return everywhere ? std::optional(local_->path_of(newest->step)) : std::nullopt;
}

Result<std::optional<Loaded>> NodesAndShared::load_newest(std::span<const TensorSpec> wanted,
                                                          std::span<std::byte* const> targets) {
    MPITRAIN_TRY_VOID(settle(options_.deadline));
    MPITRAIN_TRY(const bool opened, open_nodes(false));
    std::vector<std::string> warnings;
    if (opened && !writing_) {
        auto recovered = recover_into(warnings);
        if (!recovered && recovered.error().code() != ErrorCode::permission_denied) {
            return Error(std::move(recovered).error());
        }
        if (!recovered) {
            warnings.push_back("what only the nodes hold was left alone: " +
                               recovered.error().text());
        }
        // Others may write here, if this program only reads.
        const auto released = shared_.release();
        MPITRAIN_TRY_VOID(tell(word_of(released), "giving the lease back"));
    }
    auto loaded = [&]() -> Result<std::optional<Loaded>> {
        if (opened) {
            MPITRAIN_TRY(const auto near, local_path_of_newest());
            auto got =
                near ? load_commit(world_, options_, *near, wanted, Targets{.memory = targets})
                     : Result<Loaded>(Error(ErrorCode::not_found, "not on the nodes"));
            if (got) {
                got->path = shared_.path_of(got->manifest.step);
                return std::optional(*std::move(got));
            }
            // Whatever it was: the shared one is right, or says it better.
            if (near) {
                warnings.push_back("the nodes' copy: " + got.error().text());
            }
        }
        return checkpoint::load_newest(world_, options_, wanted, Targets{.memory = targets});
    }();
    if (loaded && *loaded) {
        (*loaded)->warnings.insert((*loaded)->warnings.begin(), warnings.begin(), warnings.end());
    }
    return loaded;
}

}  // namespace

std::unique_ptr<TieredStore> make_tiered_store(Surroundings surroundings,
                                               StoreOptions options,
                                               TierOptions tiers) {
    return std::make_unique<NodesAndShared>(
        std::move(surroundings), std::move(options), std::move(tiers));
}

}  // namespace mpitrain::checkpoint
