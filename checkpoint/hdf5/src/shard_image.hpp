#pragma once

#include "mpitrain/checkpoint/container.hpp"

namespace mpitrain::checkpoint::hdf5 {

// Container::shard, ::shared_file and ::view, with the library's lock held by the caller.
Result<ShardImage> make_shard_image(std::span<const DatasetPlan> datasets,
                                    std::uint32_t block_bytes);
Result<ShardImage> make_shared_image(std::span<const DatasetPlan> datasets,
                                     std::uint32_t block_bytes,
                                     std::span<const ViewTensor> virtuals,
                                     const Attributes& attributes);
Result<std::vector<std::byte>> make_view(std::span<const ViewTensor> tensors,
                                         const Attributes& attributes);

}  // namespace mpitrain::checkpoint::hdf5
