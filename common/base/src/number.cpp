#include "mpitrain/base/number.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

namespace mpitrain {

Result<std::int64_t> parse_integer(std::string_view text, std::int64_t low, std::int64_t high) {
    std::int64_t value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || stop != end || value < low || value > high) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("'{}' is not a whole number from {} to {}", text, low, high));
    }
    return value;
}

Result<double> parse_number(std::string_view text) {
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::general);
    if (error != std::errc{} || stop != end || !std::isfinite(value)) {
        return Error(ErrorCode::invalid_argument, fmt::format("'{}' is not a number", text));
    }
    return value;
}

}  // namespace mpitrain
