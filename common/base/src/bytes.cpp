#include "mpitrain/base/bytes.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "mpitrain/base/number.hpp"

namespace mpitrain {
namespace {

struct Unit {
    std::string_view name;
    double factor;
};

constexpr double kibi = 1024.0;
constexpr std::array units = {
    Unit{"", 1},
    Unit{"B", 1},
    Unit{"K", kibi},
    Unit{"KiB", kibi},
    Unit{"KB", 1e3},
    Unit{"M", kibi* kibi},
    Unit{"MiB", kibi* kibi},
    Unit{"MB", 1e6},
    Unit{"G", kibi* kibi* kibi},
    Unit{"GiB", kibi* kibi* kibi},
    Unit{"GB", 1e9},
    Unit{"T", kibi* kibi* kibi* kibi},
    Unit{"TiB", kibi* kibi* kibi* kibi},
    Unit{"TB", 1e12},
};

}  // namespace

Result<Bytes> Bytes::parse(std::string_view text) {
    const std::size_t split = std::min(text.find_first_not_of("0123456789."), text.size());
    const auto number = parse_number(text.substr(0, split));
    for (const Unit& unit : units) {
        if (number && unit.name == text.substr(split)) {
            const double count = *number * unit.factor;
            if (count < 0x1p63) {
                return Bytes(static_cast<std::uint64_t>(std::llround(count)));
            }
        }
    }
    return Error(ErrorCode::invalid_argument, fmt::format("'{}' is not a size", text))
        .mend("write sizes like 512MiB, 64G or 1.5T");
}

std::string Bytes::to_string() const {
    if (count_ < 1024) {
        return fmt::format("{} B", count_);
    }
    double value = static_cast<double>(count_);
    const char* names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int unit = 0;
    while (value >= kibi && unit < 6) {
        value /= kibi;
        ++unit;
    }
    return value < 10 ? fmt::format("{:.1f} {}", value, names[unit])
                      : fmt::format("{:.0f} {}", value, names[unit]);
}

}  // namespace mpitrain
