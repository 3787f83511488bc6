#include <cstdint>
#include <string>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/checkpoint/safetensors.hpp"

// Any bytes as a header, of files of several lengths, one that the input itself chooses: decoding
// never crashes, and what it accepts lies within the file, covers it, and survives the round trip.
namespace mpitrain::checkpoint {
namespace {

void try_header(std::string_view text, std::uint64_t data_bytes) {
    const auto header = decode_safetensors(text, data_bytes);
    if (!header) {
        MPITRAIN_ASSERT(!header.error().what().empty());
        return;
    }
    std::uint64_t total = 0;
    for (const SafetensorsTensor& tensor : header->tensors) {
        MPITRAIN_ASSERT(tensor.size_bytes <= data_bytes &&
                        tensor.offset <= data_bytes - tensor.size_bytes);
        MPITRAIN_ASSERT(*element_count(tensor.shape) * size_bytes(tensor.dtype) ==
                        tensor.size_bytes);
        total += tensor.size_bytes;
    }
    MPITRAIN_ASSERT(total == data_bytes);
    const std::string again = encode_safetensors(*header);
    const auto length = safetensors_header_bytes(again, again.size() + data_bytes);
    MPITRAIN_ASSERT(length.has_value() && *length == again.size() - safetensors_prefix_bytes);
    const auto decoded =
        decode_safetensors(std::string_view(again).substr(safetensors_prefix_bytes), data_bytes);
    MPITRAIN_ASSERT(decoded.has_value() && *decoded == *header);
}

}  // namespace
}  // namespace mpitrain::checkpoint

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mpitrain::checkpoint;
    const std::string text(reinterpret_cast<const char*>(data), size);
    static_cast<void>(safetensors_header_bytes(text, size));
    try_header(text, 26);
    try_header(text, 0);
    if (size > 2) {
        try_header(text, (std::uint64_t{data[size - 1]} << 8 | data[size - 2]) << (data[0] % 48));
    }
    return 0;
}
