#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain {

// Expands Slurm's host list grammar, "gpu[01-04,7],login", in order, duplicates kept. At most
// `limit` names. Errors: invalid_argument naming the column.
Result<std::vector<std::string>> expand_host_list(std::string_view text,
                                                  std::size_t limit = 1 << 20);

// The reverse: neighbours with a common prefix and width are folded into ranges.
std::string fold_host_list(const std::vector<std::string>& hosts);

}  // namespace mpitrain
