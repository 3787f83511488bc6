#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/tensor.hpp"

// Which bytes of which files make up the blocks that one rank wants, whatever the blocks they were
// saved in.
namespace mpitrain::checkpoint {

// Bytes of one request that go to one place.
struct Copy {
    std::uint64_t request_offset = 0;
    std::size_t target = 0;  // in the list of wanted blocks
    std::uint64_t target_offset = 0;
    std::uint64_t size_bytes = 0;
};

// One read of a file: whole checksum blocks (but for the end of the file), at most request_bytes.
struct ReadRequest {
    std::size_t shard = 0;
    std::uint64_t offset = 0;
    std::uint64_t size_bytes = 0;
    std::size_t first_copy = 0;  // in ReadPlan::copies
    std::size_t copy_count = 0;
};

struct ReadPlan {
    std::vector<ReadRequest> requests;  // by shard, then offset
    std::vector<Copy> copies;
};

inline constexpr std::uint64_t request_bytes = std::uint64_t{8} << 20U;

// Finds every wanted block in the manifest. Blocks of no elements ask for nothing. Errors, which
// name the tensor: not_found, invalid_argument (another type or shape, a bad block).
Result<ReadPlan> plan_read(const Manifest& manifest, std::span<const TensorSpec> wanted);

// The same for blobs, all of those in the manifest: targets are the blobs' places there.
ReadPlan plan_read_blobs(const Manifest& manifest);

// The parts of a shard that hold no tensor's and no blob's bytes, as requests without copies: read
// to check them.
ReadPlan plan_read_rest(const Manifest& manifest, std::size_t shard);

// All of a shard, as requests without copies.
ReadPlan plan_read_all(const Manifest& manifest, std::size_t shard);

}  // namespace mpitrain::checkpoint
