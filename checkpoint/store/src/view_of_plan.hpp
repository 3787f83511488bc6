#pragma once

#include <string_view>
#include <vector>

#include "mpitrain/checkpoint/container.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"

namespace mpitrain::checkpoint {

// Whether a commit by this plan gets a view. HDF5 opens every source of a view it reads, at a cost
// that grows faster than their number, and mapping a block costs it 0.1 ms, which must stay hidden
// behind the writing. Larger checkpoints are exported for other tools instead.
inline constexpr std::size_t view_shards_max = 64;
inline constexpr std::size_t view_blocks_max = 4096;
bool deserves_view(const SavePlan& plan);

// How the tensors of a plan are seen through the shard files of the commit `token`.
std::vector<ViewTensor> view_of(const SavePlan& plan, std::string_view token);

// How those that are no datasets of their own are seen within a file of all ranks.
std::vector<ViewTensor> view_within(const SavePlan& plan);

}  // namespace mpitrain::checkpoint
