#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "mpitrain/base/bytes.hpp"
#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/number.hpp"

// Durations, sizes and numbers: what is accepted is within the promised bounds, and can be shown.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto duration = mpitrain::parse_duration(text)) {
        const bool in_bounds = *duration >= mpitrain::Nanoseconds::zero() &&
                               *duration <= std::chrono::hours(24 * 3660);
        if (!in_bounds || mpitrain::format_duration(*duration).empty()) {
            std::abort();
        }
    }
    if (const auto bytes = mpitrain::Bytes::parse(text)) {
        if (bytes->count() > (1ULL << 63U) || bytes->to_string().empty()) {
            std::abort();
        }
    }
    if (const auto number = mpitrain::parse_integer(text, -5, 5);
        number && (*number < -5 || *number > 5)) {
        std::abort();
    }
    static_cast<void>(mpitrain::parse_number(text));
    return 0;
}
