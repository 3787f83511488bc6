#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mpitrain::checkpoint {

// The CRC-32C (Castagnoli, as in RFC 3720) of `bytes`, going on from `before`, the CRC of what
// precedes them; 0 for none. With AVX-512 and VPCLMULQDQ as fast as the memory, with SSE4.2 about 3
// bytes a cycle and core, by table a tenth of that.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0);

// The CRC of each run of `block_bytes`, the last one perhaps shorter, into `sums`, which has one
// place for each. Several blocks at once, so up to three times as fast as one after the other.
void crc32c_of_blocks(std::span<const std::byte> bytes,
                      std::size_t block_bytes,
                      std::span<std::uint32_t> sums);

// The same while copying `bytes` to `to`: one walk over the memory, past the cache where the
// processor can and `to` is 64-byte aligned. `block_bytes` is a multiple of 256.
void copy_and_sum_blocks(std::byte* to,
                         std::span<const std::byte> bytes,
                         std::size_t block_bytes,
                         std::span<std::uint32_t> sums);

namespace detail {
// The portable form, for machines without the instruction and for tests.
std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t before);
}  // namespace detail

}  // namespace mpitrain::checkpoint
