#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mpitrain::settings {

// The candidate that `word` was probably meant to be: at most a third of its letters inserted,
// dropped, changed or swapped with a neighbour. Empty if none is near. Cost: candidates × length².
std::string nearest(std::string_view word, const std::vector<std::string_view>& candidates);

}  // namespace mpitrain::settings
