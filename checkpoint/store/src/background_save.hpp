#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <future>
#include <optional>
#include <string>

#include "mpitrain/checkpoint/saver.hpp"
#include "save_steps.hpp"
#include "snapshot.hpp"
#include "writer_thread.hpp"

namespace mpitrain::checkpoint {

// A save behind the training. The caller's thread copies the state and later, at step edges, talks
// to the other ranks; the writer's thread does everything on the disk and talks to nobody, so that
// no thread but the caller's ever needs MPI, and a disk that is stuck stops no training.
//
//   copied -> writing -> telling the others -> committing (rank 0) -> hearing of the commit -> idle
//
// Used by one thread.
class BackgroundSave {
  public:
    explicit BackgroundSave(SaveSteps& steps) : steps_(steps) {}

    // Collective, and waits for the ranks but for no disk. False: not started, because some rank is
    // still busy with the one before.
    Result<bool> start(const SaveInput& input);
    // Goes as far as it can without waiting; the outcome of a save that has ended, once.
    std::optional<Result<Committed>> poll();
    // Waits until nothing is under way; the outcome stays for poll(). Errors: deadline_exceeded.
    Result<void> settle(std::chrono::milliseconds deadline);

  private:
    enum class Phase { idle, writing, telling_written, committing, telling_committed };

    Result<void> snapshot(const SaveInput& input);
    Result<void> submit_writing();
    Result<std::string> write(bool is_first);
    // One step further, if that is possible now. Errors: the ranks have lost each other.
    Result<bool> advance();
    Result<bool> tell(Phase next);
    Result<bool> hear_written();
    Result<bool> hear_committed();
    void end(Result<Committed> outcome);

    SaveSteps& steps_;
    Snapshot snapshot_;
    Phase phase_ = Phase::idle;
    SaveInput input_;  // without tensors: those are in the snapshot
    std::string token_;
    Result<std::string> mine_;  // this rank's word in the phase at hand
    std::optional<std::future<WriterThread::Outcome>> job_;
    std::deque<Result<Committed>> ended_;
    std::atomic<bool> hurry_ = false;  // someone waits: write as fast as the disk does
    WriterThread writer_;              // last: its jobs use all the rest
};

}  // namespace mpitrain::checkpoint
