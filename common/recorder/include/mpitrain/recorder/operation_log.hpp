#pragma once

#include <cstdint>

#include "mpitrain/recorder/operation_page.hpp"

namespace mpitrain::recorder {

// Writes what this process's collectives do. Thread-safe; never waits, fails or allocates.
class OperationLog {
  public:
    // This process's own, or null where it was not started by a rank agent. Found once, at the
    // first call.
    static OperationLog* of_this_process();

    explicit OperationLog(OperationPage& page) : page_(page) {}

    // Notes that the operation begins now; of `operation`, the sequence and times are not read.
    // Gives the sequence, for end().
    std::uint64_t begin(const Operation& operation);
    void end(std::uint64_t sequence);

  private:
    OperationPage& page_;
};

// Notes one operation for as long as it lives; `log` may be null.
class RecordedOperation {
  public:
    RecordedOperation(OperationLog* log, const Operation& operation)
        : log_(log), sequence_(log != nullptr ? log->begin(operation) : 0) {}
    RecordedOperation(const RecordedOperation&) = delete;
    RecordedOperation& operator=(const RecordedOperation&) = delete;
    ~RecordedOperation() {
        if (log_ != nullptr) {
            log_->end(sequence_);
        }
    }

  private:
    OperationLog* log_;
    std::uint64_t sequence_;
};

}  // namespace mpitrain::recorder
