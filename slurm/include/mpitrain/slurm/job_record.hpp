#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::slurm {

// A job as Slurm tells of it. Times are seconds since 1970 UTC, 0 = not yet known.
struct JobRecord {
    std::uint32_t id = 0;
    std::string name;  // the user's, and may hold anything
    std::string user;
    std::string partition;
    std::string state;   // Slurm's word: "PENDING", "RUNNING", "COMPLETED" …
    std::string reason;  // why it waits or how it ended, Slurm's word; empty = none
    std::string nodes;   // host list; empty = none yet
    std::string output;  // file of its standard output, placeholders of Slurm's in it
    int tasks = 0;
    int restarts = 0;
    int exit_code = 0;    // of its script
    int exit_signal = 0;  // that ended its script
    std::int64_t submitted = 0;
    std::int64_t started = 0;  // of a waiting job: when Slurm expects to start it
    std::int64_t ended = 0;    // of a running job: its time limit
    bool operator==(const JobRecord&) const = default;
};

// What `squeue --json` prints (Slurm 21.08 to 24.11: plain numbers, or {set, infinite, number}).
// Errors: data_loss naming the field. Unknown fields are left out.
Result<std::vector<JobRecord>> parse_squeue_json(std::string_view text);

// What squeue prints with squeue_format(mark), for a Slurm without JSON. `mark` starts each record
// and each field, and must be a word that no user could have foreseen: a name may hold line breaks,
// bars and anything else. Errors: data_loss.
std::string squeue_format(std::string_view mark);
Result<std::vector<JobRecord>> parse_squeue_text(std::string_view text, std::string_view mark);

// CONTRACT section 6's word for a job's state: held pending starting running stopping succeeded
// failed cancelled.
std::string_view state_word(const JobRecord& job);
// Whether it will never run again.
bool has_ended(const JobRecord& job);

// The exit code that waiting for the job gives: its script's; 128+n by a signal; 124 by the time
// limit; 125 where Slurm ended it.
int exit_code_of(const JobRecord& job);

}  // namespace mpitrain::slurm
