#include "accelerator.hpp"

#include <gtest/gtest.h>

#include "machines.hpp"

namespace mpitrain::topology {
namespace {

PciDevice device(unsigned bus, unsigned class_id, unsigned vendor) {
    PciDevice pci;
    pci.address = {0, bus, 0, 0};
    pci.class_id = class_id;
    pci.vendor_id = vendor;
    return pci;
}

OsDevice os(const std::string& name, OsDeviceKind kind = OsDeviceKind::gpu) {
    return {kind, name, "", {}};
}

std::vector<unsigned> buses(const Machine& machine) {
    std::vector<std::string> warnings;
    std::vector<unsigned> result;
    for (const Accelerator& gpu : find_gpus(machine, warnings)) {
        result.push_back(gpu.gpu.pci.bus);
    }
    return result;
}

TEST(FindGpus, ByClassAndVendor) {
    Machine machine;
    machine.pci_devices = {
        device(9, 0x0302, 0x10de),  // a data centre GPU
        device(1, 0x0300, 0x10de),  // a consumer card
        device(2, 0x0380, 0x1002),  // MI250X
        device(3, 0x1200, 0x1002),  // MI300X
        device(4, 0x0300, 0x1a03),  // ASPEED management VGA
        device(5, 0x0300, 0x102b),  // Matrox management VGA
        device(6, 0x0680, 0x10de),  // NVSwitch
        device(7, 0x0207, 0x15b3),  // InfiniBand
        device(0, 0x0300, 0x8086),  // graphics of the processor
        device(8, 0x0380, 0x8086),  // Ponte Vecchio
        device(10, 0x0300, 0),      // ids that could not be read
        device(11, 0x0403, 0x10de)  // the sound of a card
    };
    EXPECT_EQ(buses(machine), (std::vector<unsigned>{1, 2, 3, 8, 9, 10}));
}

TEST(FindGpus, ABoardWithSeveralNamesIsOneGpu) {
    Machine machine;
    machine.pci_devices = {device(1, 0x0302, 0x10de)};
    machine.pci_devices[0].os_devices = {
        os("cuda3"), os("nvml0"), os("opencl0d1"), os("card1"), os("renderD128")};
    machine.pci_devices[0].os_devices[1].infos = {{"NVIDIAUUID", "GPU-1"}, {"GPUModel", "M"}};
    std::vector<std::string> warnings;
    const std::vector<Accelerator> gpus = find_gpus(machine, warnings);
    ASSERT_EQ(gpus.size(), 1U);
    EXPECT_EQ(gpus[0].gpu.uuid, "GPU-1");
    EXPECT_EQ(gpus[0].gpu.model, "M");
}

TEST(FindGpus, ThoseThatTheVendorsLibraryCannotDriveAreLeftOut) {
    Machine machine;
    machine.pci_devices = {
        device(1, 0x0302, 0x10de), device(2, 0x0302, 0x10de), device(3, 0x0300, 0x1002)};
    machine.pci_devices[1].os_devices = {os("cuda0", OsDeviceKind::coprocessor)};
    std::vector<std::string> warnings;
    EXPECT_EQ(find_gpus(machine, warnings).size(), 2U) << "the other vendor is judged by class";
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_NE(warnings[0].find("0000:01:00.0 is left out"), std::string::npos);
}

TEST(FindGpus, WithoutPciTheVendorsListIsInIndexOrder) {
    Machine machine;
    machine.loose_devices = {os("cuda0"), os("nvml10"), os("nvml2"), os("card0")};
    std::vector<std::string> warnings;
    const std::vector<Accelerator> gpus = find_gpus(machine, warnings);
    ASSERT_EQ(gpus.size(), 2U);
    EXPECT_EQ(gpus[0].os_names, std::vector<std::string>{"nvml2"});
    EXPECT_EQ(gpus[1].os_names, std::vector<std::string>{"nvml10"});
    EXPECT_FALSE(gpus[0].has_pci);
}

TEST(FindNics, PrefersTheRdmaNameAndSkipsPlainEthernet) {
    Machine machine;
    machine.pci_devices = {
        device(3, 0x0200, 0x15b3), device(2, 0x0200, 0x17db), device(1, 0x0200, 0x8086)};
    machine.pci_devices[0].os_devices = {os("eth2", OsDeviceKind::network),
                                         os("mlx5_0", OsDeviceKind::openfabrics)};
    machine.pci_devices[1].os_devices = {os("hsn0", OsDeviceKind::network)};
    machine.pci_devices[2].os_devices = {os("eth0", OsDeviceKind::network)};
    const std::vector<Nic> nics = find_nics(machine);
    ASSERT_EQ(nics.size(), 2U);
    EXPECT_EQ(nics[0].name, "hsn0");
    EXPECT_EQ(nics[1].name, "mlx5_0");
}

}  // namespace
}  // namespace mpitrain::topology
