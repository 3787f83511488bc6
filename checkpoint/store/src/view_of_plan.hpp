#pragma once

#include <string_view>
#include <vector>

#include "mpitrain/checkpoint/container.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"

namespace mpitrain::checkpoint {

// HDF5 opens every source of a view it reads, at a cost that grows faster than their number.
inline constexpr std::size_t view_shards_max = 64;

// How the tensors of a plan are seen through the shard files of the commit `token`.
std::vector<ViewTensor> view_of(const SavePlan& plan, std::string_view token);

}  // namespace mpitrain::checkpoint
