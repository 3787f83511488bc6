#pragma once

#include <cstdint>
#include <string_view>

#include "mpitrain/base/result.hpp"

namespace mpitrain {

// The whole of `text` as a decimal integer within [low, high]. No sign but '-', no blanks, no
// locale. Errors: invalid_argument that quotes the text and the range.
Result<std::int64_t> parse_integer(std::string_view text, std::int64_t low, std::int64_t high);

// The whole of `text` as a finite decimal number.
Result<double> parse_number(std::string_view text);

}  // namespace mpitrain
