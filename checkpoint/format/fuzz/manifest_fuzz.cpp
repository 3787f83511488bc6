#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/read_plan.hpp"

// Any bytes, under a right seal so that they get past the checksum: decoding never crashes, and
// what it accepts survives the round trip and can be planned without leaving its files.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mpitrain::checkpoint;
    std::string text(reinterpret_cast<const char*>(data), size);
    static_cast<void>(decode_manifest(text));
    const std::uint32_t crc = crc32c(std::as_bytes(std::span(text)));
    text += fmt::format(",\"crc32c\":\"{:08x}\"}}\n", crc);
    const auto manifest = decode_manifest(text);
    if (!manifest) {
        return 0;
    }
    const auto again = decode_manifest(encode(*manifest));
    MPITRAIN_ASSERT(again.has_value());
    MPITRAIN_ASSERT(again->tensors == manifest->tensors && again->shards == manifest->shards);
    for (const StoredTensor& tensor : manifest->tensors) {
        const std::vector<mpitrain::checkpoint::TensorSpec> wanted = {
            {tensor.name, tensor.dtype, tensor.shape, {}}};
        // A tensor may claim a length that only a plan of that length could show.
        if (*element_count(tensor.shape) > (1U << 20)) {
            continue;
        }
        const auto plan = plan_read(*manifest, wanted);
        MPITRAIN_ASSERT(plan.has_value());
        for (const ReadRequest& request : plan->requests) {
            MPITRAIN_ASSERT(request.offset + request.size_bytes <=
                            manifest->shards[request.shard].size_bytes);
        }
    }
    return 0;
}
