#include "mpitrain/topology/discover.hpp"

#include <gtest/gtest.h>

#include <map>

#include "machines.hpp"

namespace mpitrain::topology {
namespace {

using test::discover_fixture;

NodeTopology load(const std::string& name) {
    auto node = discover_fixture(name);
    EXPECT_TRUE(node) << (node ? "" : node.error().text());
    return node ? *std::move(node) : NodeTopology();
}

std::vector<std::string> uuids(const NodeTopology& node) {
    std::vector<std::string> result;
    for (const Slot& slot : node.slots) {
        result.push_back(slot.gpus.at(0).uuid.substr(0, 12));
    }
    return result;
}

template <typename Part>
auto of_each(const NodeTopology& node, Part part) {
    std::vector<std::decay_t<decltype(part(node.slots[0]))>> result;
    for (const Slot& slot : node.slots) {
        result.push_back(part(slot));
    }
    return result;
}

std::vector<std::vector<int>> numa(const NodeTopology& node) {
    return of_each(node, [](const Slot& slot) { return slot.numa; });
}

std::vector<std::string> cpus(const NodeTopology& node) {
    return of_each(node, [](const Slot& slot) { return slot.cpus.to_string(); });
}

std::vector<std::string> first_nics(const NodeTopology& node) {
    return of_each(node, [](const Slot& slot) {
        return slot.nics.empty() ? std::string() : slot.nics.front();
    });
}

std::string classes(const NodeTopology& node) {
    std::string text;
    for (const auto& row : node.links.link_class) {
        for (const auto& cell : row) {
            text += cell ? std::string(to_string(*cell)) + " " : "- ";
        }
        text.back() = '\n';
    }
    return text;
}

// Every off-diagonal bandwidth, which must be one value (or unknown).
std::optional<int> uniform_bandwidth(const NodeTopology& node) {
    std::optional<int> value = node.links.bandwidth_mb_s.at(0).at(1);
    for (std::size_t a = 0; a < node.slots.size(); ++a) {
        for (std::size_t b = 0; b < node.slots.size(); ++b) {
            EXPECT_EQ(node.links.bandwidth_mb_s[a][b], a == b ? std::nullopt : value);
        }
    }
    return value;
}

TEST(Discover, SlotsAreInPciOrderWhateverTheTreeSays) {
    const NodeTopology node = load("nvswitch.xml");
    ASSERT_EQ(node.slots.size(), 4U);
    EXPECT_EQ(node.slots[0].gpus[0].pci.to_string(), "0000:13:00.0");
    EXPECT_EQ(
        uuids(node),
        (std::vector<std::string>{"GPU-00000000", "GPU-00000001", "GPU-00000002", "GPU-00000003"}));
    EXPECT_EQ(numa(node), (std::vector<std::vector<int>>{{1}, {1}, {0}, {0}}));
    EXPECT_EQ(node.slots[3].slot, SlotId(3));
    EXPECT_EQ(node.slots[3].gpus[0].model, "NVIDIA T1");
    EXPECT_EQ(node.slots[3].gpus[0].vendor, Vendor::nvidia);
    EXPECT_EQ(node.host, "nvswitch");
    EXPECT_TRUE(node.warnings.empty());
}

TEST(Discover, ClosesNvlinksOverTheirSwitches) {
    // 100000 into one switch and 125000 into the other, though every GPU-GPU cell is zero.
    EXPECT_EQ(uniform_bandwidth(load("nvswitch.xml")), 225000);
    EXPECT_EQ(classes(load("nvswitch.xml")),
              "- NVL NVL NVL\nNVL - NVL NVL\nNVL NVL - NVL\nNVL NVL NVL -\n");
}

TEST(Discover, KeepsDirectNvlinksOfAMachineWithoutSwitches) {
    EXPECT_EQ(uniform_bandwidth(load("nvlink-direct.xml")), 150000);
}

TEST(Discover, JoinsBoardsWhoseTrunkNoGpuSeesAndOldDeviceTypes) {
    const NodeTopology node = load("old-nvml.xml");
    EXPECT_EQ(uuids(node).size(), 4U);
    EXPECT_EQ(uniform_bandwidth(node), 50000);
}

TEST(Discover, SharesEachSwitchsNicsAmongItsGpusAndLeavesOutStorage) {
    EXPECT_EQ(first_nics(load("nvswitch.xml")),
              (std::vector<std::string>{"mlx5_1", "mlx5_2", "mlx5_3", "mlx5_4"}));
}

TEST(Discover, DividesWholeCoresOfEachNumaNode) {
    EXPECT_EQ(cpus(load("nvswitch.xml")),
              (std::vector<std::string>{"4-5,12-13", "6-7,14-15", "0-1,8-9", "2-3,10-11"}));
}

TEST(Discover, NeverComputesNumaFromTheIndex) {
    const NodeTopology node = load("nvlink-direct.xml");
    EXPECT_EQ(numa(node), (std::vector<std::vector<int>>{{1}, {0}, {3}}));
    EXPECT_EQ(cpus(node), (std::vector<std::string>{"2-3", "0-1", "6-7"}));
    EXPECT_EQ(node.numa_nodes.size(), 4U) << "NUMA node 2 has no GPU";
}

TEST(Discover, WithoutVendorPluginsGpusComeFromTheirPciClass) {
    const NodeTopology node = load("noplugins.xml");
    ASSERT_EQ(node.slots.size(), 3U);
    EXPECT_EQ(numa(node), (std::vector<std::vector<int>>{{1}, {0}, {3}}));
    EXPECT_EQ(node.slots[0].gpus[0].uuid, "");
    EXPECT_EQ(node.slots[0].gpus[0].model, "GH100 [H200 SXM 141GB]");
    EXPECT_EQ(uniform_bandwidth(node), std::nullopt) << "no matrix is not no NVLink";
    EXPECT_EQ(node.warnings,
              std::vector<std::string>{"3 of 3 GPUs have no UUID: nothing here could tell it"});
}

TEST(Discover, LeavesOutTheMemoryOfGpusAndReadsPackagesInAMatrix) {
    const NodeTopology node = load("power.xml");
    ASSERT_EQ(node.numa_nodes.size(), 2U);
    EXPECT_EQ(node.numa_nodes[1].id, 8);
    EXPECT_EQ(numa(node), (std::vector<std::vector<int>>{{0}, {0}, {8}, {8}}));
    EXPECT_EQ(node.links.bandwidth_mb_s[0][1], 40000);
    EXPECT_EQ(node.links.bandwidth_mb_s[0][2], 0) << "a package is no switch";
    EXPECT_EQ(node.links.link_class[0][2], LinkClass::sys);
}

TEST(Discover, AFlatVirtualMachineGivesUnknownsAndSaysSo) {
    const NodeTopology node = load("vm-flat.xml");
    EXPECT_EQ(classes(node), "- -\n- -\n");
    EXPECT_EQ(first_nics(node), (std::vector<std::string>{"", ""}));
    ASSERT_EQ(node.warnings.size(), 1U);
    EXPECT_NE(node.warnings[0].find("hides its PCI switches"), std::string::npos);
}

TEST(Discover, AVirtualMachineWithNumaNodesKeepsWhatTheyTell) {
    const NodeTopology node = load("vm-numa.xml");
    EXPECT_EQ(numa(node), (std::vector<std::vector<int>>{{0}, {0}, {1}, {1}}));
    EXPECT_EQ(classes(node), "- - SYS SYS\n- - SYS SYS\nSYS SYS - -\nSYS SYS - -\n");
    EXPECT_EQ(first_nics(node), (std::vector<std::string>{"", "", "", ""}));
}

TEST(Discover, EveryPartitionOfAnMi300aIsASlot) {
    const NodeTopology node = load("mi300a-partitions.xml");
    ASSERT_EQ(node.slots.size(), 3U);
    EXPECT_EQ(node.slots[0].gpus[0].uuid, "52f1a3c0de000001");
    EXPECT_EQ(node.slots[1].gpus[0].uuid, "") << "a zero is no name";
    EXPECT_EQ(node.slots[2].gpus[0].model, "AMD Instinct MI300A");
    EXPECT_EQ(node.slots[2].gpus[0].vendor, Vendor::amd);
    EXPECT_EQ(cpus(node), (std::vector<std::string>{"0-1", "2-3", "4-5"}));
}

TEST(Discover, DoesNotBelieveTheFlatXgmiMatrixOfAnMi250x) {
    const NodeTopology node = load("mi250x.xml");
    ASSERT_EQ(node.slots.size(), 2U);
    EXPECT_EQ(node.links.bandwidth_mb_s[0][1], std::nullopt);
    EXPECT_EQ(cpus(node), (std::vector<std::string>{"0-3", "4-7"})) << "each its own L3";
    EXPECT_EQ(node.slots[0].gpus[0].uuid, "d0000000000000a0") << "rsmi1 is the lower PCI address";
    EXPECT_EQ(first_nics(node), (std::vector<std::string>{"hsn0", "hsn0"}));
}

TEST(Discover, ReadsFormatOneAndSkipsTheManagementVga) {
    const NodeTopology node = load("v1.xml");
    ASSERT_EQ(node.slots.size(), 1U);
    EXPECT_EQ(node.slots[0].gpus[0].pci.to_string(), "0000:02:00.0");
    EXPECT_EQ(numa(node), (std::vector<std::vector<int>>{{1}}));
    EXPECT_EQ(node.numa_nodes.size(), 2U) << "the third has memory only";
}

TEST(Discover, ASyntheticMachineHasOneSlotForEachCore) {
    DiscoverOptions options;
    options.synthetic = "package:2 [numa] core:3 pu:2";
    const auto node = discover(options);
    ASSERT_TRUE(node) << node.error().text();
    ASSERT_EQ(node->slots.size(), 6U);
    EXPECT_EQ(node->slots[5].kind, SlotKind::cpu);
    EXPECT_EQ(node->slots[5].cpus.to_string(), "10-11");
    EXPECT_EQ(node->slots[5].numa, std::vector<int>{1});
    EXPECT_TRUE(node->links.link_class.empty());
}

TEST(Discover, CpuSlotsOfAGpuMachineOnRequest) {
    DiscoverOptions options;
    options.xml_file = test::fixture("nvswitch.xml");
    options.device = Device::cpu;
    const auto node = discover(options);
    ASSERT_TRUE(node);
    EXPECT_EQ(node->slots.size(), 8U);
    options.xml_file.clear();
    options.synthetic = "core:2 pu:1";
    options.device = Device::gpu;
    const auto none = discover(options);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code(), ErrorCode::unsatisfiable);
}

TEST(Discover, SaysWhatIsWrongWithItsInput) {
    const auto refusal = [](const DiscoverOptions& options) {
        const auto node = discover(options);
        return node ? Error(ErrorCode::internal, "accepted") : node.error();
    };
    DiscoverOptions missing;
    missing.xml_file = "/nowhere/machine.xml";
    EXPECT_EQ(refusal(missing).code(), ErrorCode::not_found);
    EXPECT_EQ(refusal(missing).where(), "/nowhere/machine.xml");
    DiscoverOptions directory;
    directory.xml_file = "/";
    EXPECT_FALSE(discover(directory));
    DiscoverOptions rubbish;
    const test::FakeRoot root;
    root.write("a.xml", "rubbish");
    rubbish.xml_file = root.path() + "/a.xml";
    EXPECT_EQ(refusal(rubbish).text(),
              rubbish.xml_file + ": this is not hwloc XML (give the output of lstopo --of xml)");
    DiscoverOptions synthetic;
    synthetic.synthetic = "gpu:2";
    EXPECT_EQ(refusal(synthetic).code(), ErrorCode::invalid_argument);
    synthetic.xml_file = "x.xml";
    EXPECT_EQ(refusal(synthetic).mend(), "use one of --input and --synthetic");
}

TEST(Discover, TheLiveMachineIsWhatThisProcessMayUse) {
    DiscoverOptions options;
    options.device = Device::cpu;
    const auto node = discover(options);
    ASSERT_TRUE(node) << node.error().text();
    EXPECT_FALSE(node->slots.empty());
    EXPECT_FALSE(node->host.empty());
    CpuSet covered;
    for (const CpuSet& core : node->cores) {
        EXPECT_FALSE(covered.intersects(core));
        covered |= core;
    }
    EXPECT_EQ(covered, node->allowed);
}

TEST(Discover, IsTheSameEveryTime) {
    EXPECT_EQ(load("nvswitch.xml"), load("nvswitch.xml"));
}

}  // namespace
}  // namespace mpitrain::topology
