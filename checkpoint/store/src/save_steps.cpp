#include "save_steps.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agreement.hpp"
#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "mpitrain/checkpoint/retention.hpp"
#include "shard_report.hpp"
#include "shard_writer.hpp"
#include "view_of_plan.hpp"

namespace mpitrain::checkpoint {
namespace {

std::string rfc3339(std::chrono::system_clock::time_point time) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

std::uint64_t round_up_to_pages(std::uint64_t bytes) {
    constexpr std::uint64_t page = File::direct_alignment;
    return (bytes + page - 1) / page * page;
}

}  // namespace

SaveSteps::SaveSteps(Surroundings surroundings, StoreOptions options)
    : world_(std::move(surroundings)),
      options_(std::move(options)),
      lease_(world_.files,
             options_.directory,
             world_.self,
             is_first() ? world_.fresh_token() : "",
             world_.is_dead) {}

std::string SaveSteps::temporary(std::uint64_t step, const std::string& token) const {
    return join_path(options_.directory, leftover_directory(step, Leftover::tmp, token));
}

std::string SaveSteps::path_of(std::uint64_t step) const {
    return join_path(options_.directory, step_directory(step));
}

std::string SaveSteps::shard_path(std::uint64_t step, const std::string& token) const {
    return join_path(temporary(step, token),
                     is_single() ? std::string(view_name) : shard_file(world_.peers.rank(), token));
}

std::string SaveSteps::plan_for(const Contribution& mine) const {
    const bool fits = prepared_ && (prepared_->mine.get() == &mine || *prepared_->mine == mine);
    return fits ? prepared_->id : "";
}

Result<void> SaveSteps::open_commit(std::uint64_t step, const std::string& token) {
    MPITRAIN_TRY_VOID(lease_.acquire());
    if (!leftovers_removed_) {
        MPITRAIN_TRY_VOID(
            remove_leftovers(world_.files, options_.directory, temporary(step, token)));
        leftovers_removed_ = true;
    }
    MPITRAIN_TRY_VOID(clear_place(step, token));
    return make_place(step, token);
}

Result<void> SaveSteps::make_place(std::uint64_t step, const std::string& token) {
    const auto made = world_.files.make_directory(temporary(step, token));
    return made || made.error().code() == ErrorCode::already_exists ? Result<void>() : made;
}

// A good commit of this step is never replaced; a damaged one makes way.
Result<void> SaveSteps::clear_place(std::uint64_t step, const std::string& token) {
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

Result<void> SaveSteps::prepare(const std::shared_ptr<const Contribution>& mine,
                                const std::vector<std::string>& plans,
                                const std::string& token) {
    const auto unchanged = [&](const std::string& plan) { return plan == plans.front(); };
    const bool reuse = prepared_ && plans.front() == prepared_->id &&
                       std::all_of(plans.begin(), plans.end(), unchanged);
    return reuse ? Result<void>() : prepare_anew(mine, token);
}

Result<void> SaveSteps::prepare_anew(const std::shared_ptr<const Contribution>& mine,
                                     const std::string& token) {
    prepared_.reset();
    MPITRAIN_TRY(Agreement told,
                 agree(world_.peers, encode(*mine), options_.deadline, "planning the save"));
    if (told.failed()) {
        return told.failure();
    }
    std::vector<Contribution> contributions;
    for (const std::string& word : told.words) {
        MPITRAIN_TRY(Contribution contribution, decode_contribution(word));
        contributions.push_back(std::move(contribution));
    }
    auto fresh = std::make_unique<Prepared>();
    MPITRAIN_TRY(fresh->plan, plan_save(contributions, options_.layout));
    fresh->id = token;
    fresh->mine = mine;
    for (const ShardPlan& shard : fresh->plan.shards) {
        if (is_single() || shard.rank == world_.peers.rank()) {
            fresh->shard = &shard;
        }
    }
    prepared_ = std::move(fresh);
    return {};
}

Result<void> SaveSteps::lay_out() {
    if (prepared_->shard == nullptr || prepared_->image) {
        return {};
    }
    if (is_single()) {
        MPITRAIN_TRY(
            prepared_->image,
            world_.container.shared_file(prepared_->shard->datasets, default_block_bytes, {}, {}));
        prepared_->share = part_of_file(*prepared_->shard, *prepared_->image, world_.peers.rank());
    } else {
        MPITRAIN_TRY(prepared_->image,
                     world_.container.shard(prepared_->shard->datasets, default_block_bytes));
        prepared_->share = whole_file(*prepared_->shard, *prepared_->image);
    }
    return {};
}

Result<Sources> SaveSteps::sources_of(const SaveInput& input) const {
    Sources sources{.tensors = input.tensors, .blobs = input.blobs};
    if (!input.on_device.empty()) {
        sources.on_device = input.on_device;
        sources.device = options_.device;
        MPITRAIN_TRY_VOID(sources.device->await_training());
    }
    return sources;
}

Result<std::string> SaveSteps::write_shard_of(const SaveInput& input, const std::string& token) {
    if (prepared_->shard == nullptr) {
        return std::string();
    }
    MPITRAIN_TRY_VOID(lay_out());
    if (prepared_->share.ranges.empty()) {
        return std::string();
    }
    const std::string path = shard_path(input.step, token);
    MPITRAIN_TRY(const Sources sources, sources_of(input));
    MPITRAIN_TRY(
        const WrittenShare written,
        write_share(opener(path), prepared_->share, *prepared_->image, sources, world_.staging));
    return report(written, path);
}

Result<std::string> SaveSteps::write_shard_of(const Snapshot& snapshot,
                                              std::uint64_t step,
                                              const std::string& token,
                                              const Pace& pace) {
    if (prepared_->shard == nullptr || prepared_->share.ranges.empty()) {
        return std::string();
    }
    MPITRAIN_TRY_VOID(make_place(step, token));
    const std::string path = shard_path(step, token);
    MPITRAIN_TRY(
        const WrittenShare written,
        write_snapshot(opener(path), prepared_->share, *prepared_->image, snapshot.bytes(), pace));
    return report(written, path);
}

OpenFile SaveSteps::opener(const std::string& path) const {
    const std::uint64_t size_bytes = round_up_to_pages(prepared_->image->size_bytes);
    return is_single() ? shared_file(world_.files, path, size_bytes)
                       : new_file(world_.files, path, size_bytes);
}

Result<std::string> SaveSteps::report(const WrittenShare& written, const std::string& path) const {
    if (is_single()) {
        MPITRAIN_TRY_VOID(written.file->sync());
        return encode_sums(written.sums);
    }
    MPITRAIN_TRY(ShardFile file, finish(*written.file, path, *prepared_->image, written.sums));
    return encode(ShardReport{std::move(file), prepared_->image->dataset_offsets});
}

SaveSteps::View SaveSteps::start_view(const SaveInput& input, const std::string& token) {
    const SavePlan& plan = prepared_->plan;
    const bool wanted = is_single() ? !plan.shards.empty() : options_.hdf5_view;
    if (!is_first() || !wanted || !deserves_view(plan)) {
        return {};
    }
    return std::async(std::launch::async | std::launch::deferred,
                      [this, &input, token] { return show(input, token); });
}

Result<SaveSteps::Shown> SaveSteps::show(const SaveInput& input, const std::string& token) {
    const SavePlan& plan = prepared_->plan;
    Attributes attributes = input.attributes;
    attributes["mpt.schema"] = std::string(manifest_schema);
    attributes["mpt.step"] = static_cast<std::int64_t>(input.step);
    if (is_single()) {
        const auto virtuals = options_.hdf5_view ? view_within(plan) : std::vector<ViewTensor>();
        MPITRAIN_TRY(ShardImage image,
                     world_.container.shared_file(
                         plan.shards.front().datasets, default_block_bytes, virtuals, attributes));
        return Shown{{}, std::move(image)};
    }
    MPITRAIN_TRY(const std::vector<std::byte> bytes,
                 world_.container.view(view_of(plan, token), attributes));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    MPITRAIN_TRY_VOID(
        write_new_file(world_.files, join_path(temporary(input.step, token), view_name), text));
    return Shown{ViewFile{bytes.size(), crc32c(bytes)}, {}};
}

// Rank 0: completes the file of all ranks, all parts of which are durable: with the container's own
// bytes and the checksums of all blocks.
Result<ShardReport> SaveSteps::seal(std::uint64_t step,
                                    const std::string& token,
                                    const std::vector<std::string>& told,
                                    const ShardImage& image) {
    std::vector<std::vector<FileRange>>& parts = prepared_->parts;
    for (int rank = static_cast<int>(parts.size()); rank < world_.peers.size(); ++rank) {
        parts.push_back(part_of_file(*prepared_->shard, *prepared_->image, rank).ranges);
    }
    std::vector<std::uint32_t> sums(static_cast<std::size_t>(
        (image.size_bytes + default_block_bytes - 1) / default_block_bytes));
    for (std::size_t rank = 0; rank < parts.size(); ++rank) {
        MPITRAIN_TRY(const std::vector<std::uint32_t> of_rank,
                     decode_sums(told[rank], parts[rank]));
        place_sums(parts[rank], of_rank, sums);
    }
    const std::string path = shard_path(step, token);
    const Share rest = rest_of_file(image, parts);
    MPITRAIN_TRY(const WrittenShare written,
                 write_share(shared_file(world_.files, path, round_up_to_pages(image.size_bytes)),
                             rest,
                             image,
                             {},
                             world_.staging));
    place_sums(rest.ranges, written.sums, sums);
    MPITRAIN_TRY(ShardFile file, finish(*written.file, path, image, sums));
    return ShardReport{std::move(file), image.dataset_offsets};
}

// Rank 0: the manifest as far as the plan and the reports know it; its tensors and blobs are in
// `contents`, made anew only when a dataset has another place than in the commit before.
Result<Manifest> SaveSteps::describe(std::vector<ShardReport> reports) {
    std::vector<std::vector<std::uint64_t>> places;
    places.reserve(reports.size());
    for (const ShardReport& report : reports) {
        places.push_back(report.dataset_offsets);
    }
    if (!prepared_->contents || prepared_->places != places) {
        prepared_->contents = encode_contents(manifest_of(prepared_->plan, reports));
        prepared_->places = std::move(places);
    }
    Manifest manifest;
    for (ShardReport& report : reports) {
        manifest.shards.push_back(std::move(report.file));
    }
    return manifest;
}

// Rank 0: the point where the commit comes to be is the rename; before it a crash leaves nothing
// visible, after the sync that follows it the commit is durable.
Result<std::string> SaveSteps::commit(const SaveInput& input,
                                      const std::string& token,
                                      const std::vector<std::string>& reports,
                                      View view) {
    const std::string place = temporary(input.step, token);
    Shown shown;
    if (view.valid()) {
        MPITRAIN_TRY(shown, view.get());
    }
    std::vector<ShardReport> shards;
    if (!is_single()) {
        MPITRAIN_TRY(shards, read_reports(prepared_->plan, reports));
    } else if (prepared_->shard != nullptr) {
        const ShardImage& image = shown.image ? *shown.image : *prepared_->image;
        MPITRAIN_TRY(ShardReport sealed, seal(input.step, token, reports, image));
        shards.push_back(std::move(sealed));
    }
    MPITRAIN_TRY(Manifest manifest, describe(std::move(shards)));
    manifest.view = shown.file;
    manifest.step = input.step;
    manifest.world_size = world_.peers.size();
    manifest.created = rfc3339(world_.now());
    manifest.model = options_.model;
    manifest.job = world_.self.job;
    manifest.attempt = world_.self.attempt;
    manifest.attributes = input.attributes;
    MPITRAIN_TRY_VOID(write_new_file(
        world_.files, join_path(place, manifest_name), encode(manifest, *prepared_->contents)));
    MPITRAIN_TRY_VOID(world_.files.sync_directory(place));
    const std::string path = path_of(input.step);
    const auto make_visible = [&]() -> Result<void> {
        MPITRAIN_TRY_VOID(world_.files.rename(place, path));
        return world_.files.sync_directory(options_.directory);
    };
    MPITRAIN_TRY_VOID(lease_.guard(make_visible));
    return fmt::format("{}", manifest.size_bytes());
}

void SaveSteps::abandon(std::uint64_t step, const std::string& token) {
    static_cast<void>(remove_tree(world_.files, temporary(step, token)));
}

std::vector<std::string> SaveSteps::tidy(std::uint64_t step, const std::string& token) {
    if (!is_first() || options_.keep.last == 0) {
        return {};
    }
    const auto removed =
        apply_retention(world_.files, options_.directory, options_.keep, step, token);
    if (!removed) {
        return {"an old commit could not be removed: " + removed.error().text()};
    }
    return {};
}

Result<void> SaveSteps::publish(std::uint64_t step,
                                const std::string& token,
                                std::string_view manifest,
                                std::string_view view) {
    const std::string place = temporary(step, token);
    if (!view.empty()) {
        MPITRAIN_TRY_VOID(write_new_file(world_.files, join_path(place, view_name), view));
    }
    MPITRAIN_TRY_VOID(write_new_file(world_.files, join_path(place, manifest_name), manifest));
    MPITRAIN_TRY_VOID(world_.files.sync_directory(place));
    return lease_.guard([&]() -> Result<void> {
        MPITRAIN_TRY_VOID(world_.files.rename(place, path_of(step)));
        return world_.files.sync_directory(options_.directory);
    });
}

}  // namespace mpitrain::checkpoint
