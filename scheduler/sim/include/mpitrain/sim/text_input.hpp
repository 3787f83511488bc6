#pragma once

#include <string>

#include "mpitrain/base/result.hpp"

namespace mpitrain::sim {

// The whole of a file, unpacked if it is gzip. Errors: those of the system; invalid_argument when
// it is longer than 2 GiB unpacked; data_loss when it is torn.
Result<std::string> read_text(const std::string& path);

}  // namespace mpitrain::sim
