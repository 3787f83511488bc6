#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/supervise/unique_fd.hpp"

namespace mpitrain {

// "2026-01-31T12:00:00.123456Z" (RFC 3339) from CLOCK_REALTIME nanoseconds.
std::string rfc3339(std::int64_t realtime_ns);
std::int64_t realtime_ns();
std::int64_t monotonic_ns();

// One line of events.jsonl. The names are listed in docs/events.md.
struct EventFields {
    using Value = std::variant<std::int64_t, double, bool, std::string>;
    int attempt = 0;
    std::optional<Rank> rank = std::nullopt;
    std::vector<std::pair<std::string, Value>> more = {};
};

// Appends events to the job's events.jsonl and to the user's --events FILE. One write(2) a line, so
// a line is never torn; a full disk loses lines, never the job: the first failure is kept in
// `error`.
class EventLog {
  public:
    // Errors: those of open(2), naming the path.
    static Result<EventLog> open(const std::vector<std::string>& paths, std::string job);

    void emit(std::string_view event, const EventFields& fields = {});
    [[nodiscard]] const std::optional<Error>& error() const { return error_; }

  private:
    std::string job_;
    std::vector<std::pair<std::string, UniqueFd>> files_;
    std::optional<Error> error_;
};

}  // namespace mpitrain
