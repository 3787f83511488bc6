#include "event_log.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cerrno>
#include <ctime>
#include <nlohmann/json.hpp>

namespace mpitrain {

namespace {

std::int64_t read_clock(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::int64_t realtime_ns() {
    return read_clock(CLOCK_REALTIME);
}
std::int64_t monotonic_ns() {
    return read_clock(CLOCK_MONOTONIC);
}

std::string rfc3339(std::int64_t realtime_ns) {
    const auto seconds = static_cast<std::time_t>(realtime_ns / 1'000'000'000);
    return fmt::format(
        "{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(seconds), realtime_ns / 1000 % 1'000'000);
}

Result<EventLog> EventLog::open(const std::vector<std::string>& paths, std::string job) {
    EventLog log;
    log.job_ = std::move(job);
    for (const std::string& path : paths) {
        UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
        if (!fd) {
            return system_error(errno, "open the event file", path);
        }
        log.files_.emplace_back(path, std::move(fd));
    }
    return log;
}

void EventLog::emit(std::string_view event, const EventFields& fields) {
    nlohmann::ordered_json line;
    line["t"] = rfc3339(realtime_ns());
    line["event"] = event;
    line["job"] = job_;
    if (fields.attempt > 0) {
        line["attempt"] = fields.attempt;
    }
    if (fields.rank) {
        line["rank"] = fields.rank->value();
    }
    for (const auto& entry : fields.more) {
        std::visit([&](const auto& value) { line[entry.first] = value; }, entry.second);
    }
    // A program's text may be no UTF-8; the log must still be.
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    for (const auto& [path, fd] : files_) {
        if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) &&
            !error_) {
            error_ = system_error(errno, "append to the event file", path);
        }
    }
}

}  // namespace mpitrain
