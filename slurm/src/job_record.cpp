#include "mpitrain/slurm/job_record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "mpitrain/base/number.hpp"

namespace mpitrain::slurm {
namespace {

using Json = nlohmann::json;

Error unreadable(std::string_view field, std::string_view why) {
    return Error(ErrorCode::data_loss, fmt::format("squeue says something unexpected: {}", why))
        .at(field)
        .mend("check that squeue works here; is it Slurm's own?");
}

// A number, written plainly or, from 23.02 on, as {"set": true, "infinite": false, "number": 7}.
Result<std::int64_t> integer_of(const Json& job, const char* field) {
    const auto found = job.find(field);
    if (found == job.end() || found->is_null()) {
        return 0;
    }
    const Json* value = &*found;
    if (value->is_object()) {
        const auto set = value->find("set");
        const auto number = value->find("number");
        if (number == value->end() ||
            (set != value->end() && set->is_boolean() && !set->get<bool>())) {
            return 0;
        }
        value = &*number;
    }
    if (value->is_number_unsigned() &&
        value->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX)) {
        return 0;  // Slurm's "infinite"
    }
    if (!value->is_number_integer()) {
        return unreadable(field, "not a whole number");
    }
    return value->get<std::int64_t>();
}

// A text, or from 23.02 on a list of words of which the first counts.
Result<std::string> text_of(const Json& job, const char* field) {
    const auto found = job.find(field);
    if (found == job.end() || found->is_null()) {
        return std::string();
    }
    const Json* value = &*found;
    if (value->is_array()) {
        if (value->empty()) {
            return std::string();
        }
        value = &value->front();
    }
    if (!value->is_string()) {
        return unreadable(field, "not a text");
    }
    return value->get<std::string>();
}

int small(std::int64_t number) {
    return static_cast<int>(std::clamp<std::int64_t>(number, 0, INT32_MAX));
}

std::string none_is_empty(std::string word) {
    return word == "None" || word == "(null)" ? "" : std::move(word);
}

Result<void> read_exit(const Json& job, JobRecord& record) {
    const auto found = job.find("exit_code");
    if (found != job.end() && found->is_object() && found->contains("return_code")) {
        MPITRAIN_TRY(const std::int64_t code, integer_of(*found, "return_code"));
        record.exit_code = small(code);
        const auto signal = found->find("signal");
        if (signal != found->end() && signal->is_object()) {
            const char* field = signal->contains("id") ? "id" : "signal_id";
            MPITRAIN_TRY(const std::int64_t number, integer_of(*signal, field));
            record.exit_signal = small(number);
        }
        return {};
    }
    MPITRAIN_TRY(const std::int64_t status, integer_of(job, "exit_code"));  // as wait(2) gives it
    record.exit_code = static_cast<int>((status >> 8) & 0xff);
    record.exit_signal = static_cast<int>(status & 0x7f);
    return {};
}

Result<JobRecord> record_of(const Json& job) {
    if (!job.is_object()) {
        return unreadable("jobs", "an entry is no object");
    }
    JobRecord record;
    MPITRAIN_TRY(const std::int64_t id, integer_of(job, "job_id"));
    if (id < 1 || id > INT64_C(0xffff'ffff)) {
        return unreadable("job_id", "not a job's number");
    }
    record.id = static_cast<std::uint32_t>(id);
    MPITRAIN_TRY(record.name, text_of(job, "name"));
    MPITRAIN_TRY(record.user, text_of(job, "user_name"));
    MPITRAIN_TRY(record.partition, text_of(job, "partition"));
    MPITRAIN_TRY(record.state, text_of(job, "job_state"));
    if (record.state.empty()) {
        return unreadable("job_state", "it is missing");
    }
    MPITRAIN_TRY(std::string reason, text_of(job, "state_reason"));
    record.reason = none_is_empty(std::move(reason));
    MPITRAIN_TRY(record.nodes, text_of(job, "nodes"));
    MPITRAIN_TRY(record.output, text_of(job, "standard_output"));
    MPITRAIN_TRY(const std::int64_t tasks, integer_of(job, "tasks"));
    MPITRAIN_TRY(const std::int64_t restarts, integer_of(job, "restart_cnt"));
    record.tasks = small(tasks);
    record.restarts = small(restarts);
    MPITRAIN_TRY_VOID(read_exit(job, record));
    MPITRAIN_TRY(record.submitted, integer_of(job, "submit_time"));
    MPITRAIN_TRY(record.started, integer_of(job, "start_time"));
    MPITRAIN_TRY(record.ended, integer_of(job, "end_time"));
    return record;
}

constexpr std::array<std::string_view, 6> ended_words = {
    "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL"};

bool is_word(const JobRecord& job, std::string_view word) {
    return job.state == word;
}

}  // namespace

Result<std::vector<JobRecord>> parse_squeue_json(std::string_view text) {
    const Json answer = Json::parse(text, nullptr, false);
    if (answer.is_discarded() || !answer.is_object()) {
        return unreadable("squeue --json", "not JSON");
    }
    const auto jobs = answer.find("jobs");
    if (jobs == answer.end() || !jobs->is_array()) {
        return unreadable("jobs", "the list is missing");
    }
    std::vector<JobRecord> records;
    for (const Json& job : *jobs) {
        MPITRAIN_TRY(JobRecord record, record_of(job));
        records.push_back(std::move(record));
    }
    return records;
}

// The name comes last, so that nothing of it can be taken for another field.
std::string squeue_format(std::string_view mark) {
    constexpr std::array<std::string_view, 8> fields = {
        "%A", "%T", "%r", "%u", "%P", "%N", "%C", "%j"};
    std::string format;
    for (const std::string_view field : fields) {
        format += fmt::format("{}{}", mark, field);
    }
    return format;
}

Result<std::vector<JobRecord>> parse_squeue_text(std::string_view text, std::string_view mark) {
    constexpr std::size_t fields = 8;
    std::vector<std::string_view> parts;
    if (mark.empty()) {
        return unreadable("squeue", "no mark");
    }
    std::size_t at = text.find(mark);
    if (at == std::string_view::npos) {
        if (text.find_first_not_of(" \n") != std::string_view::npos) {
            return unreadable("squeue", "a line that is no record");
        }
        return std::vector<JobRecord>();
    }
    if (at != 0) {
        return unreadable("squeue", "text before the first record");
    }
    while (at != std::string_view::npos) {
        const std::size_t begin = at + mark.size();
        at = text.find(mark, begin);
        parts.push_back(text.substr(begin, at == std::string_view::npos ? at : at - begin));
    }
    if (parts.size() % fields != 0) {
        return unreadable("squeue", "a record with fields missing");
    }
    std::vector<JobRecord> records;
    for (std::size_t i = 0; i < parts.size(); i += fields) {
        const auto id = parse_integer(parts[i], 1, 0xffff'ffff);
        if (!id || parts[i + 1].empty()) {
            return unreadable("squeue", "a record without a number or a state");
        }
        JobRecord record;
        record.id = static_cast<std::uint32_t>(*id);
        record.state = parts[i + 1];
        record.reason = none_is_empty(std::string(parts[i + 2]));
        record.user = parts[i + 3];
        record.partition = parts[i + 4];
        record.nodes = parts[i + 5];
        const auto tasks = parse_integer(parts[i + 6], 0, INT32_MAX);
        record.tasks = tasks ? static_cast<int>(*tasks) : 0;
        record.name = parts[i + 7];
        if (!record.name.empty() && record.name.back() == '\n') {
            record.name.pop_back();
        }
        records.push_back(std::move(record));
    }
    return records;
}

std::string_view state_word(const JobRecord& job) {
    if (is_word(job, "PENDING")) {
        return job.reason == "JobHeldUser" || job.reason == "JobHeldAdmin" ||
                       job.reason == "JobHoldMaxRequeue"
                   ? "held"
                   : "pending";
    }
    if (is_word(job, "CONFIGURING")) {
        return "starting";
    }
    if (is_word(job, "COMPLETING") || is_word(job, "STOPPED") || is_word(job, "SIGNALING") ||
        is_word(job, "STAGE_OUT")) {
        return "stopping";
    }
    if (is_word(job, "RUNNING") || is_word(job, "SUSPENDED") || is_word(job, "RESIZING")) {
        return "running";
    }
    if (is_word(job, "COMPLETED")) {
        return "succeeded";
    }
    if (is_word(job, "CANCELLED")) {
        return "cancelled";
    }
    if (job.state.starts_with("REQUEUE") || is_word(job, "PREEMPTED") ||
        is_word(job, "SPECIAL_EXIT")) {
        return "pending";
    }
    return "failed";
}

bool has_ended(const JobRecord& job) {
    return is_word(job, "COMPLETED") || is_word(job, "DEADLINE") ||
           std::ranges::find(ended_words, job.state) != ended_words.end();
}

int exit_code_of(const JobRecord& job) {
    if (is_word(job, "TIMEOUT") || is_word(job, "DEADLINE")) {
        return 124;
    }
    if (job.exit_signal > 0) {
        return 128 + job.exit_signal;
    }
    if (job.exit_code > 0) {
        return job.exit_code;
    }
    return is_word(job, "COMPLETED") ? 0 : 125;
}

}  // namespace mpitrain::slurm
