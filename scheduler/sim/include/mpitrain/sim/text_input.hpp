#pragma once

#include <string>

#include "mpitrain/base/result.hpp"

namespace mpitrain::sim {

// The whole of a file, unpacked if it is gzip. Errors: those of the system; invalid_argument when
// it is longer than 2 GiB unpacked; data_loss when it is torn.
Result<std::string> read_text(const std::string& path);

// Writes a file whole or not at all. Errors: those of the system.
Result<void> write_text(const std::string& path, const std::string& text);

}  // namespace mpitrain::sim
