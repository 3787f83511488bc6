#include "mpitrain/plan/launch_plan.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mpitrain {
namespace {

// A machine with `gpus` GPUs, or, without any, `cores` one-thread cores as slots.
NodeTopology node_of(std::string host, int gpus, int cores, Vendor vendor = Vendor::nvidia) {
    NodeTopology node;
    node.host = std::move(host);
    for (int core = 0; core < cores; ++core) {
        node.cores.push_back(CpuSet::of({core}));
        node.allowed.add(core);
    }
    const int slots = gpus > 0 ? gpus : cores;
    for (int i = 0; i < slots; ++i) {
        Slot slot;
        slot.slot = SlotId(i);
        slot.kind = gpus > 0 ? SlotKind::gpu : SlotKind::cpu;
        if (gpus > 0) {
            slot.gpus = {{"GPU-" + node.host + std::to_string(i), {}, "H200", vendor}};
        }
        slot.cpus = CpuSet::range(i * cores / slots, (i + 1) * cores / slots - 1);
        node.slots.push_back(slot);
    }
    return node;
}

RankPlacement placed(
    int rank, int local_rank, int node, const std::vector<int>& slots, CpuSet cpus) {
    RankPlacement placement;
    placement.rank = Rank(rank);
    placement.local_rank = LocalRank(local_rank);
    placement.node = NodeId(node);
    for (const int slot : slots) {
        placement.slots.emplace_back(slot);
    }
    placement.cpus = std::move(cpus);
    return placement;
}

JobSpec job_of(std::vector<CommandGroup> groups) {
    JobSpec spec;
    spec.groups = std::move(groups);
    return spec;
}

struct Fixture {
    JobSpec spec = job_of({{"default", 4, {"./train"}, {}}});
    std::vector<NodeTopology> nodes = {node_of("a", 2, 8), node_of("b", 2, 8)};
    std::vector<RankPlacement> placements = {placed(0, 0, 0, {0}, CpuSet::range(0, 3)),
                                             placed(1, 1, 0, {1}, CpuSet::range(4, 7)),
                                             placed(2, 0, 1, {0}, CpuSet::range(0, 3)),
                                             placed(3, 1, 1, {1}, CpuSet::range(4, 7))};
    EnvironmentMap inherited;
    [[nodiscard]] Result<LaunchPlan> make() const {
        return make_launch_plan({spec, nodes, placements, inherited});
    }
    [[nodiscard]] LaunchPlan plan() const {
        auto made = make();
        EXPECT_TRUE(made) << made.error().text();
        return made ? *std::move(made) : LaunchPlan();
    }
};

TEST(LaunchPlan, GivesEachRankTorchrunsNames) {
    Fixture fixture;
    fixture.spec.checkpoint_dir = "/ck";
    const LaunchPlan plan = fixture.plan();
    ASSERT_EQ(plan.ranks.size(), 4U);
    EXPECT_EQ(plan.ranks[3].env,
              (EnvironmentMap{{"RANK", "3"},
                              {"LOCAL_RANK", "1"},
                              {"WORLD_SIZE", "4"},
                              {"LOCAL_WORLD_SIZE", "2"},
                              {"NODE_RANK", "1"},
                              {"GROUP_RANK", "1"},
                              {"GROUP_WORLD_SIZE", "2"},
                              {"ROLE_RANK", "3"},
                              {"ROLE_WORLD_SIZE", "4"},
                              {"ROLE_NAME", "default"},
                              {"TORCHELASTIC_MAX_RESTARTS", "3"},
                              {"MPITRAIN_CHECKPOINT_DIR", "/ck"},
                              {"MPITRAIN_SLOTS", "1"},
                              {"OMP_NUM_THREADS", "4"},
                              {"CUDA_DEVICE_ORDER", "PCI_BUS_ID"},
                              {"CUDA_VISIBLE_DEVICES", "GPU-b0,GPU-b1"}}));
    EXPECT_EQ(plan.ranks[3].host, "b");
    EXPECT_EQ(plan.ranks[3].gpus, std::vector<std::string>{"GPU-b1"});
    EXPECT_EQ(plan.ranks[3].cpus.to_string(), "4-7");
    EXPECT_EQ(plan.engine, EngineKind::mpirun);
    EXPECT_FALSE(plan.shares_cores);
}

TEST(LaunchPlan, NumbersRolesPerGroup) {
    Fixture fixture;
    fixture.spec =
        job_of({{"server", 1, {"./s"}, {{"A", "2"}}}, {"worker", std::nullopt, {"./w"}, {}}});
    fixture.spec.env = {{"A", "1"}};
    const LaunchPlan plan = fixture.plan();
    EXPECT_EQ(plan.groups[1].ranks, 3);
    EXPECT_EQ(plan.ranks[0].env.at("ROLE_NAME"), "server");
    EXPECT_EQ(plan.ranks[0].env.at("A"), "2");
    EXPECT_EQ(plan.ranks[0].env.at("ROLE_WORLD_SIZE"), "1");
    EXPECT_EQ(plan.ranks[2].group, 1);
    EXPECT_EQ(plan.ranks[2].env.at("ROLE_NAME"), "worker");
    EXPECT_EQ(plan.ranks[2].env.at("ROLE_RANK"), "1");
    EXPECT_EQ(plan.ranks[2].env.at("A"), "1");
}

TEST(LaunchPlan, PutsTheRanksOwnGpuAtDeviceLocalRank) {
    Fixture fixture;
    fixture.nodes = {node_of("a", 4, 8)};
    fixture.spec.groups[0].ranks = 2;
    fixture.placements = {placed(0, 0, 0, {2, 3}, {}), placed(1, 1, 0, {0, 1}, {})};
    const LaunchPlan plan = fixture.plan();
    EXPECT_EQ(plan.ranks[0].env.at("CUDA_VISIBLE_DEVICES"), "GPU-a2,GPU-a0,GPU-a3,GPU-a1");
    EXPECT_EQ(plan.ranks[1].env.at("CUDA_VISIBLE_DEVICES"), "GPU-a2,GPU-a0,GPU-a3,GPU-a1");
    fixture.spec.gpu_visibility = GpuVisibility::rank;
    EXPECT_EQ(fixture.plan().ranks[1].env.at("CUDA_VISIBLE_DEVICES"), "GPU-a0,GPU-a1");
}

TEST(LaunchPlan, ShowsAMigInstanceToItsOwnRankOnly) {
    Fixture fixture;
    fixture.nodes[0].slots[0].gpus[0].uuid = "MIG-1";
    fixture.nodes[0].slots[1].gpus[0].uuid = "MIG-2";
    EXPECT_EQ(fixture.plan().ranks[1].env.at("CUDA_VISIBLE_DEVICES"), "MIG-2");
}

TEST(LaunchPlan, NamesGpusBySlotWhereNoUuidIsKnown) {
    Fixture fixture;
    for (Slot& slot : fixture.nodes[0].slots) {
        slot.gpus[0].uuid.clear();
    }
    EXPECT_EQ(fixture.plan().ranks[0].env.at("CUDA_VISIBLE_DEVICES"), "0,1");
}

TEST(LaunchPlan, ShowsASharedGpuOnce) {
    Fixture fixture;
    fixture.placements[1].slots = {SlotId(0)};
    EXPECT_EQ(fixture.plan().ranks[1].env.at("CUDA_VISIBLE_DEVICES"), "GPU-a0");
}

TEST(LaunchPlan, UsesRocrForAmd) {
    Fixture fixture;
    fixture.nodes = {node_of("a", 2, 8, Vendor::amd), node_of("b", 2, 8, Vendor::amd)};
    const LaunchPlan plan = fixture.plan();
    EXPECT_EQ(plan.ranks[0].env.at("ROCR_VISIBLE_DEVICES"), "GPU-a0,GPU-a1");
    EXPECT_FALSE(plan.ranks[0].env.contains("CUDA_VISIBLE_DEVICES"));
}

TEST(LaunchPlan, HidesGpusFromRanksThatHoldNone) {
    Fixture fixture;
    for (RankPlacement& placement : fixture.placements) {
        placement.slots = {SlotId(7)};  // a core of cpu_slots()
    }
    EXPECT_EQ(fixture.plan().ranks[0].env.at("CUDA_VISIBLE_DEVICES"), "");
    fixture.nodes = {node_of("a", 0, 8), node_of("b", 0, 8)};
    EXPECT_FALSE(fixture.plan().ranks[0].env.contains("CUDA_VISIBLE_DEVICES"));
}

TEST(LaunchPlan, CountsThreadsInCoresNotHardwareThreads) {
    Fixture fixture;
    fixture.nodes[0].cores.clear();
    for (int core = 0; core < 4; ++core) {
        fixture.nodes[0].cores.push_back(CpuSet::of({core, core + 4}));
    }
    fixture.placements[0].cpus = CpuSet::of({0, 1, 4, 5});
    fixture.placements[1].cpus = CpuSet::of({2, 3, 6, 7});
    EXPECT_EQ(fixture.plan().ranks[0].env.at("OMP_NUM_THREADS"), "2");
}

TEST(LaunchPlan, LeavesThreadsToWhoeverSetThem) {
    Fixture fixture;
    fixture.inherited = {{"OMP_NUM_THREADS", "3"}};
    EXPECT_FALSE(fixture.plan().ranks[0].env.contains("OMP_NUM_THREADS"));
    fixture.spec.env = {{"OMP_NUM_THREADS", "5"}};
    EXPECT_EQ(fixture.plan().ranks[0].env.at("OMP_NUM_THREADS"), "5");
}

TEST(LaunchPlan, KnowsWhenCoresAreShared) {
    Fixture fixture;
    fixture.placements[1].cpus = CpuSet::range(0, 3);
    const LaunchPlan plan = fixture.plan();
    EXPECT_TRUE(plan.shares_cores);
    EXPECT_EQ(plan.ranks[0].env.at("OMP_NUM_THREADS"), "2");
    for (RankPlacement& placement : fixture.placements) {
        placement.cpus = {};
    }
    EXPECT_FALSE(fixture.plan().shares_cores);
    fixture.nodes[1].cpu_quota = 1.5;
    EXPECT_TRUE(fixture.plan().shares_cores);
    EXPECT_EQ(fixture.plan().ranks[0].env.at("OMP_NUM_THREADS"), "4");
    EXPECT_EQ(fixture.plan().ranks[2].env.at("OMP_NUM_THREADS"), "1");
}

TEST(LaunchPlan, LetsRanksThatShareCoresRoamTheirNumaNodes) {
    Fixture fixture;
    fixture.nodes = {node_of("a", 4, 8)};
    fixture.spec.groups[0].ranks = 5;
    fixture.placements.clear();
    for (const int rank : {0, 1, 2, 3, 4}) {
        const int slot = rank % 4;
        fixture.placements.push_back(
            placed(rank, rank, 0, {slot}, CpuSet::range(2 * slot, 2 * slot + 1)));
        fixture.placements.back().numa = {slot / 2};
    }
    const LaunchPlan plan = fixture.plan();
    EXPECT_TRUE(plan.shares_cores);
    EXPECT_EQ(plan.ranks[0].cpus.to_string(), "0-3");
    EXPECT_EQ(plan.ranks[3].cpus.to_string(), "4-7");
    EXPECT_EQ(plan.ranks[4].cpus.to_string(), "0-3");

    fixture.spec.groups[0].ranks = 4;
    fixture.placements.pop_back();
    EXPECT_EQ(fixture.plan().ranks[0].cpus.to_string(), "0-1");
}

TEST(LaunchPlan, HashesAlikeUnderEveryEngineAndHostName) {
    Fixture fixture;
    const LaunchPlan plan = fixture.plan();
    EXPECT_EQ(plan, fixture.plan());
    EXPECT_EQ(plan.hash.size(), 16U);
    Fixture same = fixture;
    same.spec.engine = EngineKind::srun;
    same.nodes[0].host = "elsewhere";
    EXPECT_EQ(same.plan().hash, plan.hash);
    Fixture other = fixture;
    other.placements[0].cpus = CpuSet::range(0, 2);
    EXPECT_NE(other.plan().hash, plan.hash);
    other = fixture;
    other.spec.env["A"] = "1";
    EXPECT_NE(other.plan().hash, plan.hash);
    other = fixture;
    other.placements[0].slots = {SlotId(1)};
    EXPECT_NE(other.plan().hash, plan.hash);
}

TEST(LaunchPlan, HashIsTheSameOnEveryMachineAndBuild) {
    Fixture fixture;
    EXPECT_EQ(fixture.plan().hash, "cafc75aaf07034c7");
}

TEST(LaunchPlan, RefusesPlacementsThatContradictTheJob) {
    Fixture fixture;
    fixture.spec.groups[0].ranks = 3;
    EXPECT_EQ(fixture.make().error().code(), ErrorCode::invalid_argument);
    fixture = {};
    fixture.placements[2].local_rank = LocalRank(5);
    EXPECT_FALSE(fixture.make());
    fixture = {};
    fixture.placements[2].node = NodeId(9);
    EXPECT_FALSE(fixture.make());
    fixture = {};
    fixture.placements.clear();
    EXPECT_FALSE(fixture.make());
    fixture = {};
    fixture.spec = job_of({{"a", 4, {"x"}, {}}, {"b", std::nullopt, {"y"}, {}}});
    EXPECT_EQ(fixture.make().error().text(),
              "--ranks: no rank is left for y (give the other programs fewer)");
}

TEST(PlanJson, HasTheContractsFieldsAndNoSecret) {
    Fixture fixture;
    fixture.spec.env = {{"WANDB_API_KEY", "hunter2"}};
    fixture.placements[0].numa = {1, 0};
    fixture.placements[0].nics = {"mlx5_0", "mlx5_1"};
    const std::string text = to_json(fixture.plan(), {"mpirun", "-n", "4"});
    EXPECT_EQ(text.find("hunter2"), std::string::npos);
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(json["schema"], "mpitrain.plan/1");
    EXPECT_EQ(json["hash"], fixture.plan().hash);
    EXPECT_EQ(json["engine"], "mpirun");
    EXPECT_EQ(json["command"], (nlohmann::json{"mpirun", "-n", "4"}));
    const auto& rank = json["ranks"][0];
    EXPECT_EQ(rank["rank"], 0);
    EXPECT_EQ(rank["local_rank"], 0);
    EXPECT_EQ(rank["host"], "a");
    EXPECT_EQ(rank["slots"], nlohmann::json{0});
    EXPECT_EQ(rank["gpus"], nlohmann::json{"GPU-a0"});
    EXPECT_EQ(rank["cpus"], "0-3");
    EXPECT_EQ(rank["numa"], (nlohmann::json{1, 0}));
    EXPECT_EQ(rank["nic"], "mlx5_0");
    EXPECT_EQ(rank["env"]["WANDB_API_KEY"], "[redacted]");
    EXPECT_EQ(rank["env"]["LOCAL_RANK"], "0");
    EXPECT_EQ(json["ranks"][1]["nic"], nullptr);
}

}  // namespace
}  // namespace mpitrain
