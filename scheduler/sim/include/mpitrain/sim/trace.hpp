#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/base/strong_id.hpp"

namespace mpitrain::sim {

// One job of a recorded workload.
struct TraceJob {
    JobId job;
    Nanoseconds submitted{};  // since the trace's own epoch
    int gpus = 1;             // or processors
    int gpus_min = 0;         // > 0: it makes do with so many, and runs longer in proportion
    Nanoseconds duration{};   // what it truly runs when nothing disturbs it
    std::optional<Nanoseconds> estimate = {};  // what its user said
    int priority = 0;
    std::optional<Nanoseconds> deadline = {};  // after submission
    std::vector<JobId> after = {};             // which must be over before it may start
    std::string user = {};
    std::string queue = {};
    bool operator==(const TraceJob&) const = default;
};

struct Trace {
    std::vector<TraceJob> jobs;  // by submission
    int skipped = 0;             // rows that ask for no GPU
    bool has_estimates = false;  // every job has one
};

// Reads normalised CSV, whose header names at least job_id, submit_s, gpus and duration_s, and may
// name estimate_s, priority, gpus_min, deadline_s (after submission), after (jobs, with colons
// between), user and queue; other columns are left alone. Seconds may have decimals. Errors:
// invalid_argument at "name:line", naming the field (missing, no number, negative, beyond 300 years
// or ten million GPUs, a job twice).
Result<Trace> read_csv_trace(std::string_view text, std::string_view name);

// Reads the Standard Workload Format, version 2: fields 1, 2, 4, 5 or 8, 9, 12 and 15. Jobs without
// a run time or processors are skipped. Errors: as above.
Result<Trace> read_swf_trace(std::string_view text, std::string_view name);

}  // namespace mpitrain::sim
