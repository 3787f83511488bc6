#pragma once

#include <optional>
#include <string>

#include "last_commit.hpp"
#include "mpitrain/supervise/ledger.hpp"
#include "mpitrain/supervise/verdict.hpp"

namespace mpitrain {

enum class Outcome : std::uint8_t { succeeded, failed, stopped, timeout, cancelled };
std::string_view to_string(Outcome outcome);

// Checkpoints that could not be saved, of all attempts.
struct FailedSaves {
    std::uint64_t count = 0;
    std::uint64_t step = 0;  // of the last
    std::string reason;
};

// What is true of a job once it is over: mpitrain.result/1 of CONTRACT section 6.
struct JobResult {
    std::string job;
    int attempts = 0;
    Outcome outcome = Outcome::failed;
    int exit_code = 125;
    bool requeue = false;
    std::optional<Verdict> verdict;
    Ledger::Columns ledger;
    std::optional<CommitFound> last_checkpoint;
    std::optional<FailedSaves> failed_saves;
};

std::string to_json(const JobResult& result);  // one line, without an end

// Whether write_file_atomically() can be expected to work there, found out by trying. Errors: those
// of the calls, naming the path.
Result<void> check_writable(const std::string& path);

// Writes `text` whole or not at all: a temporary file beside it, then rename(2). Errors: those of
// the calls, naming the path.
Result<void> write_file_atomically(const std::string& path, const std::string& text);

// The account for people: outcome, where the time went, and after a failure what the causal rank
// last said and where the logs are.
std::string account(const JobResult& result, const std::string& log_path);

}  // namespace mpitrain
