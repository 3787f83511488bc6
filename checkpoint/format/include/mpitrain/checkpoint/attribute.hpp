#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <variant>

namespace mpitrain::checkpoint {

// A small named fact about a commit: the same on all ranks (rank 0's is kept).
using Attribute = std::variant<bool, std::int64_t, double, std::string>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

}  // namespace mpitrain::checkpoint
