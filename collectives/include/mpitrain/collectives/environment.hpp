#pragma once

#include <chrono>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"

namespace mpitrain::collectives {

// What the program promises MPI about its threads.
enum class ThreadUse { main_only, one_at_a_time, any };

// Owns MPI: starts it in open() and ends it in close(). One per process, opened by main() before
// any Communicator. If MPI already runs, the one who started it also ends it.
//
// A rank that fails must not close(): MPI's end waits for all ranks. It drops the Environment and
// returns non-zero from main(), which the launcher sees at once and answers by ending the others.
class Environment {
  public:
    // Errors: unsupported (MPI cannot give this use of threads), unavailable (MPI does not start).
    static Result<Environment> open(ThreadUse threads = ThreadUse::main_only);

    Environment(Environment&& other) noexcept;
    Environment& operator=(Environment&&) = delete;
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    ~Environment();  // leaves MPI as it is; see above

    // Ends MPI; collective over all ranks. Communicators that still live turn into no-ops whose
    // calls fail. Errors: deadline_exceeded (a rank did not come; the process should exit
    // non-zero).
    Result<void> close(Nanoseconds deadline = std::chrono::minutes(2));

  private:
    explicit Environment(bool owner) : owner_(owner) {}
    bool owner_;  // whether close() ends MPI
};

}  // namespace mpitrain::collectives
