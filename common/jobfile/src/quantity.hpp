#pragma once

#include <string_view>

#include "mpitrain/base/result.hpp"

namespace mpitrain::jobfile {

// A Kubernetes quantity as a plain number: "500m" is 0.5, "16Gi" 2^34, "2k" 2000, "1e3" 1000.
// Errors: invalid_argument.
Result<double> parse_quantity(std::string_view text);

}  // namespace mpitrain::jobfile
