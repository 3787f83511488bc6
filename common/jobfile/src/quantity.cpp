#include "quantity.hpp"

#include <fmt/format.h>

#include <array>

#include "mpitrain/base/number.hpp"

namespace mpitrain::jobfile {
namespace {

struct Suffix {
    std::string_view text;
    double factor;
};

// Two-letter ones first, so that "Mi" is not taken for "i" after "M".
constexpr std::array<Suffix, 13> suffixes = {{{"Ki", 0x1p10},
                                              {"Mi", 0x1p20},
                                              {"Gi", 0x1p30},
                                              {"Ti", 0x1p40},
                                              {"Pi", 0x1p50},
                                              {"Ei", 0x1p60},
                                              {"m", 1e-3},
                                              {"k", 1e3},
                                              {"M", 1e6},
                                              {"G", 1e9},
                                              {"T", 1e12},
                                              {"P", 1e15},
                                              {"E", 1e18}}};

}  // namespace

Result<double> parse_quantity(std::string_view text) {
    std::string_view digits = text;
    double factor = 1;
    for (const Suffix& suffix : suffixes) {
        if (text.ends_with(suffix.text)) {
            digits.remove_suffix(suffix.text.size());
            factor = suffix.factor;
            break;
        }
    }
    const auto number = parse_number(digits);
    if (!number || *number < 0 || *number * factor > 0x1p62) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("'{}' is not a quantity", text.substr(0, 40)))
            .mend("write it like 2, 500m or 16Gi");
    }
    return *number * factor;
}

}  // namespace mpitrain::jobfile
