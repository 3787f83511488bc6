#include "mpitrain/checkpoint/crc32c.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "crc32c_wide.hpp"
#include "mpitrain/base/assert.hpp"
#include "mpitrain/base/stream_copy.hpp"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace mpitrain::checkpoint {
namespace {

constexpr std::uint32_t polynomial = 0x82f63b78;  // reflected

using Table = std::array<std::array<std::uint32_t, 256>, 8>;

// Table k advances a byte that has k more bytes behind it, so that eight are looked up at once.
constexpr Table make_table() {
    Table table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t value = i;
        for (int bit = 0; bit < 8; ++bit) {
            value = (value >> 1) ^ ((value & 1) != 0 ? polynomial : 0);
        }
        table[0][i] = value;
    }
    for (std::size_t k = 1; k < 8; ++k) {
        for (std::size_t i = 0; i < 256; ++i) {
            table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xff];
        }
    }
    return table;
}

constexpr Table table = make_table();

std::uint64_t load64(const std::byte* at) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    return word;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(
    std::span<const std::byte> bytes, std::uint32_t before) {
    std::uint64_t crc = ~before;
    while (bytes.size() >= 8) {
        crc = _mm_crc32_u64(crc, load64(bytes.data()));
        bytes = bytes.subspan(8);
    }
    auto narrow = static_cast<std::uint32_t>(crc);
    for (const std::byte byte : bytes) {
        narrow = _mm_crc32_u8(narrow, std::to_integer<std::uint8_t>(byte));
    }
    return ~narrow;
}

// Three blocks side by side: the instruction has a latency of three cycles and issues every cycle.
__attribute__((target("sse4.2"))) void crc32c_of_three(const std::byte* bytes,
                                                       std::size_t block_bytes,
                                                       std::uint32_t* sums) {
    std::uint64_t a = ~std::uint32_t{0};
    std::uint64_t b = a;
    std::uint64_t c = a;
    for (std::size_t at = 0; at < block_bytes; at += 8) {
        a = _mm_crc32_u64(a, load64(bytes + at));
        b = _mm_crc32_u64(b, load64(bytes + block_bytes + at));
        c = _mm_crc32_u64(c, load64(bytes + 2 * block_bytes + at));
    }
    sums[0] = ~static_cast<std::uint32_t>(a);
    sums[1] = ~static_cast<std::uint32_t>(b);
    sums[2] = ~static_cast<std::uint32_t>(c);
}

bool has_instruction() {
    static const bool has = __builtin_cpu_supports("sse4.2") != 0;
    return has;
}
#else
std::uint32_t crc32c_by_instruction(std::span<const std::byte> bytes, std::uint32_t before) {
    return detail::crc32c_by_table(bytes, before);
}
void crc32c_of_three(const std::byte*, std::size_t, std::uint32_t*) {}
bool has_instruction() {
    return false;
}
#endif

}  // namespace

std::uint32_t detail::crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t before) {
    std::uint32_t crc = ~before;
    while (bytes.size() >= 8) {
        const std::uint64_t word = load64(bytes.data()) ^ crc;
        crc = 0;
        for (std::size_t k = 0; k < 8; ++k) {
            crc ^= table[7 - k][(word >> (8 * k)) & 0xff];
        }
        bytes = bytes.subspan(8);
    }
    for (const std::byte byte : bytes) {
        crc = (crc >> 8) ^ table[0][(crc ^ std::to_integer<std::uint32_t>(byte)) & 0xff];
    }
    return ~crc;
}

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before) {
    if (detail::has_wide_multiply() && bytes.size() >= detail::wide_unit) {
        const std::size_t whole = bytes.size() / detail::wide_unit * detail::wide_unit;
        before = detail::crc32c_wide(bytes.first(whole), before);
        bytes = bytes.subspan(whole);
    }
    return has_instruction() ? crc32c_by_instruction(bytes, before)
                             : detail::crc32c_by_table(bytes, before);
}

void crc32c_of_blocks(std::span<const std::byte> bytes,
                      std::size_t block_bytes,
                      std::span<std::uint32_t> sums) {
    MPITRAIN_ASSERT(block_bytes > 0 && block_bytes % 8 == 0);
    MPITRAIN_ASSERT(sums.size() == (bytes.size() + block_bytes - 1) / block_bytes);
    std::size_t block = 0;
    if (has_instruction() && !detail::has_wide_multiply()) {
        for (; bytes.size() >= (block + 3) * block_bytes; block += 3) {
            crc32c_of_three(bytes.data() + block * block_bytes, block_bytes, &sums[block]);
        }
    }
    for (; block < sums.size(); ++block) {
        const std::size_t at = block * block_bytes;
        sums[block] = crc32c(bytes.subspan(at, std::min(block_bytes, bytes.size() - at)));
    }
}

namespace {

// Summed while still in the cache from being copied.
void copy_then_sum(std::byte* to,
                   std::span<const std::byte> bytes,
                   std::size_t block_bytes,
                   std::span<std::uint32_t> sums) {
    constexpr std::size_t blocks_at_once = 6;  // three are summed side by side
    for (std::size_t block = 0; block < sums.size(); block += blocks_at_once) {
        const std::size_t at = block * block_bytes;
        const auto part =
            bytes.subspan(at, std::min(blocks_at_once * block_bytes, bytes.size() - at));
        std::memcpy(to + at, part.data(), part.size());
        crc32c_of_blocks({to + at, part.size()},
                         block_bytes,
                         sums.subspan(block, std::min(blocks_at_once, sums.size() - block)));
    }
}

}  // namespace

void copy_and_sum_blocks(std::byte* to,
                         std::span<const std::byte> bytes,
                         std::size_t block_bytes,
                         std::span<std::uint32_t> sums) {
    MPITRAIN_ASSERT(block_bytes > 0 && block_bytes % detail::wide_unit == 0);
    MPITRAIN_ASSERT(sums.size() == (bytes.size() + block_bytes - 1) / block_bytes);
    constexpr std::size_t line = 64;
    if (!detail::has_wide_multiply() || reinterpret_cast<std::uintptr_t>(to) % line != 0) {
        copy_then_sum(to, bytes, block_bytes, sums);
        return;
    }
    const std::size_t whole = bytes.size() / block_bytes;
    for (std::size_t block = 0; block < whole; ++block) {
        const std::size_t at = block * block_bytes;
        sums[block] = detail::crc32c_wide_copy(to + at, bytes.subspan(at, block_bytes), 0);
    }
    stream_fence();
    const std::size_t at = whole * block_bytes;
    copy_then_sum(to + at, bytes.subspan(at), block_bytes, sums.subspan(whole));
}

}  // namespace mpitrain::checkpoint
