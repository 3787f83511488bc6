#include "mpitrain/hosts/place_on_hosts.hpp"

#include <gtest/gtest.h>

namespace mpitrain::hosts {
namespace {

// A machine with so many cores.
Candidate machine(const std::string& name, int cores, std::optional<int> slots = std::nullopt) {
    Candidate made;
    made.entry = {name, "", slots, std::nullopt};
    NodeTopology& node = made.facts.topology;
    node.host = "not-" + name;
    for (int i = 0; i < cores; ++i) {
        CpuSet cpu;
        cpu.add(i);
        node.cores.push_back(cpu);
        node.allowed.add(i);
        node.slots.push_back({SlotId(i), SlotKind::cpu, {}, {0}, cpu, {}});
    }
    node.numa_nodes.push_back({0, node.allowed, Bytes(1ULL << 30U)});
    return made;
}

JobSpec job_of(std::optional<int> ranks) {
    JobSpec spec;
    spec.groups = {{"default", ranks, {"x"}, {}}};
    spec.device = Device::cpu;
    return spec;
}

// Of each rank its host and local rank: "a0 a1 b0".
std::string map_of(const Result<HostsPlacement>& placed) {
    if (!placed) {
        return placed.error().text();
    }
    std::string text;
    for (std::size_t i = 0; i < placed->placements.size(); ++i) {
        const RankPlacement& rank = placed->placements[i];
        EXPECT_EQ(rank.rank, Rank(static_cast<int>(i)));
        text += text.empty() ? "" : " ";
        text += placed->nodes[static_cast<std::size_t>(rank.node.value())].host +
                std::to_string(rank.local_rank.value());
    }
    return text;
}

TEST(PlaceOnHosts, FillsThemInTheirOrder) {
    EXPECT_EQ(map_of(place_on_hosts(job_of(4), {machine("b", 2), machine("a", 4)})), "b0 b1 a0 a1");
}

TEST(PlaceOnHosts, KeepsWithinTheSlotsNamed) {
    EXPECT_EQ(map_of(place_on_hosts(job_of(3), {machine("a", 4, 1), machine("b", 4, 2)})),
              "a0 b0 b1");
    EXPECT_EQ(map_of(place_on_hosts(job_of(1), {machine("a", 2, 8)})),
              "a: 8 ranks are to run there, and it has slots for 2 (name fewer slots, or let ranks "
              "share them with --oversubscribe)");
}

TEST(PlaceOnHosts, TakesAllThereIs) {
    const auto placed = place_on_hosts(job_of(std::nullopt), {machine("a", 2), machine("b", 3, 1)});
    EXPECT_EQ(map_of(placed), "a0 a1 b0");
    EXPECT_EQ(placed->spec.groups[0].ranks, 3);
}

TEST(PlaceOnHosts, TakesNoMoreThanTheMostAllowed) {
    JobSpec spec = job_of(std::nullopt);
    spec.max_ranks = 3;
    EXPECT_EQ(map_of(place_on_hosts(spec, {machine("a", 2), machine("b", 3)})), "a0 a1 b0");
}

TEST(PlaceOnHosts, SpreadsWhenAsked) {
    JobSpec spec = job_of(4);
    spec.placement = "spread";
    EXPECT_EQ(map_of(place_on_hosts(spec, {machine("a", 4), machine("b", 1), machine("c", 4)})),
              "a0 a1 b0 c0");
}

TEST(PlaceOnHosts, UsesAsManyNodesAsAsked) {
    JobSpec spec = job_of(4);
    spec.nodes = 2;
    const std::vector<Candidate> three = {machine("a", 4), machine("b", 4), machine("c", 4)};
    EXPECT_EQ(map_of(place_on_hosts(spec, three)), "a0 a1 b0 b1");
    spec.nodes = 4;
    EXPECT_EQ(place_on_hosts(spec, three).error().code(), ErrorCode::unsatisfiable);
    spec.nodes.reset();
    spec.ranks_per_node = 1;
    EXPECT_EQ(map_of(place_on_hosts(spec, three)),
              "4 ranks, and there is room for 3: a 1, b 1, c 1 (name more hosts, or ask for fewer "
              "ranks)");
}

TEST(PlaceOnHosts, LeavesOtherJobsTheirSlots) {
    Candidate taken = machine("a", 2);
    taken.facts.busy = {SlotId(0)};
    const auto placed = place_on_hosts(job_of(2), {taken, machine("b", 2)});
    EXPECT_EQ(map_of(placed), "a0 b0");
    EXPECT_EQ(placed->placements[0].slots, std::vector{SlotId(1)});
    EXPECT_EQ(place_on_hosts(job_of(2), {taken}).error().code(), ErrorCode::resource_exhausted);
}

TEST(PlaceOnHosts, SharesCoresOnlyWhenAllowed) {
    JobSpec spec = job_of(6);
    const std::vector<Candidate> two = {machine("a", 2), machine("b", 2)};
    EXPECT_EQ(place_on_hosts(spec, two).error().code(), ErrorCode::unsatisfiable);
    spec.oversubscribe = true;
    EXPECT_EQ(map_of(place_on_hosts(spec, two)), "a0 a1 a2 b0 b1 b2");
    EXPECT_EQ(map_of(place_on_hosts(spec, {machine("a", 2, 5), machine("b", 2, 1)})),
              "a0 a1 a2 a3 a4 b0");
}

}  // namespace
}  // namespace mpitrain::hosts
