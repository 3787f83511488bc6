#include "job_result.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>

#include "event_log.hpp"
#include "mpitrain/base/duration.hpp"

namespace mpitrain {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json verdict_json(const Verdict& verdict) {
    Json json;
    json["rank"] = verdict.rank ? Json(verdict.rank->value()) : Json(nullptr);
    json["host"] = verdict.host;
    json["cause"] = to_string(verdict.cause);
    json["exit_code"] = or_null(verdict.exit_code);
    json["signal"] = or_null(verdict.signal);
    json["core_dumped"] = verdict.core_dumped;
    json["first_seen"] = rfc3339(verdict.first_seen_ns);
    json["detail"] = verdict.detail;
    json["stderr_tail"] = verdict.stderr_tail;
    json["victims"] = Json::array();
    for (const Rank victim : verdict.victims) {
        json["victims"].push_back(victim.value());
    }
    if (!verdict.error_file.empty()) {
        const Json parsed = Json::parse(verdict.error_file, nullptr, false);
        json["error_file"] = parsed.is_discarded() ? Json(verdict.error_file) : parsed;
    }
    return json;
}

std::string seconds(double value) {
    return format_duration(Nanoseconds(std::llround(value * 1e9)));
}

// The last lines of what the causal rank said, indented.
std::string last_lines(std::string_view text) {
    constexpr int lines_max = 8;
    while (!text.empty() && text.back() == '\n') {
        text.remove_suffix(1);
    }
    if (text.empty()) {
        return "";
    }
    std::size_t begin = text.size();
    for (int lines = 0; lines < lines_max && begin != std::string_view::npos; ++lines) {
        begin = begin == 0 ? std::string_view::npos : text.rfind('\n', begin - 1);
    }
    text.remove_prefix(begin == std::string_view::npos ? 0 : begin + 1);
    std::string shown = "    ";
    for (const char c : text) {
        shown += c;
        shown += c == '\n' ? "    " : "";
    }
    return shown + "\n";
}

}  // namespace

std::string_view to_string(Outcome outcome) {
    switch (outcome) {
        case Outcome::succeeded:
            return "succeeded";
        case Outcome::failed:
            return "failed";
        case Outcome::stopped:
            return "stopped";
        case Outcome::timeout:
            return "timeout";
        case Outcome::cancelled:
            return "cancelled";
    }
    return "failed";
}

std::string to_json(const JobResult& result) {
    Json json;
    json["schema"] = "mpitrain.result/1";
    json["job"] = result.job;
    json["attempts"] = result.attempts;
    json["outcome"] = to_string(result.outcome);
    json["exit_code"] = result.exit_code;
    json["requeue"] = result.requeue;
    json["verdict"] = result.verdict ? verdict_json(*result.verdict) : Json(nullptr);
    const Ledger::Columns& ledger = result.ledger;
    json["ledger"] = {{"wall_s", ledger.wall_s},
                      {"starting_s", ledger.starting_s},
                      {"training_s", ledger.training_s},
                      {"checkpointing_s", ledger.checkpointing_s},
                      {"lost_s", ledger.lost_s},
                      {"down_s", ledger.down_s}};
    json["last_checkpoint"] = nullptr;
    if (result.last_checkpoint) {
        json["last_checkpoint"] = {{"step", result.last_checkpoint->step},
                                   {"path", result.last_checkpoint->path}};
    }
    if (result.failed_saves) {
        json["failed_saves"] = {{"count", result.failed_saves->count},
                                {"step", result.failed_saves->step},
                                {"reason", result.failed_saves->reason}};
    }
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<void> check_writable(const std::string& path) {
    const std::string temporary = fmt::format("{}.{}.tmp", path, ::getpid());
    const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!fd) {
        return system_error(errno, "create", path).mend("name a file in a folder that is there");
    }
    ::unlink(temporary.c_str());
    return {};
}

Result<void> write_file_atomically(const std::string& path, const std::string& text) {
    const std::string temporary = fmt::format("{}.{}.tmp", path, ::getpid());
    UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) {
        return system_error(errno, "create", temporary);
    }
    if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(fd.get()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) {
        const int error = errno;
        ::unlink(temporary.c_str());
        return system_error(error, "write", path);
    }
    return {};
}

std::string account(const JobResult& result, const std::string& log_path) {
    std::string text = fmt::format("mpitrain: job {} {}", result.job, to_string(result.outcome));
    if (result.verdict && result.outcome != Outcome::succeeded) {
        text += fmt::format(": {}", describe(*result.verdict));
    }
    text += fmt::format(" (exit code {})\n", result.exit_code);
    const Ledger::Columns& ledger = result.ledger;
    text += fmt::format(
        "  wall {} = starting {} + training {} + checkpointing {} + lost {} + down {}; {} "
        "attempt{}\n",
        seconds(ledger.wall_s),
        seconds(ledger.starting_s),
        seconds(ledger.training_s),
        seconds(ledger.checkpointing_s),
        seconds(ledger.lost_s),
        seconds(ledger.down_s),
        result.attempts,
        result.attempts == 1 ? "" : "s");
    if (result.last_checkpoint) {
        text += fmt::format("  last checkpoint: step {} in {}\n",
                            result.last_checkpoint->step,
                            result.last_checkpoint->path);
    }
    if (result.failed_saves) {
        text += fmt::format("  {} checkpoint{} failed, the last that of step {}: {}\n",
                            result.failed_saves->count,
                            result.failed_saves->count == 1 ? "" : "s",
                            result.failed_saves->step,
                            result.failed_saves->reason);
    }
    if (result.outcome == Outcome::failed && result.verdict) {
        const Verdict& verdict = *result.verdict;
        if (const std::string lines = last_lines(verdict.stderr_tail); !lines.empty()) {
            text += fmt::format("  rank {}'s last words on stderr:\n{}",
                                verdict.rank ? verdict.rank->value() : 0,
                                lines);
        } else if (verdict.cause == Cause::engine_lost && !verdict.detail.empty()) {
            text += fmt::format("  mpirun's last words:\n{}", last_lines(verdict.detail));
        }
        text += fmt::format("  logs: {}\n", log_path);
    }
    return text;
}

}  // namespace mpitrain
