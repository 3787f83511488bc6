#include "links.hpp"

#include <gtest/gtest.h>

#include "machines.hpp"

namespace mpitrain::topology {
namespace {

using test::gpus;
using test::machine;
using test::on_numa;

using Bridges = std::vector<std::uint64_t>;

std::optional<LinkClass> between(const Bridges& a, int numa_a, const Bridges& b, int numa_b) {
    return pci_class_between(a, on_numa(numa_a), b, on_numa(numa_b), machine(2), false);
}

TEST(PciClass, FollowsTheWordsOfNvidiaSmi) {
    EXPECT_EQ(between({1, 2}, 0, {1, 2}, 0), LinkClass::pix) << "functions of one card";
    EXPECT_EQ(between({1, 2, 3, 4}, 0, {1, 2, 3, 5}, 0), LinkClass::pix) << "one switch";
    EXPECT_EQ(between({1, 2, 3, 4}, 0, {1, 2, 3, 5, 6, 7}, 0), LinkClass::pxb)
        << "a switch below the switch";
    EXPECT_EQ(between({1, 2}, 0, {1, 3}, 0), LinkClass::phb) << "two ports of one host bridge";
    EXPECT_EQ(between({1, 2}, 0, {4, 5}, 0), LinkClass::node) << "two host bridges of one node";
    EXPECT_EQ(between({1, 2}, 0, {4, 5}, 1), LinkClass::sys);
}

TEST(PciClass, UnknownWhereThePlaceIsUnknown) {
    const Locality nowhere;
    const Locality anywhere{CpuSet::range(0, 15), {0, 1}};
    for (const Locality& place : {nowhere, anywhere}) {
        EXPECT_EQ(pci_class_between({1}, place, {2}, on_numa(0), machine(2), false), std::nullopt);
        EXPECT_EQ(pci_class_between({}, place, {}, place, machine(2), false), std::nullopt);
    }
    EXPECT_EQ(pci_class_between({1}, on_numa(0), {2}, on_numa(0), machine(1), false),
              LinkClass::node)
        << "on one NUMA node everything is near";
}

TEST(PciClass, AFlatMachineTellsOnlyItsNumaNodes) {
    EXPECT_EQ(pci_class_between({1, 2}, on_numa(0), {1, 3}, on_numa(0), machine(2), true),
              std::nullopt);
    EXPECT_EQ(pci_class_between({1}, on_numa(0), {2}, on_numa(1), machine(2), true),
              LinkClass::sys);
}

std::vector<Nic> nics(const std::vector<Bridges>& places, int numa = 0) {
    std::vector<Nic> result;
    for (std::size_t index = 0; index < places.size(); ++index) {
        result.push_back({"mlx5_" + std::to_string(index),
                          {0, static_cast<unsigned>(index), 0, 0},
                          places[index],
                          on_numa(numa)});
    }
    return result;
}

std::vector<std::vector<std::string>> assigned(std::vector<Accelerator> devices,
                                               const std::vector<Nic>& available) {
    assign_nics(machine(2), available, false, devices);
    std::vector<std::vector<std::string>> result;
    for (const Accelerator& device : devices) {
        result.push_back(device.nics);
    }
    return result;
}

using Names = std::vector<std::vector<std::string>>;

TEST(AssignNics, TakesTheNearestAndNotTheNumber) {
    EXPECT_EQ(assigned(gpus(2), nics({{101, 201, 301, 9}, {100, 200, 300, 9}, {7}})),
              (Names{{"mlx5_1"}, {"mlx5_0"}}));
}

TEST(AssignNics, SpreadsEquallyNearOnes) {
    std::vector<Accelerator> two = gpus(2);
    two[1].bridges = {100, 200, 300, 401};
    const Bridges on_switch{100, 200, 300, 9};
    EXPECT_EQ(assigned(two, nics({on_switch, on_switch})), (Names{{"mlx5_0"}, {"mlx5_1"}}));
    EXPECT_EQ(assigned(two, nics({on_switch})), (Names{{"mlx5_0"}, {"mlx5_0"}}));
    EXPECT_EQ(assigned(two, nics({on_switch, on_switch, on_switch, on_switch})),
              (Names{{"mlx5_0", "mlx5_1"}, {"mlx5_2", "mlx5_3"}}));
    EXPECT_EQ(assigned(two, nics({on_switch, on_switch, on_switch})),
              (Names{{"mlx5_0"}, {"mlx5_1", "mlx5_2"}}));
    EXPECT_EQ(assigned(gpus(1), nics({on_switch, on_switch, on_switch, on_switch})),
              (Names{{"mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"}}))
        << "four interfaces a GPU";
}

TEST(AssignNics, NeverCrossesTheSockets) {
    EXPECT_EQ(assigned(gpus(1), nics({{7}}, 1)), Names{{}});
    EXPECT_EQ(assigned(gpus(1), nics({{7}}, 0)), Names{{"mlx5_0"}}) << "same node will do";
}

TEST(HidesPciSwitches, OnlyAVirtualMachineWithoutCommonBridges) {
    Machine vm = machine(1);
    std::vector<Accelerator> devices = gpus(2);
    EXPECT_FALSE(hides_pci_switches(vm, devices, {}));
    vm.is_virtual = true;
    EXPECT_TRUE(hides_pci_switches(vm, devices, {}));
    EXPECT_FALSE(hides_pci_switches(vm, devices, nics({{100, 200, 300, 9}})))
        << "some clouds show the real tree";
    devices[1].bridges = {100, 205};
    devices[0].bridges = {100, 204};
    EXPECT_TRUE(hides_pci_switches(vm, devices, {})) << "a root bus holds everything";
}

TEST(FindLinks, HostileBandwidthsStayInRange) {
    Machine hostile = machine(1);
    std::vector<Accelerator> devices = gpus(2);
    devices[0].os_names = {"nvml0"};
    devices[1].os_names = {"nvml1"};
    hostile.nvlink.entries = {{"nvml0", false}, {"nvml1", false}, {"", true}, {"", true}};
    hostile.nvlink.mb_s.assign(16, ~std::uint64_t{0});
    const Links links = find_links(hostile, devices, false);
    EXPECT_EQ(links.bandwidth_mb_s[0][1], std::numeric_limits<int>::max());
}

TEST(FindLinks, AMatrixMayNameOnlySomeOfTheGpus) {
    Machine partial = machine(1);
    std::vector<Accelerator> devices = gpus(3);
    devices[0].os_names = {"nvml0"};
    devices[2].os_names = {"nvml2"};
    partial.nvlink.entries = {{"nvml2", false}, {"nvml0", false}};
    partial.nvlink.mb_s = {0, 50000, 50000, 0};
    const Links links = find_links(partial, devices, false);
    EXPECT_EQ(links.bandwidth_mb_s[0][2], 50000);
    EXPECT_EQ(links.bandwidth_mb_s[0][1], std::nullopt);
    EXPECT_EQ(links.link_class[0][1], LinkClass::node);
}

}  // namespace
}  // namespace mpitrain::topology
