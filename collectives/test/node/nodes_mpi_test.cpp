// Ranks of this machine that are told they sit on several nodes: shared memory inside, messages
// across, and the bits of messages alone.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "mpi_backend.hpp"

namespace mpitrain::collectives {
namespace {

struct Layout {
    const char* name;
    std::uint64_t (*node)(int rank);
};
constexpr Layout layouts[] = {
    {"one node", [](int) -> std::uint64_t { return 1; }},
    {"two each", [](int rank) -> std::uint64_t { return static_cast<std::uint64_t>(rank) / 2; }},
    {"three each", [](int rank) -> std::uint64_t { return static_cast<std::uint64_t>(rank) / 3; }},
    {"in turns", [](int rank) -> std::uint64_t { return static_cast<std::uint64_t>(rank) % 2; }},
    {"one apart", [](int rank) -> std::uint64_t { return rank == 0 ? 1 : 2; }},
    {"one each", [](int rank) -> std::uint64_t { return static_cast<std::uint64_t>(rank); }},
};

std::unique_ptr<Backend> open_with(const Layout* layout, ReductionOrder order) {
    int rank = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    Seat seat = find_seat();
    seat.node = layout != nullptr ? layout->node(rank) : 0;
    const CommunicatorOptions options{
        .order = order, .deadline = std::chrono::seconds(20), .shared_memory = layout != nullptr};
    auto opened = MpiBackend::open(MPI_COMM_WORLD, options, seat);
    EXPECT_TRUE(opened) << opened.error().text();
    return *std::move(opened);
}

std::vector<std::byte> random_input(int rank, std::size_t count, DataType type) {
    std::minstd_rand random(static_cast<unsigned>(rank) * 7 + 1);
    std::vector<std::byte> bytes(count * size_bytes(type));
    const auto put = [&bytes](std::size_t i, auto value) {
        std::memcpy(&bytes[i * sizeof value], &value, sizeof value);
    };
    std::uniform_real_distribution<float> wide(-1e3F, 1e3F);
    for (std::size_t i = 0; i < count; ++i) {
        switch (type) {
            case DataType::f64:
                put(i, static_cast<double>(wide(random)) * static_cast<double>(wide(random)));
                break;
            case DataType::f32:
                put(i, wide(random) * wide(random));
                break;
            case DataType::f16:
                put(i, Float16(wide(random)));
                break;
            case DataType::bf16:
                put(i, BFloat16(wide(random)));
                break;
            default:
                for (std::size_t b = 0; b < size_bytes(type); ++b) {
                    bytes[i * size_bytes(type) + b] = static_cast<std::byte>(random() >> 8);
                }
        }
    }
    return bytes;
}

constexpr DataType all_types[] = {DataType::f64,
                                  DataType::f32,
                                  DataType::f16,
                                  DataType::bf16,
                                  DataType::i32,
                                  DataType::i64,
                                  DataType::u8};
constexpr ReduceOp all_ops[] = {
    ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max, ReduceOp::avg};

TEST(Layouts, GiveTheBitsOfMessagesAlone) {
    const auto plain = open_with(nullptr, ReductionOrder::rank_tree);
    for (const Layout& layout : layouts) {
        const auto laid_out = open_with(&layout, ReductionOrder::rank_tree);
        for (const DataType type : all_types) {
            for (const ReduceOp op : all_ops) {
                for (const std::size_t count : {1U, 777U, 300'001U}) {
                    const auto input = random_input(plain->rank(), count, type);
                    std::vector<std::byte> want(input.size());
                    std::vector<std::byte> got(input.size());
                    const ConstBuffer send(input.data(), count, type);
                    ASSERT_TRUE(plain->allreduce(send, Buffer(want.data(), count, type), op));
                    ASSERT_TRUE(laid_out->allreduce(send, Buffer(got.data(), count, type), op));
                    ASSERT_EQ(want, got) << layout.name << " " << to_string(type) << " "
                                         << to_string(op) << " " << count;
                    got = input;  // in place
                    const Buffer data(got.data(), count, type);
                    ASSERT_TRUE(laid_out->allreduce(data, data, op));
                    ASSERT_EQ(want, got) << layout.name << " in place";
                }
            }
        }
    }
}

// Segments of two levels, streams past the cache, steps of every length.
TEST(Layouts, GiveTheSameBitsForLargeData) {
    constexpr std::size_t count = (std::size_t{18} << 20) / sizeof(float) + 5;
    const auto plain = open_with(nullptr, ReductionOrder::rank_tree);
    const auto input = random_input(plain->rank(), count, DataType::f32);
    const ConstBuffer send(input.data(), count, DataType::f32);
    std::vector<std::byte> want(input.size());
    ASSERT_TRUE(plain->allreduce(send, Buffer(want.data(), count, DataType::f32), ReduceOp::sum));
    for (const Layout& layout : layouts) {
        const auto laid_out = open_with(&layout, ReductionOrder::rank_tree);
        std::vector<std::byte> got(input.size() + 8);
        const Buffer recv(got.data() + 4, count, DataType::f32);  // not on a cache line
        ASSERT_TRUE(laid_out->allreduce(send, recv, ReduceOp::sum));
        EXPECT_EQ(0, std::memcmp(want.data(), recv.data, want.size())) << layout.name;
    }
}

TEST(Layouts, UseSharedMemoryInsideANode) {
    const auto together = open_with(layouts, ReductionOrder::rank_tree);
    const auto* node = static_cast<MpiBackend&>(*together).node();
    ASSERT_NE(node, nullptr);
    EXPECT_EQ(node->size(), together->size());
    const auto messages = open_with(nullptr, ReductionOrder::rank_tree);
    EXPECT_EQ(static_cast<MpiBackend&>(*messages).node(), nullptr);
}

}  // namespace
}  // namespace mpitrain::collectives
