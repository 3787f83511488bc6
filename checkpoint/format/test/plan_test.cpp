#include <gtest/gtest.h>

#include <map>

#include "mpitrain/checkpoint/read_plan.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"

namespace mpitrain::checkpoint {
namespace {

std::uint64_t load_of(const ShardPlan& shard) {
    std::uint64_t bytes = 0;
    for (const Piece& piece : shard.pieces) {
        bytes += piece.size_bytes;
    }
    return bytes;
}

TEST(SavePlan, ReplicatedTensorsAreWrittenOnceAndEvenly) {
    Contribution all;
    for (int i = 0; i < 30; ++i) {
        all.tensors.push_back({"t" + std::to_string(i), DType::float32, {1000, 100}, {}});
    }
    all.tensors.push_back({"big", DType::float32, {5000, 1000}, {}});
    const std::vector<Contribution> ranks(3, all);
    const auto plan = plan_save(ranks);
    ASSERT_TRUE(plan) << plan.error().text();
    ASSERT_EQ(plan->shards.size(), 3U);
    std::uint64_t total = 0;
    for (const ShardPlan& shard : plan->shards) {
        total += load_of(shard);
    }
    EXPECT_EQ(total, 30 * 400000U + 20000000U);
    for (const ShardPlan& shard : plan->shards) {
        EXPECT_NEAR(static_cast<double>(load_of(shard)), static_cast<double>(total) / 3, 400000);
    }
}

TEST(SavePlan, SmallBlocksShareAPoolByType) {
    Contribution one;
    one.tensors = {{"a", DType::float32, {10}, {}},
                   {"b", DType::float32, {}, {}},
                   {"c", DType::int64, {3}, {}},
                   {"large", DType::float32, {100, 1000}, {}},
                   {"none", DType::float32, {0, 5}, {}}};
    one.blobs = {{"random", false, 40}, {"empty", true, 0}};
    const auto plan = plan_save(std::vector{one});
    ASSERT_TRUE(plan) << plan.error().text();
    std::map<std::string, std::vector<std::uint64_t>> datasets;
    for (const DatasetPlan& dataset : plan->shards[0].datasets) {
        datasets[dataset.path] = dataset.shape;
    }
    const std::map<std::string, std::vector<std::uint64_t>> wanted = {{"/pool/float32", {11}},
                                                                      {"/pool/int64", {3}},
                                                                      {"/pool/uint8", {40}},
                                                                      {"/0/large", {100, 1000}}};
    EXPECT_EQ(datasets, wanted);
    EXPECT_EQ(plan->tensors.size(), 5U);
    EXPECT_EQ(plan->blobs.size(), 2U);
}

std::string fault_of(const std::vector<Contribution>& ranks) {
    const auto plan = plan_save(ranks);
    return plan ? "" : plan.error().text();
}

TEST(SavePlan, ContradictionsNameTensorAndRank) {
    const auto with = [](TensorSpec spec) { return Contribution{{std::move(spec)}, {}}; };
    EXPECT_EQ(
        fault_of({with({"w", DType::float32, {4}, {}}), with({"w", DType::float64, {4}, {}})}),
        "tensor 'w': rank 0 gives it as float32[4], rank 1 as float64[4]");
    EXPECT_EQ(fault_of({with({"w", DType::float32, {4}, {{0}, {3}}}),
                        with({"w", DType::float32, {4}, {{2}, {2}}})}),
              "tensor 'w': two different blocks both hold the element at [2]");
    EXPECT_EQ(
        fault_of({with({"w", DType::float32, {4}, {}}), with({"w/x", DType::float32, {4}, {}})}),
        "tensor 'w/x': 'w' is a tensor itself");
    EXPECT_EQ(fault_of({{{}, {{"r", false, 1}, {"r", false, 2}}}}),
              "blob 'r' of rank 0: it is given twice");
}

TEST(SavePlan, ContributionsTravelAsTheyAre) {
    const Contribution one{
        {{"a\"b", DType::bfloat16, {3, 4}, {{1, 0}, {2, 4}}}, {"s", DType::boolean, {}, {}}},
        {{"g", true, 5}}};
    const auto back = decode_contribution(encode(one));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, one);
    EXPECT_FALSE(decode_contribution("{}"));
}

TEST(SavePlan, InOneFileATensorOfRowsIsOneDataset) {
    const auto by = [](std::uint64_t begin, std::uint64_t rows, Block columns) {
        return Contribution{{{"rows", DType::float32, {64, 4096}, {{begin, 0}, {rows, 4096}}},
                             {"uneven", DType::float32, {99, 999}, {{begin, 0}, {rows, 999}}},
                             {"columns", DType::float32, {64, 1024}, std::move(columns)},
                             {"small", DType::float32, {begin + rows}, {}}},
                            {}};
    };
    Contribution first = by(0, 40, {{0, 0}, {64, 512}});
    Contribution second = by(40, 24, {{0, 512}, {64, 512}});
    first.tensors[1].block.extent[0] = 40;
    second.tensors[1].block.extent[0] = 59;
    first.tensors[3].shape = second.tensors[3].shape = {10};
    const auto plan = plan_save(std::vector{first, second}, Layout::single);
    ASSERT_TRUE(plan) << plan.error().text();
    ASSERT_EQ(plan->shards.size(), 1U);
    std::map<std::string, std::vector<std::uint64_t>> datasets;
    for (const DatasetPlan& dataset : plan->shards[0].datasets) {
        datasets[dataset.path] = dataset.shape;
    }
    // The border of "uneven" is at byte 159840, within a block.
    const std::map<std::string, std::vector<std::uint64_t>> wanted = {
        {"/rows", {64, 4096}},
        {"/_mpt/block/0/uneven", {40, 999}},
        {"/_mpt/block/1/uneven", {59, 999}},
        {"/_mpt/block/0/columns", {64, 512}},
        {"/_mpt/block/1/columns", {64, 512}},
        {"/_mpt/pool/float32", {4096}}};
    EXPECT_EQ(datasets, wanted);
    for (const Piece& piece : plan->shards[0].pieces) {
        if (plan->shards[0].datasets[piece.dataset].path == "/rows") {
            EXPECT_EQ(piece.dataset_offset, piece.rank == 0 ? 0U : 40U * 4096 * 4);
        }
    }
}

// Two shards hold the halves of "w"; every value of a byte is where it lies.
Manifest two_halves(std::uint64_t rows, std::uint64_t row_bytes) {
    Manifest manifest;
    const std::uint64_t half = rows / 2 * row_bytes;
    for (int i = 0; i < 2; ++i) {
        manifest.shards.push_back(
            {"s" + std::to_string(i), 8192 + half + 4096, 8192 + half, 4096, 0});
    }
    manifest.tensors.push_back({"w",
                                DType::uint8,
                                {rows, row_bytes},
                                {{0, 8192, {{0, 0}, {rows / 2, row_bytes}}},
                                 {1, 8192, {{rows / 2, 0}, {rows - rows / 2, row_bytes}}}}});
    return manifest;
}

TEST(ReadPlan, ReadsNoMoreThanTheBlocksAroundWhatIsWanted) {
    const Manifest manifest = two_halves(64 * 1024, 1024);
    const TensorSpec wanted{"w", DType::uint8, {64 * 1024, 1024}, {{20000, 0}, {30000, 1024}}};
    const auto plan = plan_read(manifest, std::vector{wanted});
    ASSERT_TRUE(plan) << plan.error().text();
    std::uint64_t read = 0;
    for (const ReadRequest& request : plan->requests) {
        EXPECT_EQ(request.offset % manifest.block_bytes, 0U);
        EXPECT_LE(request.size_bytes, request_bytes);
        read += request.size_bytes;
    }
    std::uint64_t copied = 0;
    for (const Copy& copy : plan->copies) {
        copied += copy.size_bytes;
    }
    EXPECT_EQ(copied, 30000U * 1024);
    EXPECT_LE(read, copied + 4 * manifest.block_bytes);
}

TEST(ReadPlan, TheRestIsWhatNoTensorNeeds) {
    const Manifest manifest = two_halves(64, 1024);
    // 32 KiB of tensor from 8 KiB on touch three blocks, which is all there are; 72 KiB touch five.
    const ReadPlan rest = plan_read_rest(manifest, 0);
    EXPECT_TRUE(rest.requests.empty());
    const ReadPlan large = plan_read_rest(two_halves(144, 1024), 0);
    ASSERT_EQ(large.requests.size(), 1U);
    EXPECT_EQ(large.requests[0].offset, 5U * 16384);
    std::uint64_t all = 0;
    for (const ReadRequest& request : plan_read_all(manifest, 0).requests) {
        all += request.size_bytes;
    }
    EXPECT_EQ(all, manifest.shards[0].size_bytes);
}

TEST(ReadPlan, AStrangerIsNamed) {
    const Manifest manifest = two_halves(64, 1024);
    const auto fault = [&](TensorSpec spec) {
        return plan_read(manifest, std::vector{std::move(spec)}).error();
    };
    EXPECT_EQ(fault({"v", DType::uint8, {1}, {}}).code(), ErrorCode::not_found);
    EXPECT_EQ(fault({"w", DType::int8, {64, 1024}, {}}).code(), ErrorCode::invalid_argument);
    EXPECT_EQ(fault({"w", DType::uint8, {64, 1025}, {}}).what(),
              "the checkpoint holds uint8[64, 1024], the program wants uint8[64, 1025]");
}

}  // namespace
}  // namespace mpitrain::checkpoint
