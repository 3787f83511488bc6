#pragma once

#include <string>
#include <string_view>

#include "mpitrain/base/result.hpp"

namespace mpitrain::topology {

// Looks over the text of a file that claims to be hwloc XML before hwloc gets it: the size, the
// tags (balanced, not too deep, not too many), no entities, a topology of a format we can read, and
// no number that would make hwloc allocate without bound. Linear in the text. Errors:
// invalid_argument, unsupported (format 3).
Result<void> check_xml(std::string_view xml);

inline constexpr std::size_t xml_size_max = std::size_t{32} << 20;

}  // namespace mpitrain::topology
