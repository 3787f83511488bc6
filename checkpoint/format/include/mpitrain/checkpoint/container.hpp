#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/attribute.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"
#include "mpitrain/checkpoint/tensor.hpp"

// The file format around the bytes. The container lays a file out and yields its own bytes; it
// never does I/O, so the tensors' bytes reach the disk at the disk's speed.
namespace mpitrain::checkpoint {

// Bytes of the container itself, at a place in the file.
struct Extent {
    std::uint64_t offset = 0;
    std::vector<std::byte> bytes;
};

// A shard file without its datasets' bytes.
struct ShardImage {
    std::uint64_t size_bytes = 0;
    std::vector<std::uint64_t> dataset_offsets;  // as in the plan
    std::uint64_t table_offset = 0;              // of the checksum table; page-aligned
    std::uint64_t table_bytes = 0;               // whole pages, enough for every block of the file
    std::vector<Extent> metadata;  // by offset; together with datasets and table, the whole file
};

// Part of a tensor in a shard: `block` of the tensor is the `count` elements from `first` on in a
// dataset, or all of it, in row-major order.
struct ViewSource {
    std::string file;  // a name within the commit's directory
    std::string dataset;
    std::vector<std::uint64_t> dataset_shape;
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    Block block;
};

struct ViewTensor {
    std::string name;
    DType dtype = DType::float32;
    std::vector<std::uint64_t> shape;
    std::vector<ViewSource> sources;
};

class Container {
  public:
    virtual ~Container() = default;
    // Equal plans give equal images. A `block_bytes` of 0 leaves the checksum table out, and
    // table_bytes is 0 then. Cost: about 20 us a dataset.
    virtual Result<ShardImage> shard(std::span<const DatasetPlan> datasets,
                                     std::uint32_t block_bytes) = 0;
    // A file that several ranks write: every dataset begins on a border of rank_border_bytes, and
    // nothing else lies before the border at its end. It shows `virtuals` as whole tensors, made of
    // parts of datasets of this file (ViewSource::file is "."), and has `attributes`; datasets and
    // table lie in the same places whatever these are. Errors: invalid_argument when they take more
    // than 16 MiB.
    virtual Result<ShardImage> shared_file(std::span<const DatasetPlan> datasets,
                                           std::uint32_t block_bytes,
                                           std::span<const ViewTensor> virtuals,
                                           const Attributes& attributes) = 0;
    // A file in which each tensor is one dataset, made of parts of shard files. A part that cannot
    // be found reads as NaN, or as the lowest (unsigned: highest) integer.
    virtual Result<std::vector<std::byte>> view(std::span<const ViewTensor> tensors,
                                                const Attributes& attributes) = 0;
};

}  // namespace mpitrain::checkpoint
