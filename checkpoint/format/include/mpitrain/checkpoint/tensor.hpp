#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::checkpoint {

// The type of a tensor's elements, stored little-endian and never converted.
enum class DType : std::uint8_t {
    float64,
    float32,
    float16,
    bfloat16,
    float8_e5m2,
    float8_e4m3fn,
    int64,
    int32,
    int16,
    int8,
    uint64,
    uint32,
    uint16,
    uint8,
    boolean,  // one byte, 0 or 1
};

std::size_t size_bytes(DType dtype);
std::string_view to_string(DType dtype);
std::optional<DType> dtype_from(std::string_view name);

// A box of a tensor: `extent[d]` elements from `offset[d]` in every dimension. Its elements lie in
// row-major order, without gaps, in memory and on disk.
struct Block {
    std::vector<std::uint64_t> offset;
    std::vector<std::uint64_t> extent;
    bool operator==(const Block&) const = default;
};

// A tensor as one rank holds it: the global shape, and the block that is here. Both vectors of
// `block` empty means the whole tensor. `shape` empty is a scalar. Names may contain '/', which
// groups them in the HDF5 view.
struct TensorSpec {
    std::string name;
    DType dtype = DType::float32;
    std::vector<std::uint64_t> shape;
    Block block;
    bool operator==(const TensorSpec&) const = default;
};

// The number of elements in a box; 1 for a scalar. nullopt beyond 2^63.
std::optional<std::uint64_t> element_count(const std::vector<std::uint64_t>& extent);

// The block with the whole-tensor shorthand replaced by offsets of 0 and the extents of `shape`.
Block resolved_block(const TensorSpec& spec);

// Why a tensor or blob cannot have this name; empty when it can. A name is UTF-8 without control
// characters, because JSON holds it, and an HDF5 path, so no part between '/' is empty or dots.
std::string_view name_fault(std::string_view name);

// A name, shape and block that can be stored. Errors: invalid_argument that names the tensor.
Result<void> validate(const TensorSpec& spec);

}  // namespace mpitrain::checkpoint
