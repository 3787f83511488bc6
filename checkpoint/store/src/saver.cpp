#include "mpitrain/checkpoint/saver.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "agreement.hpp"
#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/lease.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "mpitrain/checkpoint/retention.hpp"
#include "mpitrain/checkpoint/staging.hpp"
#include "shard_report.hpp"
#include "shard_writer.hpp"
#include "view_of_plan.hpp"

namespace mpitrain::checkpoint {
namespace {

// A plan and this rank's layout, kept while the contributions stay what they are.
struct Prepared {
    std::string id;  // equal on all ranks, different for every plan
    Contribution mine;
    SavePlan plan;
    const ShardPlan* shard = nullptr;  // this rank's, in `plan`; null when it writes nothing
    std::optional<ShardImage> image;
};

std::string rfc3339(std::chrono::system_clock::time_point time) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

class StoreSaver final : public Saver {
  public:
    StoreSaver(Surroundings surroundings, StoreOptions options)
        : world_(std::move(surroundings)),
          options_(std::move(options)),
          lease_(world_.files,
                 options_.directory,
                 world_.self,
                 is_first() ? world_.fresh_token() : "",
                 world_.is_dead) {}

    Result<Committed> save(const SaveInput& input) override;
    Result<void> release() override { return is_first() ? lease_.release() : Result<void>(); }

  private:
    using View = std::future<Result<std::vector<std::byte>>>;

    [[nodiscard]] bool is_first() const { return world_.peers.rank() == 0; }
    [[nodiscard]] std::string temporary(std::uint64_t step, const std::string& token) const {
        return join_path(options_.directory, leftover_directory(step, Leftover::tmp, token));
    }

    Result<std::string> open_commit(std::uint64_t step);
    Result<void> clear_place(std::uint64_t step, const std::string& token);
    Result<void> prepare(const SaveInput& input,
                         const std::vector<std::string>& words,
                         const std::string& token);
    Result<void> prepare_anew(const SaveInput& input, const std::string& token);
    Result<std::string> write_mine(const SaveInput& input, const std::string& token);
    View start_view(const SaveInput& input, const std::string& token);
    Result<std::string> commit(const SaveInput& input,
                               const std::string& token,
                               const std::vector<std::string>& reports,
                               View view);
    Result<std::string> write_and_commit(const SaveInput& input, const std::string& token);
    std::vector<std::string> tidy(std::uint64_t step, const std::string& token);

    Surroundings world_;
    StoreOptions options_;
    Lease lease_;
    std::unique_ptr<Prepared> prepared_;
    bool leftovers_removed_ = false;
};

// Rank 0: makes the directory and the place to write in. Returns the commit's token.
Result<std::string> StoreSaver::open_commit(std::uint64_t step) {
    MPITRAIN_TRY_VOID(lease_.acquire());
    if (!leftovers_removed_) {
        MPITRAIN_TRY_VOID(remove_leftovers(world_.files, options_.directory));
        leftovers_removed_ = true;
    }
    const std::string token = world_.fresh_token();
    MPITRAIN_TRY_VOID(clear_place(step, token));
    MPITRAIN_TRY_VOID(world_.files.make_directory(temporary(step, token)));
    return token;
}

// A good commit of this step is never replaced; a damaged one makes way.
Result<void> StoreSaver::clear_place(std::uint64_t step, const std::string& token) {
    const std::string path = join_path(options_.directory, step_directory(step));
    const auto status = world_.files.status(path);
    if (!status) {
        return status.error().code() == ErrorCode::not_found ? Result<void>()
                                                             : Result<void>(status.error());
    }
    MPITRAIN_TRY(const Verified verified, verify_commit(world_.files, path, {}));
    if (verified.bad.empty()) {
        return Error(ErrorCode::already_exists, "this step is committed already")
            .at(path)
            .mend("remove it, or save to another directory");
    }
    const std::string aside = leftover_directory(step, Leftover::damaged, token);
    return world_.files.rename(path, join_path(options_.directory, aside));
}

// Every rank: makes sure that the plan fits what all ranks now bring. The plan at hand is used
// again only when each rank compared its own contribution, in full, and found no change.
Result<void> StoreSaver::prepare(const SaveInput& input,
                                 const std::vector<std::string>& words,
                                 const std::string& token) {
    const auto unchanged = [&](const std::string& word) { return word == words.front(); };
    const bool reuse = prepared_ && words.front() == prepared_->id &&
                       std::all_of(words.begin(), words.end(), unchanged);
    return reuse ? Result<void>() : prepare_anew(input, token);
}

Result<void> StoreSaver::prepare_anew(const SaveInput& input, const std::string& token) {
    prepared_.reset();
    MPITRAIN_TRY(
        Agreement told,
        agree(world_.peers, encode(input.contribution), options_.deadline, "planning the save"));
    if (told.failed()) {
        return told.failure();
    }
    std::vector<Contribution> contributions;
    for (const std::string& word : told.words) {
        MPITRAIN_TRY(Contribution contribution, decode_contribution(word));
        contributions.push_back(std::move(contribution));
    }
    auto fresh = std::make_unique<Prepared>();
    MPITRAIN_TRY(fresh->plan, plan_save(contributions));
    fresh->id = token;
    fresh->mine = input.contribution;
    for (const ShardPlan& shard : fresh->plan.shards) {
        if (shard.rank == world_.peers.rank()) {
            fresh->shard = &shard;
        }
    }
    prepared_ = std::move(fresh);
    return {};
}

Result<std::string> StoreSaver::write_mine(const SaveInput& input, const std::string& token) {
    if (prepared_->shard == nullptr) {
        return std::string();
    }
    const ShardPlan& plan = *prepared_->shard;
    if (!prepared_->image) {
        MPITRAIN_TRY(prepared_->image, world_.container.shard(plan.datasets, default_block_bytes));
    }
    MPITRAIN_TRY(ShardFile file,
                 write_shard(world_.files,
                             join_path(temporary(input.step, token), shard_file(plan.rank, token)),
                             plan,
                             *prepared_->image,
                             {input.tensors, input.blobs},
                             default_block_bytes,
                             world_.staging));
    return encode(ShardReport{std::move(file), prepared_->image->dataset_offsets});
}

// Rank 0: lays the view out while the bytes are on their way to the disk; later, in get(), where no
// thread is to be had.
StoreSaver::View StoreSaver::start_view(const SaveInput& input, const std::string& token) {
    const SavePlan& plan = prepared_->plan;
    if (!is_first() || !options_.hdf5_view || !deserves_view(plan)) {
        return {};
    }
    return std::async(std::launch::async | std::launch::deferred, [this, &input, &plan, token] {
        Attributes attributes = input.attributes;
        attributes["mpt.schema"] = std::string(manifest_schema);
        attributes["mpt.step"] = static_cast<std::int64_t>(input.step);
        return world_.container.view(view_of(plan, token), attributes);
    });
}

// Rank 0: the point where the commit comes to be is the rename; before it a crash leaves nothing
// visible, after the sync that follows it the commit is durable.
Result<std::string> StoreSaver::commit(const SaveInput& input,
                                       const std::string& token,
                                       const std::vector<std::string>& reports,
                                       View view) {
    const std::string place = temporary(input.step, token);
    MPITRAIN_TRY(Manifest manifest, manifest_of(prepared_->plan, reports));
    manifest.step = input.step;
    manifest.world_size = world_.peers.size();
    manifest.created = rfc3339(world_.now());
    manifest.model = options_.model;
    manifest.job = world_.self.job;
    manifest.attempt = world_.self.attempt;
    manifest.attributes = input.attributes;
    if (view.valid()) {
        MPITRAIN_TRY(const std::vector<std::byte> bytes, view.get());
        const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        MPITRAIN_TRY_VOID(write_new_file(world_.files, join_path(place, view_name), text));
        manifest.view = ViewFile{bytes.size(), crc32c(bytes)};
    }
    MPITRAIN_TRY_VOID(
        write_new_file(world_.files, join_path(place, manifest_name), encode(manifest)));
    MPITRAIN_TRY_VOID(world_.files.sync_directory(place));
    const std::string path = join_path(options_.directory, step_directory(input.step));
    const auto make_visible = [&]() -> Result<void> {
        MPITRAIN_TRY_VOID(world_.files.rename(place, path));
        return world_.files.sync_directory(options_.directory);
    };
    MPITRAIN_TRY_VOID(lease_.guard(make_visible));
    return fmt::format("{}", manifest.size_bytes());
}

Result<std::string> StoreSaver::write_and_commit(const SaveInput& input, const std::string& token) {
    View view = start_view(input, token);
    const auto mine = write_mine(input, token);
    MPITRAIN_TRY(Agreement written,
                 agree(world_.peers, mine, options_.deadline, "waiting for all shards"));
    Result<std::string> outcome = std::string();
    if (written.failed()) {
        outcome = written.failure();
    } else if (is_first()) {
        outcome = commit(input, token, written.words, std::move(view));
    }
    if (is_first() && !outcome) {
        // Best effort: what stays is removed by the next writer.
        static_cast<void>(remove_tree(world_.files, temporary(input.step, token)));
    }
    if (written.failed()) {
        return written.failure();
    }
    MPITRAIN_TRY(Agreement committed,
                 agree(world_.peers, outcome, options_.deadline, "waiting for the commit"));
    if (committed.failed()) {
        return committed.failure();
    }
    return committed.words.front();
}

// Rank 0, after the commit: its failure is no failure of the save.
std::vector<std::string> StoreSaver::tidy(std::uint64_t step, const std::string& token) {
    if (!is_first() || options_.keep_last == 0) {
        return {};
    }
    const auto removed =
        keep_newest(world_.files, options_.directory, options_.keep_last, step, token);
    if (!removed) {
        return {"an old commit could not be removed: " + removed.error().text()};
    }
    return {};
}

Result<Committed> StoreSaver::save(const SaveInput& input) {
    const bool same = prepared_ && prepared_->mine == input.contribution;
    const auto opened = is_first() ? open_commit(input.step) : Result<std::string>(std::string());
    const auto word = [&]() -> Result<std::string> {
        if (!opened) {
            return opened.error();
        }
        const nlohmann::json json = {
            {"step", input.step}, {"token", *opened}, {"plan", same ? prepared_->id : ""}};
        return json.dump();
    }();
    MPITRAIN_TRY(Agreement begun,
                 agree(world_.peers, word, options_.deadline, "beginning the save"));
    if (begun.failed()) {
        return begun.failure();
    }
    std::string token;
    std::vector<std::string> plans;
    for (const std::string& text : begun.words) {
        const auto json = nlohmann::json::parse(text);
        if (json.at("step") != input.step) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("the ranks save different steps, {} and {}",
                                     input.step,
                                     json.at("step").get<std::uint64_t>()));
        }
        token = token.empty() ? json.at("token").get<std::string>() : token;
        plans.push_back(json.at("plan").get<std::string>());
    }
    if (auto prepared = prepare(input, plans, token); !prepared) {
        if (is_first()) {
            static_cast<void>(remove_tree(world_.files, temporary(input.step, token)));
        }
        return Error(std::move(prepared).error());
    }
    MPITRAIN_TRY(const std::string size, write_and_commit(input, token));
    Committed committed{join_path(options_.directory, step_directory(input.step)),
                        std::stoull(size),
                        tidy(input.step, token)};
    return committed;
}

}  // namespace

std::unique_ptr<Saver> make_saver(Surroundings surroundings, StoreOptions options) {
    return std::make_unique<StoreSaver>(std::move(surroundings), std::move(options));
}

}  // namespace mpitrain::checkpoint
