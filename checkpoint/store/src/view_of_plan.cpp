#include "view_of_plan.hpp"

#include "mpitrain/checkpoint/names.hpp"

namespace mpitrain::checkpoint {

bool deserves_view(const SavePlan& plan) {
    std::size_t blocks = 0;
    for (const ShardPlan& shard : plan.shards) {
        blocks += shard.pieces.size();
    }
    return plan.shards.size() <= view_shards_max && blocks <= view_blocks_max;
}

std::vector<ViewTensor> view_of(const SavePlan& plan, std::string_view token) {
    std::vector<ViewTensor> tensors;
    for (const TensorPlan& tensor : plan.tensors) {
        tensors.push_back({tensor.name, tensor.dtype, tensor.shape, {}});
    }
    for (const ShardPlan& shard : plan.shards) {
        const std::string file = shard_file(shard.rank, token);
        for (const Piece& piece : shard.pieces) {
            if (piece.of_blob) {
                continue;
            }
            const DatasetPlan& dataset = shard.datasets[piece.dataset];
            const std::uint64_t element = size_bytes(dataset.dtype);
            tensors[piece.item].sources.push_back({file,
                                                   dataset.path,
                                                   dataset.shape,
                                                   piece.dataset_offset / element,
                                                   piece.size_bytes / element,
                                                   piece.block});
        }
    }
    return tensors;
}

}  // namespace mpitrain::checkpoint
