#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "mpitrain/base/result.hpp"

namespace mpitrain {

using Nanoseconds = std::chrono::nanoseconds;

// "90s", "90m", "1h30m", "1.5h", "250ms", "2d", plain seconds "45", and Slurm's "1:30:00" and
// "2-12:00:00". Errors: invalid_argument (syntax, negative, longer than 10 years).
Result<Nanoseconds> parse_duration(std::string_view text);

// The shortest reading for people: "850ms", "12.3s", "4m05s", "2h03m", "3d04h".
std::string format_duration(Nanoseconds duration);

}  // namespace mpitrain
