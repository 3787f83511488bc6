#include "mpitrain/checkpoint/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "agreement.hpp"
#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/read_plan.hpp"
#include "mpitrain/checkpoint/shard_reader.hpp"
#include "mpitrain/checkpoint/staging.hpp"

namespace mpitrain::checkpoint {
namespace {

using Json = nlohmann::json;

struct Wanted {
    std::span<const TensorSpec> specs;
    const Targets& targets;
};

// Whether an older commit may be better: what this error says is about the stored bytes.
bool is_damage(const Error& error) {
    return error.code() == ErrorCode::data_loss || error.code() == ErrorCode::io;
}

class Loading {
  public:
    Loading(Surroundings& world, const StoreOptions& options, Wanted wanted)
        : world_(world), options_(options), wanted_(wanted) {}

    // Tries one commit, all ranks together.
    Result<Loaded> load(const std::string& path) {
        found_damage_ = false;
        MPITRAIN_TRY(const std::string text, share_manifest(path));
        auto mine = load_mine(path, text);
        const auto word = [&]() -> Result<std::string> {
            if (!mine) {
                return mine.error();
            }
            return Json(mine->warnings).dump(-1, ' ', false, Json::error_handler_t::replace);
        }();
        MPITRAIN_TRY(Agreement agreement,
                     agree(world_.peers, word, options_.deadline, "waiting for all to load"));
        if (agreement.failed()) {
            return failure_of(agreement);
        }
        mine->warnings.clear();
        for (const std::string& warnings : agreement.words) {
            for (const auto& warning : Json::parse(warnings)) {
                mine->warnings.push_back(warning.get<std::string>());
            }
        }
        return mine;
    }

    // Whether the last load() failed for damage alone, on whatever rank: all ranks see it alike.
    [[nodiscard]] bool found_damage() const { return found_damage_; }

    // The paths of all commits, newest first, as rank 0 sees them.
    Result<std::vector<std::string>> candidates() {
        const auto mine = [&]() -> Result<std::string> {
            Json paths = Json::array();
            if (is_first()) {
                MPITRAIN_TRY(const auto commits, list_commits(world_.files, options_.directory));
                for (const CommitDirectory& commit : commits) {
                    paths.push_back(commit.path);
                }
            }
            return paths.dump(-1, ' ', false, Json::error_handler_t::replace);
        }();
        MPITRAIN_TRY(Agreement agreement,
                     agree(world_.peers, mine, options_.deadline, "looking for commits"));
        if (agreement.failed()) {
            return agreement.failure();
        }
        return Json::parse(agreement.words.front()).get<std::vector<std::string>>();
    }

  private:
    [[nodiscard]] bool is_first() const { return world_.peers.rank() == 0; }

    Error failure_of(const Agreement& agreement) {
        found_damage_ =
            std::all_of(agreement.failures.begin(), agreement.failures.end(), is_damage);
        return agreement.failure();
    }

    // One rank reads it, so that all act on the same bytes.
    Result<std::string> share_manifest(const std::string& path) {
        const auto mine = is_first() ? read_manifest_text(world_.files, path)
                                     : Result<std::string>(std::string());
        MPITRAIN_TRY(Agreement agreement,
                     agree(world_.peers, mine, options_.deadline, "reading the manifest"));
        if (agreement.failed()) {
            return failure_of(agreement);
        }
        return std::move(agreement.words.front());
    }

    Result<Loaded> load_mine(const std::string& path, const std::string& text) {
        MPITRAIN_TRY(Manifest manifest, check_manifest(world_.files, path, text));
        if (!options_.model.empty() && !manifest.model.empty() &&
            options_.model != manifest.model) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("the checkpoint is of model '{}', not '{}'",
                                     manifest.model,
                                     options_.model))
                .at(path)
                .mend("choose another checkpoint directory");
        }
        ShardReader reader(world_.files, path, manifest, world_.staging);
        auto plan = plan_read(manifest, wanted_.specs);
        if (!plan) {
            return Error(std::move(plan).error()).at(path);
        }
        MPITRAIN_TRY_VOID(reader.read(*plan, wanted_.targets));
        Loaded loaded{.path = path, .manifest = {}, .blobs = {}, .warnings = {}};
        MPITRAIN_TRY(loaded.blobs, read_blobs(manifest, reader));
        check_rest(path, manifest, reader, loaded.warnings);
        loaded.bytes_read = reader.bytes_read();
        loaded.manifest = std::move(manifest);
        return loaded;
    }

    static Result<std::vector<std::vector<std::byte>>> read_blobs(const Manifest& manifest,
                                                                  ShardReader& reader) {
        std::vector<std::vector<std::byte>> blobs;
        std::vector<std::byte*> targets;
        for (const StoredBlob& blob : manifest.blobs) {
            blobs.emplace_back(static_cast<std::size_t>(blob.size_bytes));
        }
        for (std::vector<std::byte>& blob : blobs) {
            targets.push_back(blob.data());
        }
        MPITRAIN_TRY_VOID(reader.read(plan_read_blobs(manifest), {.memory = targets}));
        return blobs;
    }

    // The bytes that no rank loads, shared out over the ranks: what is wrong there hurts other
    // tools only, but is told.
    void check_rest(const std::string& path,
                    const Manifest& manifest,
                    ShardReader& reader,
                    std::vector<std::string>& warnings) {
        const auto ranks = static_cast<std::size_t>(world_.peers.size());
        const auto rank = static_cast<std::size_t>(world_.peers.rank());
        for (std::size_t shard = rank; shard < manifest.shards.size(); shard += ranks) {
            const std::string file = join_path(path, manifest.shards[shard].file);
            const auto checked = reader.check(
                plan_read_rest(manifest, shard), [&](std::size_t, std::uint64_t offset) {
                    warnings.push_back(fmt::format(
                        "{}: the bytes from {} on, which hold no tensor, do not match their "
                        "checksum",
                        file,
                        offset));
                });
            if (!checked) {
                warnings.push_back(checked.error().text());
            }
        }
        if (is_first() && manifest.view) {
            const std::string file = join_path(path, view_name);
            const auto bytes = read_small_file(world_.files, file, manifest.view->size_bytes);
            if (!bytes || bytes->size() != manifest.view->size_bytes ||
                crc32c(std::as_bytes(std::span(*bytes))) != manifest.view->crc32c) {
                warnings.push_back(
                    fmt::format("{}: damaged; HDF5 tools cannot read this commit", file));
            }
        }
    }

    Surroundings& world_;
    const StoreOptions& options_;
    Wanted wanted_;
    bool found_damage_ = false;
};

}  // namespace

Result<std::optional<Loaded>> load_newest(Surroundings& surroundings,
                                          const StoreOptions& options,
                                          std::span<const TensorSpec> wanted,
                                          const Targets& targets) {
    Loading loading(surroundings, options, {wanted, targets});
    MPITRAIN_TRY(const auto paths, loading.candidates());
    std::vector<std::string> skipped;
    for (const std::string& path : paths) {
        auto loaded = loading.load(path);
        if (loaded) {
            loaded->warnings.insert(loaded->warnings.begin(), skipped.begin(), skipped.end());
            return *std::move(loaded);
        }
        if (!loading.found_damage()) {
            return Error(std::move(loaded).error());
        }
        skipped.push_back(fmt::format("skipped {}: {}", path, loaded.error().text()));
    }
    if (!skipped.empty()) {
        return Error(ErrorCode::data_loss,
                     fmt::format("all {} commits are damaged; the newest: {}",
                                 skipped.size(),
                                 skipped.front()))
            .at(options.directory)
            .mend("'mpitrain ckpt verify' tells what is left of each");
    }
    return std::optional<Loaded>();
}

Result<Loaded> load_commit(Surroundings& surroundings,
                           const StoreOptions& options,
                           const std::string& path,
                           std::span<const TensorSpec> wanted,
                           const Targets& targets) {
    return Loading(surroundings, options, {wanted, targets}).load(path);
}

}  // namespace mpitrain::checkpoint
