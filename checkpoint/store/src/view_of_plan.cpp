#include "view_of_plan.hpp"

#include <algorithm>

#include "mpitrain/checkpoint/names.hpp"

namespace mpitrain::checkpoint {

bool deserves_view(const SavePlan& plan) {
    std::size_t blocks = 0;
    for (const ShardPlan& shard : plan.shards) {
        blocks += shard.pieces.size();
    }
    return plan.shards.size() <= view_shards_max && blocks <= view_blocks_max;
}

namespace {

// All tensors, made of the datasets of the files that `file_of` names.
template <typename FileOf>
std::vector<ViewTensor> seen_through(const SavePlan& plan, FileOf file_of) {
    std::vector<ViewTensor> tensors;
    for (const TensorPlan& tensor : plan.tensors) {
        tensors.push_back({tensor.name, tensor.dtype, tensor.shape, {}});
    }
    for (const ShardPlan& shard : plan.shards) {
        const std::string file = file_of(shard);
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

}  // namespace

std::vector<ViewTensor> view_of(const SavePlan& plan, std::string_view token) {
    return seen_through(plan,
                        [&](const ShardPlan& shard) { return shard_file(shard.rank, token); });
}

std::vector<ViewTensor> view_within(const SavePlan& plan) {
    std::vector<ViewTensor> tensors = seen_through(plan, [](const ShardPlan&) { return "."; });
    const auto is_there = [](const ViewTensor& tensor) {
        return !tensor.sources.empty() && tensor.sources.front().dataset == "/" + tensor.name;
    };
    tensors.erase(std::remove_if(tensors.begin(), tensors.end(), is_there), tensors.end());
    return tensors;
}

}  // namespace mpitrain::checkpoint
