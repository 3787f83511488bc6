#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/checkpoint/lease.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"
#include "mpitrain/checkpoint/saver.hpp"
#include "mpitrain/checkpoint/surroundings.hpp"
#include "shard_report.hpp"
#include "shard_writer.hpp"
#include "share.hpp"
#include "snapshot.hpp"

namespace mpitrain::checkpoint {

// A plan and this rank's layout, kept while the contributions stay what they are.
struct Prepared {
    std::string id;  // equal on all ranks, different for every plan
    std::shared_ptr<const Contribution> mine;
    SavePlan plan;
    // That which this rank writes, or writes a part of, in `plan`; null when there is none.
    const ShardPlan* shard = nullptr;
    std::optional<ShardImage> image;
    Share share;  // of the shard, once it is laid out
    // Rank 0, of a file of all ranks: what each of them writes of it.
    std::vector<std::vector<FileRange>> parts;
    // Rank 0: what the last manifest of this plan said of tensors and blobs, and the places of all
    // datasets, by shard, for which it holds.
    std::optional<EncodedContents> contents;
    std::vector<std::vector<std::uint64_t>> places;
};

// The steps of which every save is made, in whatever thread: those on the disk talk to no rank, so
// that they may run behind the training; what the ranks must agree on is the caller's. One step at
// a time.
class SaveSteps {
  public:
    SaveSteps(Surroundings surroundings, StoreOptions options);

    [[nodiscard]] bool is_first() const { return world_.peers.rank() == 0; }
    [[nodiscard]] Peers& peers() { return world_.peers; }
    [[nodiscard]] const StoreOptions& options() const { return options_; }
    [[nodiscard]] std::string fresh_token() { return world_.fresh_token(); }
    [[nodiscard]] std::string path_of(std::uint64_t step) const;

    // The plan at hand, if it is of just this contribution: what a rank tells the others.
    [[nodiscard]] std::string plan_for(const Contribution& mine) const;
    // Makes sure that the plan fits what all ranks now bring; `plans` is what each told. The plan
    // at hand is used again only when each rank compared its own contribution, in full, and found
    // no change. Collective. Uses `token` to name a new plan.
    Result<void> prepare(const std::shared_ptr<const Contribution>& mine,
                         const std::vector<std::string>& plans,
                         const std::string& token);
    // Lays this rank's shard out, if it has one.
    Result<void> lay_out();
    [[nodiscard]] const Prepared& prepared() const { return *prepared_; }

    // Rank 0: takes the lease and makes the place to write in. Idempotent.
    Result<void> open_commit(std::uint64_t step, const std::string& token);
    // Any rank: makes sure that the place to write in is there.
    Result<void> make_place(std::uint64_t step, const std::string& token);
    [[nodiscard]] std::string shard_path(std::uint64_t step, const std::string& token) const;
    // What there is to copy. What the device is still computing of it is waited for.
    Result<Sources> sources_of(const SaveInput& input) const;
    // Writes this rank's shard out of its buffers, and reports it; nothing where it has none.
    Result<std::string> write_shard_of(const SaveInput& input, const std::string& token);

    // The same out of a snapshot, at a pace.
    Result<std::string> write_shard_of(const Snapshot& snapshot,
                                       std::uint64_t step,
                                       const std::string& token,
                                       const Pace& pace);

    // How tools see whole tensors: in a file beside the shards, or within the one of all ranks,
    // which then looks like this.
    struct Shown {
        std::optional<ViewFile> file;
        std::optional<ShardImage> image;
    };
    // Rank 0: makes that in a thread, or, where none is to be had, later in get(). Invalid when
    // there is to be none. `input` must outlive it; the place to write in is there, and is not
    // removed before it has ended.
    using View = std::future<Result<Shown>>;
    View start_view(const SaveInput& input, const std::string& token);
    // Rank 0: makes the commit of what all ranks have reported, and tells its size.
    Result<std::string> commit(const SaveInput& input,
                               const std::string& token,
                               const std::vector<std::string>& reports,
                               View view);
    // For commits that come from elsewhere: the disk, and the place to write in, by name and made.
    [[nodiscard]] FileSystem& disk() { return world_.files; }
    [[nodiscard]] std::string place_of(std::uint64_t step, const std::string& token) const {
        return temporary(step, token);
    }
    Result<void> make_place_of(std::uint64_t step, const std::string& token) {
        return make_place(step, token);
    }
    // Rank 0: takes the lease, and nothing more. Idempotent.
    Result<void> take_lease() { return is_first() ? lease_.acquire() : Result<void>(); }
    // Rank 0: makes the commit of shards that lie in their place, by a manifest and view made
    // elsewhere; an empty view is none.
    Result<void> publish(std::uint64_t step,
                         const std::string& token,
                         std::string_view manifest,
                         std::string_view view);
    // Rank 0: removes what a failed save has written, as far as it can; the next writer does the
    // rest.
    void abandon(std::uint64_t step, const std::string& token);
    // Rank 0, after the commit: old commits go. What fails is no failure of the save, but told.
    std::vector<std::string> tidy(std::uint64_t step, const std::string& token);
    Result<void> release() { return is_first() ? lease_.release() : Result<void>(); }

  private:
    [[nodiscard]] bool is_single() const { return options_.layout == Layout::single; }
    Result<Shown> show(const SaveInput& input, const std::string& token);
    Result<ShardReport> seal(std::uint64_t step,
                             const std::string& token,
                             const std::vector<std::string>& told,
                             const ShardImage& image);
    Result<Manifest> describe(std::vector<ShardReport> reports);
    [[nodiscard]] OpenFile opener(const std::string& path) const;
    Result<std::string> report(const WrittenShare& written, const std::string& path) const;
    [[nodiscard]] std::string temporary(std::uint64_t step, const std::string& token) const;
    Result<void> clear_place(std::uint64_t step, const std::string& token);
    Result<void> prepare_anew(const std::shared_ptr<const Contribution>& mine,
                              const std::string& token);

    Surroundings world_;
    StoreOptions options_;
    Lease lease_;
    std::unique_ptr<Prepared> prepared_;
    bool leftovers_removed_ = false;
};

}  // namespace mpitrain::checkpoint
