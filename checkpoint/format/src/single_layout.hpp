#pragma once

#include <vector>

#include "mpitrain/checkpoint/save_plan.hpp"

namespace mpitrain::checkpoint {

// Lays the pieces of all ranks out in one file. `plan` has the tensors and blobs that they name.
ShardPlan lay_out_single(const SavePlan& plan, std::vector<Piece> pieces);

}  // namespace mpitrain::checkpoint
