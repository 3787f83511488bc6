#include "mpitrain/model/topology.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "mpitrain/model/placement.hpp"

namespace mpitrain {
namespace {

NodeTopology sample() {
    NodeTopology node;
    node.host = "n1";
    for (int index = 0; index < 2; ++index) {
        Slot slot;
        slot.slot = SlotId(index);
        slot.kind = SlotKind::gpu;
        slot.gpus = {{"GPU-" + std::to_string(index),
                      {0x10, static_cast<unsigned>(0x1b + index), 0, 0},
                      "NVIDIA \"H100\"",
                      Vendor::nvidia}};
        slot.numa = {index};
        slot.cpus = CpuSet::range(index * 4, index * 4 + 3);
        slot.nics = {"mlx5_" + std::to_string(index)};
        node.slots.push_back(slot);
    }
    node.links.bandwidth_mb_s = {{std::nullopt, 450000}, {450000, std::nullopt}};
    node.links.link_class = {{std::nullopt, LinkClass::nvl}, {LinkClass::nvl, std::nullopt}};
    node.cores = {CpuSet::of({0, 4}), CpuSet::of({1, 5})};
    node.numa_nodes = {{0, CpuSet::range(0, 3), Bytes(1ULL << 40)}};
    node.allowed = CpuSet::range(0, 7);
    node.cpu_quota = 2.5;
    node.pinning_allowed = false;
    node.warnings = {"a warning"};
    return node;
}

TEST(PciAddress, ReadsEveryWayItIsPrinted) {
    const PciAddress expected{0, 0x1b, 0x1f, 7};
    for (const char* text : {"0000:1b:1f.7", "00000000:1B:1F.7", "1b:1f.7"}) {
        const auto address = PciAddress::parse(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(*address, expected) << text;
    }
    EXPECT_EQ(expected.to_string(), "0000:1b:1f.7");
    EXPECT_EQ((PciAddress{0x10000, 1, 0, 0}).to_string(), "10000:01:00.0");
}

TEST(PciAddress, OrdersNumerically) {
    EXPECT_LT(PciAddress::parse("0009:01:00.0").value(), PciAddress::parse("0010:01:00.0").value());
    EXPECT_LT(PciAddress::parse("00:9f:00.0").value(), PciAddress::parse("00:a0:00.0").value());
}

TEST(PciAddress, RefusesWhatIsNotOne) {
    for (const char* text : {"",
                             "1b",
                             "1b:00",
                             "1b:00.8",
                             "1b:20.0",
                             "xx:00.0",
                             "0000:1b:00.0 ",
                             "000000000:1b:00.0",
                             "0000:1bb:00.0",
                             ":00.0",
                             "0:0:0:0.0"}) {
        EXPECT_FALSE(PciAddress::parse(text)) << text;
    }
}

TEST(TopologyJson, HasTheFieldsScriptsRead) {
    const auto json = nlohmann::json::parse(to_json(sample()));
    EXPECT_EQ(json["schema"], "mpitrain.topo/1");
    EXPECT_EQ(json["host"], "n1");
    EXPECT_EQ(json["slots"][1]["slot"], 1);
    EXPECT_EQ(json["slots"][1]["kind"], "gpu");
    EXPECT_EQ(json["slots"][1]["gpus"][0]["uuid"], "GPU-1");
    EXPECT_EQ(json["slots"][1]["gpus"][0]["pci"], "0010:1c:00.0");
    EXPECT_EQ(json["slots"][1]["gpus"][0]["vendor"], "nvidia");
    EXPECT_EQ(json["slots"][1]["numa"][0], 1);
    EXPECT_EQ(json["slots"][1]["cpus"], "4-7");
    EXPECT_EQ(json["slots"][1]["nics"][0], "mlx5_1");
    EXPECT_EQ(json["links"]["unit"], "MB/s");
    EXPECT_EQ(json["links"]["matrix"][0][1], 450000);
    EXPECT_TRUE(json["links"]["matrix"][0][0].is_null());
    EXPECT_EQ(json["links"]["class"][0][1], "NVL");
    EXPECT_EQ(json["warnings"][0], "a warning");
}

TEST(TopologyJson, IsOneLineAndReadsBack) {
    const NodeTopology node = sample();
    const std::string text = to_json(node);
    EXPECT_EQ(text.find('\n'), std::string::npos);
    const auto back = topology_from_json(text);
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, node);
    NodeTopology bare;
    EXPECT_EQ(topology_from_json(to_json(bare)).value(), bare);
}

TEST(TopologyJson, NamesTheFieldThatIsWrong) {
    const auto error_after = [](const std::string& pointer, const nlohmann::json& value) {
        auto json = nlohmann::json::parse(to_json(sample()));
        json[nlohmann::json::json_pointer(pointer)] = value;
        const auto back = topology_from_json(json.dump());
        return back ? std::string("accepted") : back.error().what();
    };
    EXPECT_EQ(error_after("/schema", "x/1"), "field 'schema' is 'x/1', not 'mpitrain.topo/1'");
    EXPECT_EQ(error_after("/slots/1/slot", 7), "field 'slots[1].slot' is out of order");
    EXPECT_EQ(error_after("/slots/0/kind", "tpu"), "field 'slots[0].kind' is neither gpu nor cpu");
    EXPECT_EQ(error_after("/slots/0/numa", "x"), "field 'slots[0].numa' has the wrong type");
    EXPECT_EQ(error_after("/links/matrix", nlohmann::json::array({1})),
              "field 'links.matrix' is not square over the slots");
    EXPECT_EQ(error_after("/slots", 3), "field 'slots' is not an array");
    EXPECT_FALSE(topology_from_json("{"));
    EXPECT_FALSE(topology_from_json("[]"));
}

TEST(CpuSlots, OneForEachCoreWithItsNumaNode) {
    NodeTopology node;
    node.cores = {CpuSet::of({0, 2}), CpuSet::of({1, 3})};
    node.numa_nodes = {{0, CpuSet::of({0, 2}), Bytes()}, {1, CpuSet::of({1, 3}), Bytes()}};
    const std::vector<Slot> slots = cpu_slots(node);
    ASSERT_EQ(slots.size(), 2U);
    EXPECT_EQ(slots[1].slot, SlotId(1));
    EXPECT_EQ(slots[1].kind, SlotKind::cpu);
    EXPECT_EQ(slots[1].cpus, CpuSet::of({1, 3}));
    EXPECT_EQ(slots[1].numa, std::vector<int>{1});
}

TEST(CpuSlots, AQuotaGivesWholeSharesWithoutCores) {
    NodeTopology node;
    for (int core = 0; core < 64; ++core) {
        node.cores.push_back(CpuSet::of({core}));
    }
    node.pinning_allowed = false;
    for (const auto& [quota, count] :
         std::vector<std::pair<double, std::size_t>>{{2.0, 2}, {2.9, 2}, {0.5, 1}, {100, 64}}) {
        node.cpu_quota = quota;
        const std::vector<Slot> slots = cpu_slots(node);
        EXPECT_EQ(slots.size(), count) << quota;
        EXPECT_TRUE(slots.front().cpus.empty()) << quota;
    }
}

TEST(Device, ReadsTheWordsOfTheCommandLine) {
    EXPECT_EQ(parse_device("auto").value(), Device::automatic);
    EXPECT_EQ(parse_device("cuda").value(), Device::gpu);
    EXPECT_EQ(parse_device("cpu").value(), Device::cpu);
    EXPECT_EQ(parse_device("tpu").error().text(), "unknown device 'tpu' (use auto, cuda or cpu)");
}

}  // namespace
}  // namespace mpitrain
