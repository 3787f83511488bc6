#pragma once

#include <string>
#include <string_view>

#include "mpitrain/base/result.hpp"

namespace mpitrain::cli {

// The path of another program of ours: ../libexec/mpitrain beside an installed mpitrain, the own
// directory in a build tree and in libexec, ../../bin for mpitrain itself as seen from there.
// Errors: not_found, naming the places.
Result<std::string> find_program_beside_us(std::string_view name);

// The path of a library of ours, installed or in the build tree; empty where there is none.
std::string find_library_beside_us(std::string_view name);

}  // namespace mpitrain::cli
