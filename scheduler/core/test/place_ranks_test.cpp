#include "mpitrain/scheduler/place_ranks.hpp"

#include <gtest/gtest.h>

#include "nodes.hpp"

namespace mpitrain::scheduler {
namespace {

using test::cpu_node;
using test::cube_mesh;
using test::gpu_node;
using test::ids;
using test::switched;

std::vector<RankPlacement> place(const NodeTopology& node,
                                 const SlotRequest& request,
                                 const std::set<SlotId>& busy = {}) {
    auto placements = place_ranks(node, request, busy);
    EXPECT_TRUE(placements) << (placements ? "" : placements.error().text());
    return placements ? *std::move(placements) : std::vector<RankPlacement>();
}

Error refusal(const NodeTopology& node,
              const SlotRequest& request,
              const std::set<SlotId>& busy = {}) {
    const auto placements = place_ranks(node, request, busy);
    EXPECT_FALSE(placements);
    return placements ? Error(ErrorCode::internal, "placed") : placements.error();
}

TEST(PlaceRanks, GivesEachRankItsGpuCoresAndNic) {
    const auto placements = place(switched(8), {.ranks = 8});
    ASSERT_EQ(placements.size(), 8U);
    for (int rank = 0; rank < 8; ++rank) {
        const RankPlacement& placement = placements[static_cast<std::size_t>(rank)];
        EXPECT_EQ(placement.rank, Rank(rank));
        EXPECT_EQ(placement.local_rank, LocalRank(rank));
        EXPECT_EQ(placement.slots, ids({rank})) << "local rank and rail agree";
        EXPECT_EQ(placement.cpus, CpuSet::range(rank * 4, rank * 4 + 3));
        EXPECT_EQ(placement.numa, std::vector<int>{rank / 4});
        EXPECT_EQ(placement.nics, std::vector<std::string>{"mlx5_" + std::to_string(rank)});
    }
}

TEST(PlaceRanks, AvoidsBusyGpus) {
    const auto placements = place(cube_mesh(), {.ranks = 2}, {SlotId(0), SlotId(2)});
    ASSERT_EQ(placements.size(), 2U);
    EXPECT_EQ(placements[0].slots, ids({4}));
    EXPECT_EQ(placements[1].slots, ids({7}));
}

TEST(PlaceRanks, SeveralGpusOfARankAreTheBestLinked) {
    const auto placements = place(cube_mesh(), {.ranks = 2, .gpus_per_rank = 2});
    ASSERT_EQ(placements.size(), 2U);
    EXPECT_EQ(placements[0].slots, ids({0, 3}));
    EXPECT_EQ(placements[0].cpus, CpuSet::range(0, 3) | CpuSet::range(12, 15));
    EXPECT_EQ(placements[1].slots, ids({1, 2}));
}

TEST(PlaceRanks, ChoosesGpusByModel) {
    NodeTopology node = gpu_node({0, 0, 1, 1});
    node.slots[2].gpus[0].model = "NVIDIA H100 80GB HBM3";
    EXPECT_EQ(place(node, {.gpu_type = "h100"})[0].slots, ids({2}));
    const Error error = refusal(node, {.gpu_type = "b200"});
    EXPECT_EQ(error.code(), ErrorCode::unsatisfiable);
    EXPECT_EQ(error.what(), "no GPU here is a 'b200'");
    EXPECT_EQ(refusal(node, {.ranks = 2, .gpu_type = "h100"}).code(), ErrorCode::unsatisfiable);
}

TEST(PlaceRanks, TakesAsManyCoresOfAGpusShareAsAsked) {
    const auto placements = place(gpu_node({0, 0}), {.ranks = 2, .cpus_per_rank = 3});
    ASSERT_EQ(placements.size(), 2U);
    EXPECT_EQ(placements[1].cpus, CpuSet::range(4, 6));
    const Error error = refusal(gpu_node({0, 0}), {.ranks = 2, .cpus_per_rank = 5});
    EXPECT_EQ(error.code(), ErrorCode::unsatisfiable);
    EXPECT_EQ(error.mend(), "use --cpus-per-rank 4, or more --gpus-per-rank");
}

TEST(PlaceRanks, SaysWhatIsThereWhatIsFreeAndTheMend) {
    const Error never = refusal(cpu_node(2), {.ranks = 8});
    EXPECT_EQ(never.code(), ErrorCode::unsatisfiable);
    EXPECT_EQ(never.text(),
              "cpu-node: 8 ranks do not fit: 2 cores here, 2 free (use -n 2, or --oversubscribe to "
              "share)");
    const Error now = refusal(switched(8), {.ranks = 7}, {SlotId(0), SlotId(3)});
    EXPECT_EQ(now.code(), ErrorCode::resource_exhausted);
    EXPECT_EQ(now.text(),
              "gpu-node: 7 ranks do not fit: 8 GPUs here, 6 free (use -n 6, or --oversubscribe to "
              "share)");
    const Error full = refusal(cpu_node(1), {.ranks = 1}, {SlotId(0)});
    EXPECT_EQ(full.code(), ErrorCode::resource_exhausted);
    EXPECT_EQ(full.text(),
              "cpu-node: 1 rank does not fit: 1 core here, 0 free (wait for a job to end, or use "
              "--oversubscribe to share)");
    const Error wide = refusal(cpu_node(2), {.cpus_per_rank = 3});
    EXPECT_EQ(
        wide.text(),
        "cpu-node: a rank wants 3 cores, but there are only 2 (use a smaller --cpus-per-rank)");
    EXPECT_EQ(refusal(cpu_node(2), {.device = Device::gpu}).text(),
              "cpu-node: there is no GPU to use (use --device cpu, or see mpitrain topo for why)");
}

TEST(PlaceRanks, RefusesCountsBelowOne) {
    for (const SlotRequest& request : {SlotRequest{.ranks = 0},
                                       SlotRequest{.ranks = -3},
                                       SlotRequest{.gpus_per_rank = 0},
                                       SlotRequest{.cpus_per_rank = -1}}) {
        EXPECT_EQ(refusal(cpu_node(2), request).code(), ErrorCode::invalid_argument);
    }
}

TEST(PlaceRanks, CpuRanksGetWholeCores) {
    const auto placements = place(cpu_node(4), {.ranks = 2, .cpus_per_rank = 2});
    ASSERT_EQ(placements.size(), 2U);
    EXPECT_EQ(placements[0].slots, ids({0, 1}));
    EXPECT_EQ(placements[0].cpus.to_string(), "0-1,4-5");
    EXPECT_EQ(placements[1].cpus.to_string(), "2-3,6-7");
}

TEST(PlaceRanks, CpuRanksArePackedIntoOneNumaNodeWhereTheyFit) {
    // Node 0 has three free cores, node 1 two: two ranks fit node 1 exactly.
    const auto placements = place(cpu_node(8, 2), {.ranks = 2}, {SlotId(0), SlotId(4), SlotId(6)});
    ASSERT_EQ(placements.size(), 2U);
    EXPECT_EQ(placements[0].slots, ids({5}));
    EXPECT_EQ(placements[1].slots, ids({7}));
    EXPECT_EQ(placements[0].numa, std::vector<int>{1});
}

TEST(PlaceRanks, ARankStraddlesNumaNodesOnlyWhereNothingElseIsLeft) {
    const auto whole = place(cpu_node(10, 2), {.ranks = 2, .cpus_per_rank = 3});
    ASSERT_EQ(whole.size(), 2U);
    EXPECT_EQ(whole[0].slots, ids({0, 1, 2}));
    EXPECT_EQ(whole[1].slots, ids({5, 6, 7}));
    const auto straddling = place(cpu_node(10, 2), {.ranks = 3, .cpus_per_rank = 3});
    ASSERT_EQ(straddling.size(), 3U);
    EXPECT_EQ(straddling[1].slots, ids({3, 4, 8}));
    EXPECT_EQ(straddling[1].numa, (std::vector<int>{0, 1}));
}

TEST(PlaceRanks, OversubscribedRanksShareEvenlyInTurn) {
    const auto placements = place(cpu_node(2), {.ranks = 5, .oversubscribe = true});
    ASSERT_EQ(placements.size(), 5U);
    for (int rank = 0; rank < 5; ++rank) {
        EXPECT_EQ(placements[static_cast<std::size_t>(rank)].slots, ids({rank % 2}));
    }
    const auto beside =
        place(cpu_node(4), {.ranks = 3, .oversubscribe = true}, {SlotId(0), SlotId(1)});
    EXPECT_EQ(beside[0].slots, ids({2})) << "free cores before busy ones";
    EXPECT_EQ(beside[2].slots, ids({2}));
    const auto full = place(cpu_node(2), {.oversubscribe = true}, {SlotId(0), SlotId(1)});
    EXPECT_EQ(full[0].slots, ids({0}));
}

TEST(PlaceRanks, OversubscribeChangesNothingWhereThereIsRoom) {
    EXPECT_EQ(place(cpu_node(8, 2), {.ranks = 3, .oversubscribe = true}),
              place(cpu_node(8, 2), {.ranks = 3}));
}

TEST(PlaceRanks, RanksThatShareAGpuDivideItsCores) {
    const auto placements = place(gpu_node({0, 1}), {.ranks = 5, .oversubscribe = true});
    ASSERT_EQ(placements.size(), 5U);
    const std::vector<std::pair<int, std::string>> expected = {
        {0, "0"}, {1, "4-5"}, {0, "1"}, {1, "6-7"}, {0, "2-3"}};
    for (std::size_t rank = 0; rank < 5; ++rank) {
        EXPECT_EQ(placements[rank].slots, ids({expected[rank].first})) << rank;
        EXPECT_EQ(placements[rank].cpus.to_string(), expected[rank].second) << rank;
    }
}

TEST(PlaceRanks, PinsNothingWhereTheNodeForbidsIt) {
    NodeTopology node = gpu_node({0, 0});
    node.pinning_allowed = false;
    EXPECT_TRUE(place(node, {.cpus_per_rank = 9})[0].cpus.empty());
    NodeTopology quota = cpu_node(8);
    quota.cpu_quota = 2.5;
    quota.pinning_allowed = false;
    quota.slots = cpu_slots(quota);
    const auto placements = place(quota, {.ranks = 2});
    EXPECT_TRUE(placements[0].cpus.empty());
    EXPECT_EQ(refusal(quota, {.ranks = 3}).code(), ErrorCode::unsatisfiable)
        << "a quota of 2.5 CPUs feeds two ranks";
}

TEST(PlaceRanks, CpuRanksOnAGpuNodeUseAllItsCores) {
    const auto placements = place(gpu_node({0, 1}), {.ranks = 8, .device = Device::cpu});
    ASSERT_EQ(placements.size(), 8U);
    EXPECT_EQ(placements[7].cpus, CpuSet::of({7}));
    EXPECT_TRUE(placements[7].nics.empty());
}

TEST(PlaceRanks, IsAFunctionOfItsInput) {
    const SlotRequest request{.ranks = 3};
    EXPECT_EQ(place(cube_mesh(), request, {SlotId(1)}), place(cube_mesh(), request, {SlotId(1)}));
}

TEST(RankCapacity, CountsWholeRanks) {
    const auto capacity = rank_capacity(switched(8), {.gpus_per_rank = 3}, {SlotId(0), SlotId(1)});
    ASSERT_TRUE(capacity);
    EXPECT_EQ(*capacity, (RankCapacity{.total = 2, .free = 2}));
    EXPECT_EQ(rank_capacity(cpu_node(6), {.cpus_per_rank = 2}, {SlotId(0)}).value(),
              (RankCapacity{.total = 3, .free = 2}));
    EXPECT_FALSE(rank_capacity(cpu_node(2), {.device = Device::gpu}, {}));
}

}  // namespace
}  // namespace mpitrain::scheduler
