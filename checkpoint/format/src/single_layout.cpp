#include "single_layout.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

namespace mpitrain::checkpoint {
namespace {

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

// The place of a block among the tensor's elements, in row-major order; nullopt when it is not in
// one stretch there.
std::optional<std::uint64_t> stretch_of(const Block& block,
                                        const std::vector<std::uint64_t>& shape) {
    std::uint64_t first = 0;
    bool split = false;  // an outer dimension has several indices, so inner ones must be whole
    for (std::size_t i = 0; i < shape.size(); ++i) {
        if (split && block.extent[i] != shape[i]) {
            return std::nullopt;
        }
        split = split || block.extent[i] > 1;
        first = first * shape[i] + block.offset[i];
    }
    return first;
}

class SingleLayout {
  public:
    explicit SingleLayout(const SavePlan& plan) : plan_(plan) {}

    // All pieces of one tensor or blob.
    void place(std::vector<Piece> pieces) {
        if (!place_whole(pieces)) {
            for (Piece& piece : pieces) {
                place_alone(std::move(piece));
            }
        }
    }

    // Ranks share a pool, each in a part of its own.
    void place_pools() {
        std::stable_sort(small_.begin(), small_.end(), [](const Small& a, const Small& b) {
            return std::tie(a.dtype, a.piece.rank) < std::tie(b.dtype, b.piece.rank);
        });
        std::uint64_t end = 0;  // of what is in the pool
        for (std::size_t i = 0; i < small_.size(); ++i) {
            Small& now = small_[i];
            if (i == 0 || small_[i - 1].dtype != now.dtype) {
                close_pool(end);
                add({fmt::format("/_mpt/pool/{}", to_string(now.dtype)), now.dtype, {0}});
                end = 0;
                pool_is_open_ = true;
            } else if (small_[i - 1].piece.rank != now.piece.rank) {
                end = round_up(end, rank_border_bytes);
            }
            now.piece.dataset = shard_.datasets.size() - 1;
            now.piece.dataset_offset = end;
            end += now.piece.size_bytes;
            shard_.pieces.push_back(std::move(now.piece));
        }
        close_pool(end);
    }

    ShardPlan take() {
        std::stable_sort(
            shard_.pieces.begin(), shard_.pieces.end(), [](const Piece& a, const Piece& b) {
                return std::tie(a.dataset, a.dataset_offset) <
                       std::tie(b.dataset, b.dataset_offset);
            });
        return std::move(shard_);
    }

  private:
    struct Small {
        DType dtype = DType::uint8;
        Piece piece;
    };

    [[nodiscard]] DType dtype_of(const Piece& piece) const {
        return piece.of_blob ? DType::uint8 : plan_.tensors[piece.item].dtype;
    }
    void add(DatasetPlan dataset) { shard_.datasets.push_back(std::move(dataset)); }

    // One dataset under the tensor's own name, where each rank's bytes begin on a border.
    bool place_whole(std::vector<Piece>& pieces) {
        if (pieces.front().of_blob) {
            return false;
        }
        const TensorPlan& tensor = plan_.tensors[pieces.front().item];
        const std::uint64_t element = size_bytes(tensor.dtype);
        std::uint64_t total = 0;
        for (Piece& piece : pieces) {
            const auto first = stretch_of(piece.block, tensor.shape);
            if (!first || *first * element % rank_border_bytes != 0) {
                return false;
            }
            piece.dataset_offset = *first * element;
            total += piece.size_bytes;
        }
        if (total < pooled_below_bytes) {
            return false;
        }
        add({"/" + tensor.name, tensor.dtype, tensor.shape});
        for (Piece& piece : pieces) {
            piece.dataset = shard_.datasets.size() - 1;
            shard_.pieces.push_back(std::move(piece));
        }
        return true;
    }

    void place_alone(Piece piece) {
        piece.dataset_offset = 0;
        if (piece.size_bytes < pooled_below_bytes) {
            small_.push_back({dtype_of(piece), std::move(piece)});
            return;
        }
        if (piece.of_blob) {
            const BlobPlan& blob = plan_.blobs[piece.item];
            const std::string whose = blob.rank ? fmt::format("{}", *blob.rank) : "global";
            add({fmt::format("/_mpt/blob/{}/{}", whose, blob.name),
                 DType::uint8,
                 {piece.size_bytes}});
        } else {
            const TensorPlan& tensor = plan_.tensors[piece.item];
            add({fmt::format("/_mpt/block/{}/{}", blocks_of_[piece.item]++, tensor.name),
                 tensor.dtype,
                 piece.block.extent});
        }
        piece.dataset = shard_.datasets.size() - 1;
        shard_.pieces.push_back(std::move(piece));
    }

    // To its end the pool has whole units, so that what lies behind it is another rank's too.
    void close_pool(std::uint64_t end) {
        if (std::exchange(pool_is_open_, false)) {
            DatasetPlan& pool = shard_.datasets.back();
            pool.shape = {round_up(end, rank_border_bytes) / size_bytes(pool.dtype)};
        }
    }

    const SavePlan& plan_;
    ShardPlan shard_;
    std::vector<Small> small_;
    bool pool_is_open_ = false;  // the last dataset, whose shape is not known yet
    std::map<std::size_t, int> blocks_of_;
};

}  // namespace

ShardPlan lay_out_single(const SavePlan& plan, std::vector<Piece> pieces) {
    std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
        return std::tie(a.of_blob, a.item, a.block.offset) <
               std::tie(b.of_blob, b.item, b.block.offset);
    });
    SingleLayout layout(plan);
    for (std::size_t begin = 0; begin < pieces.size();) {
        const auto key = std::pair(pieces[begin].of_blob, pieces[begin].item);
        std::vector<Piece> alike;
        while (begin < pieces.size() &&
               std::pair(pieces[begin].of_blob, pieces[begin].item) == key) {
            alike.push_back(std::move(pieces[begin++]));
        }
        layout.place(std::move(alike));
    }
    layout.place_pools();
    return layout.take();
}

}  // namespace mpitrain::checkpoint
