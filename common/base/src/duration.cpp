#include "mpitrain/base/duration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "mpitrain/base/number.hpp"

namespace mpitrain {
namespace {

constexpr double longest_seconds = 10.0 * 366 * 86400;

Error not_a_duration(std::string_view text) {
    return Error(ErrorCode::invalid_argument, fmt::format("'{}' is not a duration", text))
        .mend("write durations like 90s, 90m, 1h30m or 2-12:00:00");
}

std::optional<double> unit_seconds(std::string_view unit) {
    if (unit == "ms") {
        return 1e-3;
    }
    if (unit == "s") {
        return 1;
    }
    if (unit == "m" || unit == "min") {
        return 60;
    }
    if (unit == "h") {
        return 3600;
    }
    if (unit == "d") {
        return 86400;
    }
    return std::nullopt;
}

// Slurm's [days-]hours:minutes:seconds; with one colon it is minutes:seconds.
std::optional<double> parse_clock(std::string_view text) {
    double days = 0;
    const std::size_t dash = text.find('-');
    if (dash != std::string_view::npos) {
        const auto value = parse_integer(text.substr(0, dash), 0, 4000);
        if (!value) {
            return std::nullopt;
        }
        days = static_cast<double>(*value);
        text.remove_prefix(dash + 1);
    }
    double seconds = 0;
    int fields = 0;
    while (true) {
        const std::size_t colon = text.find(':');
        const auto value = parse_integer(text.substr(0, colon), 0, 1'000'000);
        if (!value || ++fields > 3) {
            return std::nullopt;
        }
        seconds = seconds * 60 + static_cast<double>(*value);
        if (colon == std::string_view::npos) {
            break;
        }
        text.remove_prefix(colon + 1);
    }
    // With days, the fields start at hours, however many follow.
    const bool starts_at_hours = dash != std::string_view::npos;
    for (; starts_at_hours && fields < 3; ++fields) {
        seconds *= 60;
    }
    return days * 86400 + seconds;
}

std::optional<double> parse_units(std::string_view text) {
    double seconds = 0;
    while (!text.empty()) {
        const std::size_t number_end = std::min(text.find_first_not_of("0123456789."), text.size());
        const auto number = parse_number(text.substr(0, number_end));
        text.remove_prefix(number_end);
        const std::size_t unit_end = std::min(text.find_first_of("0123456789."), text.size());
        const auto factor = unit_seconds(text.substr(0, unit_end));
        text.remove_prefix(unit_end);
        if (!number || !factor) {
            return std::nullopt;
        }
        seconds += *number * *factor;
    }
    return seconds;
}

}  // namespace

Result<Nanoseconds> parse_duration(std::string_view text) {
    std::optional<double> seconds;
    if (const auto plain = parse_number(text); plain && text.front() != '-') {
        seconds = *plain;
    } else if (text.find(':') != std::string_view::npos) {
        seconds = parse_clock(text);
    } else if (!text.empty()) {
        seconds = parse_units(text);
    }
    if (!seconds || *seconds > longest_seconds) {
        return not_a_duration(text);
    }
    return Nanoseconds(std::llround(*seconds * 1e9));
}

std::string format_duration(Nanoseconds duration) {
    const double seconds = std::chrono::duration<double>(duration).count();
    if (seconds < 0.9995) {
        return fmt::format("{:.0f}ms", seconds * 1e3);
    }
    if (seconds < 59.95) {
        return fmt::format("{:.1f}s", seconds);
    }
    const auto whole = static_cast<long long>(std::llround(seconds));
    if (whole < 3600) {
        return fmt::format("{}m{:02}s", whole / 60, whole % 60);
    }
    if (whole < 86400) {
        return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
    }
    return fmt::format("{}d{:02}h", whole / 86400, whole % 86400 / 3600);
}

}  // namespace mpitrain
