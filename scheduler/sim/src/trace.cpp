#include "mpitrain/sim/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "rows.hpp"

namespace mpitrain::sim {
namespace {

constexpr std::int64_t gpus_max = 10'000'000;
constexpr std::int64_t id_max = std::int64_t{1} << 62;

// Sorts, and refuses a job that is there twice.
Result<Trace> finish(Trace trace, std::string_view name) {
    std::unordered_set<JobId> known;
    trace.has_estimates = !trace.jobs.empty();
    for (const TraceJob& job : trace.jobs) {
        if (!known.insert(job.job).second) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("field 'job_id': job {} is there twice", job.job.value()))
                .at(name);
        }
        trace.has_estimates = trace.has_estimates && job.estimate.has_value();
    }
    std::stable_sort(trace.jobs.begin(), trace.jobs.end(), [](const auto& a, const auto& b) {
        return a.submitted < b.submitted;
    });
    return trace;
}

struct CsvColumns {
    std::size_t job = 0, submitted = 0, gpus = 0, duration = 0;
    std::optional<std::size_t> estimate, priority, gpus_min, deadline, after, user, queue;
};

Result<CsvColumns> read_header(const Row& row) {
    const Columns columns(row.fields);
    CsvColumns found;
    const std::array<std::pair<std::string_view, std::size_t*>, 4> wanted = {
        std::pair{"job_id", &found.job},
        {"submit_s", &found.submitted},
        {"gpus", &found.gpus},
        {"duration_s", &found.duration}};
    for (const auto& [name, place] : wanted) {
        const auto index = columns.find(name);
        if (!index) {
            return Row(row)
                .error(name, "is not in the header")
                .mend("the first line names at least job_id,submit_s,gpus,duration_s");
        }
        *place = *index;
    }
    found.estimate = columns.find("estimate_s");
    found.priority = columns.find("priority");
    found.gpus_min = columns.find("gpus_min");
    found.deadline = columns.find("deadline_s");
    found.after = columns.find("after");
    found.user = columns.find("user");
    found.queue = columns.find("queue");
    return found;
}

Result<std::vector<JobId>> read_after(const Row& row, std::size_t column) {
    std::vector<JobId> jobs;
    Row part{row.file, row.line, split(row.fields[column], ':')};
    for (std::size_t i = 0; i < part.fields.size(); ++i) {
        MPITRAIN_TRY(const auto id, part.integer(i, "after", 0, id_max));
        jobs.emplace_back(id);
    }
    return jobs;
}

Result<TraceJob> read_job(const Row& row, const CsvColumns& columns) {
    TraceJob job;
    MPITRAIN_TRY(const auto id, row.integer(columns.job, "job_id", 0, id_max));
    MPITRAIN_TRY(job.submitted, row.seconds(columns.submitted, "submit_s"));
    MPITRAIN_TRY(const auto gpus, row.integer(columns.gpus, "gpus", 0, gpus_max));
    MPITRAIN_TRY(job.duration, row.seconds(columns.duration, "duration_s"));
    job.job = JobId(id);
    job.gpus = static_cast<int>(gpus);
    const auto given = [&row](const std::optional<std::size_t>& column) {
        return column && *column < row.fields.size() && !row.fields[*column].empty();
    };
    if (given(columns.estimate)) {
        MPITRAIN_TRY(job.estimate, row.seconds(*columns.estimate, "estimate_s"));
    }
    if (given(columns.priority)) {
        MPITRAIN_TRY(const auto priority, row.integer(*columns.priority, "priority", -1000, 1000));
        job.priority = static_cast<int>(priority);
    }
    if (given(columns.gpus_min)) {
        MPITRAIN_TRY(const auto least, row.integer(*columns.gpus_min, "gpus_min", 0, gpus));
        job.gpus_min = static_cast<int>(least);
    }
    if (given(columns.deadline)) {
        MPITRAIN_TRY(job.deadline, row.seconds(*columns.deadline, "deadline_s"));
    }
    if (given(columns.after)) {
        MPITRAIN_TRY(job.after, read_after(row, *columns.after));
    }
    if (given(columns.user)) {
        job.user = row.fields[*columns.user];
    }
    if (given(columns.queue)) {
        job.queue = row.fields[*columns.queue];
    }
    return job;
}

}  // namespace

Result<Trace> read_csv_trace(std::string_view text, std::string_view name) {
    Row row{name, 0, {}};
    std::optional<CsvColumns> columns;
    Trace trace;
    for (const std::string_view line : lines_of(text)) {
        ++row.line;
        if (line.empty()) {
            continue;
        }
        row.fields = split(line, ',');
        if (!columns) {
            MPITRAIN_TRY(columns, read_header(row));
            continue;
        }
        MPITRAIN_TRY(TraceJob job, read_job(row, *columns));
        if (job.gpus == 0) {
            ++trace.skipped;
        } else {
            trace.jobs.push_back(std::move(job));
        }
    }
    if (!columns) {
        return Error(ErrorCode::invalid_argument, "the trace is empty").at(name);
    }
    return finish(std::move(trace), name);
}

Result<Trace> read_swf_trace(std::string_view text, std::string_view name) {
    // Counted from 1 in the format's definition: job, submit, wait, run time, processors, …,
    // 8 requested processors, 9 requested time, 12 user, 15 queue. -1 = unknown.
    Row row{name, 0, {}};
    Trace trace;
    for (const std::string_view line : lines_of(text)) {
        ++row.line;
        row.fields = split_blanks(line);
        if (row.fields.empty() || row.fields[0].front() == ';') {
            continue;
        }
        TraceJob job;
        MPITRAIN_TRY(const auto id, row.integer(0, "1 (job number)", 0, id_max));
        MPITRAIN_TRY(job.submitted, row.seconds(1, "2 (submit time)"));
        MPITRAIN_TRY(auto processors, row.integer(4, "5 (processors)", -1, gpus_max));
        if (row.fields.size() > 7 && row.fields[7] != "-1") {
            MPITRAIN_TRY(processors, row.integer(7, "8 (requested processors)", 0, gpus_max));
        }
        if (row.fields[3] == "-1" || processors <= 0) {
            ++trace.skipped;
            continue;
        }
        MPITRAIN_TRY(job.duration, row.seconds(3, "4 (run time)"));
        if (row.fields.size() > 8 && row.fields[8] != "-1") {
            MPITRAIN_TRY(job.estimate, row.seconds(8, "9 (requested time)"));
        }
        job.job = JobId(id);
        job.gpus = static_cast<int>(processors);
        if (row.fields.size() > 11) {
            job.user = row.fields[11];
        }
        if (row.fields.size() > 14) {
            job.queue = row.fields[14];
        }
        trace.jobs.push_back(std::move(job));
    }
    return finish(std::move(trace), name);
}

}  // namespace mpitrain::sim
