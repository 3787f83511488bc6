#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/tensor.hpp"

// Who writes what where: the pure answer to "these ranks hold these blocks".
namespace mpitrain::checkpoint {

// Opaque bytes that a rank brings. A global blob is rank 0's.
struct BlobSpec {
    std::string name;
    bool global = false;
    std::uint64_t size_bytes = 0;
    bool operator==(const BlobSpec&) const = default;
};

// What one rank brings to a save: the order is the order of its buffers.
struct Contribution {
    std::vector<TensorSpec> tensors;
    std::vector<BlobSpec> blobs;
    bool operator==(const Contribution&) const = default;
};

// A contribution on its way to the other ranks. Errors of decode: internal.
std::string encode(const Contribution& contribution);
Result<Contribution> decode_contribution(std::string_view text);

// Into how many files a commit goes.
enum class Layout : std::uint8_t {
    per_rank,  // each rank its own
    single,    // all ranks one
};

// A contiguous dataset of a shard file: one large block of a tensor, a pool of small ones of one
// dtype, or, in a file of all ranks, a whole tensor.
struct DatasetPlan {
    std::string path;
    DType dtype = DType::uint8;
    std::vector<std::uint64_t> shape;
    bool operator==(const DatasetPlan&) const = default;
};

// Bytes that one rank writes: from a contiguous part of one of its buffers into one dataset.
struct Piece {
    bool of_blob = false;
    std::size_t item = 0;  // in SavePlan::tensors, or ::blobs
    Block block{};         // of the tensor; empty for a blob
    std::uint64_t size_bytes = 0;
    int rank = 0;            // the writer
    std::size_t source = 0;  // in the writer's Contribution::tensors, or ::blobs
    std::uint64_t source_offset = 0;
    std::size_t dataset = 0;  // in ShardPlan::datasets
    std::uint64_t dataset_offset = 0;
};

struct ShardPlan {
    int rank = 0;  // that writes it, or the first of all
    std::vector<DatasetPlan> datasets;
    std::vector<Piece> pieces;  // by dataset, then offset
};

struct TensorPlan {
    std::string name;
    DType dtype = DType::float32;
    std::vector<std::uint64_t> shape;
};

struct BlobPlan {
    std::string name;
    std::optional<int> rank;  // nullopt: global
    std::uint64_t size_bytes = 0;
};

struct SavePlan {
    std::vector<TensorPlan> tensors;  // by name
    std::vector<BlobPlan> blobs;      // by name, global first, then rank
    std::vector<ShardPlan> shards;    // of the ranks that have something to write, by rank; or one
};

// Blocks smaller than this share a pool dataset, for a dataset costs more than their bytes.
inline constexpr std::uint64_t pooled_below_bytes = std::uint64_t{64} * 1024;

// In a file of all ranks, the bytes of one rank and those of the next never share such a unit: a
// block of checksums.
inline constexpr std::uint64_t rank_border_bytes = std::uint64_t{16} * 1024;

// Plans a save by the ranks whose contributions these are. Equal input, equal plan. A block that
// several ranks hold is written by one of them, or in parts by several, so that all write about the
// same amount. With Layout::single a tensor whose blocks follow each other in row-major order, from
// border to border, is one dataset under its own name. Errors: invalid_argument that names tensor
// and rank (types or shapes that differ, overlap, holes, bad names).
Result<SavePlan> plan_save(std::span<const Contribution> ranks, Layout layout = Layout::per_rank);

}  // namespace mpitrain::checkpoint
