#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// CRC-32C by carry-less multiplication of 64 bytes at a time, on processors that have it.
namespace mpitrain::checkpoint::detail {

// Runs are summed in whole units of this many bytes.
inline constexpr std::size_t wide_unit = 256;

bool has_wide_multiply();

// As crc32c(). `bytes` are one unit or more, and whole units. Only where has_wide_multiply().
std::uint32_t crc32c_wide(std::span<const std::byte> bytes, std::uint32_t before);

// The same while copying to `to`, which is 64-byte aligned, past the cache.
std::uint32_t crc32c_wide_copy(std::byte* to,
                               std::span<const std::byte> bytes,
                               std::uint32_t before);

}  // namespace mpitrain::checkpoint::detail
