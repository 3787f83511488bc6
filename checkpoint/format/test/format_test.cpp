#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "mpitrain/checkpoint/box.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "mpitrain/checkpoint/tensor.hpp"

namespace mpitrain::checkpoint {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

TEST(Crc32c, GivesTheKnownValues) {
    EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283U);
    EXPECT_EQ(crc32c(std::vector<std::byte>(32)), 0x8a9136aaU);  // RFC 3720, B.4
    EXPECT_EQ(crc32c({}), 0U);
}

TEST(Crc32c, TableInstructionAndBlocksAgree) {
    std::vector<std::byte> data(100003);
    for (std::size_t i = 0; i < data.size(); ++i) {
        data[i] = static_cast<std::byte>(i * i >> 3);
    }
    for (const std::size_t size : {1U, 7U, 8U, 9U, 4096U, 100003U}) {
        const auto part = std::span(data).first(size);
        EXPECT_EQ(crc32c(part), detail::crc32c_by_table(part, 0));
        EXPECT_EQ(crc32c(part.subspan(size / 3), crc32c(part.first(size / 3))), crc32c(part));
    }
    std::vector<std::uint32_t> sums(25);
    crc32c_of_blocks(data, 4096, sums);
    for (std::size_t block = 0; block < sums.size(); ++block) {
        const std::size_t at = block * 4096;
        EXPECT_EQ(
            sums[block],
            crc32c(std::span(data).subspan(at, std::min<std::size_t>(4096, data.size() - at))));
    }
}

TEST(Crc32c, IsTheSameWhileCopying) {
    std::vector<std::byte> from(40003);
    for (std::size_t i = 0; i < from.size(); ++i) {
        from[i] = static_cast<std::byte>(i * i >> 5);
    }
    alignas(64) static std::array<std::byte, 41000> memory{};
    for (const std::size_t shift : {0U, 1U, 64U}) {  // of what is written to
        for (const std::size_t size : {0U, 1U, 511U, 512U, 4096U, 40000U}) {
            const auto bytes = std::span(from).subspan(3, size);
            std::vector<std::uint32_t> sums((size + 511) / 512);
            copy_and_sum_blocks(memory.data() + shift, bytes, 512, sums);
            EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), memory.data() + shift));
            for (std::size_t block = 0; block < sums.size(); ++block) {
                const std::size_t at = block * 512;
                const auto part = bytes.subspan(at, std::min<std::size_t>(512, size - at));
                EXPECT_EQ(sums[block], detail::crc32c_by_table(part, 0)) << shift << " " << size;
            }
        }
    }
}

TEST(Box, CoverageNamesHolesAndOverlaps) {
    EXPECT_EQ(coverage_fault({4, 4}, {{{0, 0}, {2, 4}}, {{2, 0}, {2, 4}}}), "");
    EXPECT_EQ(coverage_fault({4, 4}, {{{0, 0}, {4, 1}}, {{0, 1}, {4, 3}}}), "");
    EXPECT_EQ(coverage_fault({}, {{{}, {}}}), "");
    EXPECT_EQ(coverage_fault({0, 3}, {}), "");
    EXPECT_EQ(coverage_fault({4, 4}, {{{0, 0}, {2, 4}}}), "the blocks hold 8 of 16 elements");
    EXPECT_EQ(coverage_fault({4}, {{{0}, {3}}, {{2}, {1}}}),
              "two different blocks both hold the element at [2]");
    EXPECT_EQ(coverage_fault({4}, {{{3}, {2}}}), "a block reaches beyond the shape [4]");
}

TEST(Box, SplitsIntoContiguousPartsThatCover) {
    const Block block{{1, 2, 3}, {1, 7, 5}};
    const auto parts = split(block, 3);
    ASSERT_EQ(parts.size(), 3U);
    EXPECT_EQ(parts[0].extent, (std::vector<std::uint64_t>{1, 3, 5}));
    EXPECT_EQ(parts[2].offset, (std::vector<std::uint64_t>{1, 7, 3}));
    EXPECT_EQ(split({{0}, {2}}, 5).size(), 2U);
    EXPECT_EQ(split({{}, {}}, 5).size(), 1U);
}

// Copies `part` by runs and, the slow way, element by element.
void expect_runs_copy(const Block& part, const Block& from, const Block& to, std::size_t runs_max) {
    std::vector<int> source(*element_count(from.extent));
    std::iota(source.begin(), source.end(), 1);
    std::vector<int> target(*element_count(to.extent), 0);
    std::vector<int> wanted = target;
    std::size_t runs = 0;
    std::uint64_t last_from = 0;
    for_each_run(part, from, to, [&](const Run& run) {
        EXPECT_TRUE(runs == 0 || run.from_index > last_from);
        last_from = run.from_index;
        ++runs;
        for (std::uint64_t i = 0; i < run.count; ++i) {
            target[run.to_index + i] = source[run.from_index + i];
        }
    });
    const auto index = [](const Block& block, std::uint64_t r, std::uint64_t c) {
        return (r - block.offset[0]) * block.extent[1] + (c - block.offset[1]);
    };
    for (std::uint64_t r = 0; r < part.extent[0]; ++r) {
        for (std::uint64_t c = 0; c < part.extent[1]; ++c) {
            const std::uint64_t row = part.offset[0] + r;
            const std::uint64_t column = part.offset[1] + c;
            wanted[index(to, row, column)] = source[index(from, row, column)];
        }
    }
    EXPECT_EQ(target, wanted);
    EXPECT_LE(runs, runs_max);
}

TEST(Box, RunsCopyAnyBlockToAnyOther) {
    expect_runs_copy({{0, 0}, {6, 4}}, {{0, 0}, {6, 4}}, {{0, 0}, {6, 4}}, 1);
    expect_runs_copy({{2, 0}, {2, 4}}, {{0, 0}, {6, 4}}, {{2, 0}, {2, 4}}, 1);
    expect_runs_copy({{2, 1}, {2, 2}}, {{0, 0}, {6, 4}}, {{2, 1}, {3, 2}}, 2);
    expect_runs_copy({{1, 1}, {3, 3}}, {{1, 0}, {4, 4}}, {{0, 1}, {4, 5}}, 3);
}

TEST(Names, OneStepHasOneName) {
    EXPECT_EQ(step_directory(0), "step-0");
    EXPECT_EQ(parse_step_directory("step-18446744073709551615"), UINT64_MAX);
    for (const char* other : {"step-",
                              "step-01",
                              "step--1",
                              "step-1x",
                              "step-1.tmp-a",
                              "Step-1",
                              "1",
                              "step-18446744073709551616"}) {
        EXPECT_FALSE(parse_step_directory(other)) << other;
    }
    EXPECT_TRUE(is_leftover(leftover_directory(3, Leftover::tmp, "ab")));
    EXPECT_TRUE(is_leftover("step-3.gone-x"));
    EXPECT_FALSE(is_leftover("step-x.tmp-1"));
    EXPECT_FALSE(is_leftover("notes.tmp-1"));
}

TEST(TensorSpecTest, BadOnesAreRefusedByName) {
    const auto text = [](const TensorSpec& spec) {
        const auto valid = validate(spec);
        return valid ? std::string("ok") : valid.error().text();
    };
    EXPECT_EQ(text({"a/b", DType::float32, {2, 3}, {}}), "ok");
    EXPECT_EQ(text({"a", DType::float32, {2, 3}, {{1, 0}, {1, 3}}}), "ok");
    EXPECT_EQ(text({"a", DType::float32, {2, 3}, {{1, 0}, {2, 3}}}),
              "tensor 'a': the block [1, 0]+[2, 3] reaches beyond the shape [2, 3]");
    EXPECT_EQ(text({"a", DType::float32, {2, 3}, {{1}, {2}}}),
              "tensor 'a': the block has 1 offsets and 1 extents for 2 dimensions");
    for (const char* name : {"", "/a", "a/", "a//b", "a/../b", "_mpt", "_mpt/x", "a\nb", "\xff"}) {
        EXPECT_NE(text({name, DType::float32, {1}, {}}), "ok") << name;
    }
    EXPECT_NE(text({"a", DType::float64, {1ULL << 40, 1ULL << 40}, {}}), "ok");
}

}  // namespace
}  // namespace mpitrain::checkpoint
