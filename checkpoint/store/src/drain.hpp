#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "local_commit.hpp"
#include "mpitrain/checkpoint/saver.hpp"
#include "mpitrain/checkpoint/staging.hpp"
#include "node_map.hpp"
#include "save_steps.hpp"
#include "writer_thread.hpp"

namespace mpitrain::checkpoint {

// A commit that all nodes hold and the shared directory is to get.
struct Drainable {
    std::uint64_t step = 0;
    std::string token;
    std::string place;  // this rank's local directory of it
    Manifest manifest;
    Contents contents;
    std::vector<std::string> warnings{};  // such as commits that it has overtaken
    std::uint64_t number = 0;             // of the drain, from 1 on; given by submit()
};

// Drains behind the training, one commit at a time. The caller's thread talks to the ranks, the
// writer's thread to the disks.
//
//   copying -> telling the others -> (copying what was damaged, from the partner -> telling)
//     -> committing (rank 0) -> hearing of the commit -> done
//
// Used by one thread.
class Drain {
  public:
    // All must outlive it.
    Drain(SaveSteps& shared, const NodeMap& nodes, std::uint64_t bytes_per_second)
        : shared_(shared), nodes_(nodes), bytes_per_second_(bytes_per_second) {}

    // Behind the one under way. Overtakes those that wait and that no rank has begun: all ranks
    // give the same commits in the same order, and the largest of their begun().
    void submit(std::shared_ptr<Drainable> commit, std::uint64_t begun_by_any);
    // The number of the last drain that this rank has begun.
    [[nodiscard]] std::uint64_t begun() const { return begun_; }
    // Goes as far as it can without waiting; the outcome of a drain that has ended, once.
    std::optional<Result<Committed>> poll();
    // Waits until nothing is under way, without the limit of speed. Errors: deadline_exceeded.
    Result<void> settle(std::chrono::milliseconds deadline);
    // The steps under way or waiting, whose local directories are still needed.
    [[nodiscard]] std::set<std::uint64_t> needed() const;
    // Runs `job` on the writer's thread, after what is there.
    void run_behind(std::function<void()> job);

  private:
    enum class Phase { idle, copying, telling_copied, committing, telling_committed };

    Result<bool> advance();
    Result<bool> begin_next();
    Result<bool> copy(std::vector<std::size_t> shards, bool opens);
    Result<std::string> copy_now(const Drainable& commit,
                                 const std::vector<std::size_t>& shards,
                                 bool opens);
    Result<bool> tell(Phase next);
    Result<bool> hear_copied();
    Result<bool> hear_committed();
    Result<bool> commit_now();
    // The shards that this rank copies when the ranks in `failed` could not; nullopt: nobody can.
    [[nodiscard]] std::optional<std::vector<std::size_t>> second_try(
        const std::set<int>& failed) const;
    void give_up(const Error& error);
    void end(Result<Committed> outcome);

    SaveSteps& shared_;
    const NodeMap& nodes_;
    std::uint64_t bytes_per_second_;
    Phase phase_ = Phase::idle;
    bool tried_partners_ = false;
    std::shared_ptr<Drainable> now_;
    std::deque<std::shared_ptr<Drainable>> waiting_;
    std::uint64_t submitted_ = 0;
    std::uint64_t begun_ = 0;
    Result<std::string> mine_;
    std::optional<std::future<WriterThread::Outcome>> job_;
    std::deque<Result<Committed>> ended_;
    std::unique_ptr<Staging> staging_;  // used by the writer's thread; made by the first drain
    std::atomic<bool> hurry_ = false;
    WriterThread writer_;  // last: its jobs use all the rest
};

}  // namespace mpitrain::checkpoint
