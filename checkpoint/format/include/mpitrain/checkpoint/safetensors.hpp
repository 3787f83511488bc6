#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/tensor.hpp"

// The safetensors file: eight bytes of length, a header in JSON, the tensors' bytes. What comes
// from elsewhere is believed only as far as it is checked here.
namespace mpitrain::checkpoint {

struct SafetensorsTensor {
    std::string name;
    DType dtype = DType::float32;
    std::vector<std::uint64_t> shape;
    std::uint64_t offset = 0;  // of its first byte, from the end of the header on
    std::uint64_t size_bytes = 0;
    bool operator==(const SafetensorsTensor&) const = default;
};

struct SafetensorsHeader {
    std::vector<SafetensorsTensor> tensors;       // by name
    std::map<std::string, std::string> metadata;  // "__metadata__"
    bool operator==(const SafetensorsHeader&) const = default;
};

inline constexpr std::uint64_t safetensors_prefix_bytes = 8;
// The format's own limit.
inline constexpr std::uint64_t safetensors_header_bytes_max = 100'000'000;

// The length of the header, out of the first bytes of a file of `file_bytes`. Errors: data_loss
// (too short, or the header would end beyond the file), unsupported (a header beyond the limit).
Result<std::uint64_t> safetensors_header_bytes(std::string_view prefix, std::uint64_t file_bytes);

// The header, of a file that goes on for `data_bytes` behind it. The tensors cover these bytes,
// each by one. Errors, which name the tensor: data_loss (syntax, a name twice, a length that is not
// that of the shape, overlap, bytes of no tensor, offsets beyond the file), unsupported (a dtype
// that a checkpoint does not hold), invalid_argument (a name or shape that it does not hold).
Result<SafetensorsHeader> decode_safetensors(std::string_view header, std::uint64_t data_bytes);

// What comes before the tensors' bytes: prefix and header, padded to a multiple of eight. The
// offsets are the caller's.
std::string encode_safetensors(const SafetensorsHeader& header);

}  // namespace mpitrain::checkpoint
