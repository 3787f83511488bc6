#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/checkpoint/tensor.hpp"

// The geometry of blocks: boxes of integers in row-major order.
namespace mpitrain::checkpoint {

// The part that two boxes share; nullopt when there is none. Same number of dimensions.
std::optional<Block> intersection(const Block& a, const Block& b);

// Whether the boxes lie within `shape`, share no element and leave none out. Empty: they do; else a
// sentence that says where not. Boxes hold at least one element each.
std::string coverage_fault(const std::vector<std::uint64_t>& shape,
                           const std::vector<Block>& blocks);

// Elements that lie side by side both in block `from` and in block `to`.
struct Run {
    std::uint64_t from_index = 0;  // in elements, within the row-major bytes of each block
    std::uint64_t to_index = 0;
    std::uint64_t count = 0;
};

// Calls `visit` for the runs of `part`, which lies in both blocks, in the order of `from`. As few
// runs as there can be.
void for_each_run(const Block& part,
                  const Block& from,
                  const Block& to,
                  const std::function<void(const Run&)>& visit);

// At most `count` boxes of about equal size that together are `block`, each one contiguous in it.
std::vector<Block> split(const Block& block, std::uint64_t count);

}  // namespace mpitrain::checkpoint
