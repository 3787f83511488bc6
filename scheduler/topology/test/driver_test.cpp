#include "driver.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "links.hpp"
#include "machines.hpp"

namespace mpitrain::topology {
namespace {

using test::FakeRoot;

// Chooses a behaviour of the fake library for one test.
class Scenario {
  public:
    explicit Scenario(const char* name) { setenv("FAKE_NVML", name, 1); }
    Scenario(const Scenario&) = delete;
    Scenario& operator=(const Scenario&) = delete;
    ~Scenario() { unsetenv("FAKE_NVML"); }
};

// The GPUs of the fake library as the PCI bus shows them.
std::vector<Accelerator> seen_gpus() {
    std::vector<Accelerator> gpus = test::gpus(3);
    const unsigned buses[] = {0x21, 0x31, 0x91};
    for (std::size_t index = 0; index < 3; ++index) {
        gpus[index].gpu.pci.bus = buses[index];
        gpus[index].gpu.uuid.clear();
        gpus[index].gpu.model = "by class";
    }
    return gpus;
}

struct Outcome {
    Machine machine;
    std::vector<Accelerator> gpus;
    [[nodiscard]] std::vector<std::string> uuids() const {
        std::vector<std::string> names;
        for (const Accelerator& gpu : gpus) {
            names.push_back(gpu.gpu.uuid);
        }
        return names;
    }
};

Outcome apply(const FakeRoot& root, std::vector<Accelerator> gpus, const std::string& nvml) {
    Outcome outcome{test::machine(1), std::move(gpus)};
    apply_drivers(root.path(), nvml, outcome.machine, outcome.gpus);
    return outcome;
}

using Names = std::vector<std::string>;

TEST(Nvml, FillsNamesLinksAndMigDevices) {
    const Outcome outcome = apply(FakeRoot(), seen_gpus(), MPITRAIN_FAKE_NVML);
    EXPECT_EQ(outcome.uuids(), (Names{"GPU-a", "GPU-b", "MIG-c0", "MIG-c2"}));
    EXPECT_EQ(outcome.gpus[0].gpu.model, "NVIDIA Fake");
    EXPECT_FALSE(outcome.gpus[3].bridges.empty()) << "a MIG device is where its GPU is";
    const Links links = find_links(outcome.machine, outcome.gpus, false);
    EXPECT_EQ(links.bandwidth_mb_s[0][1], 50000) << "two NVLink 3 through an unnamed switch";
    EXPECT_EQ(links.link_class[0][1], LinkClass::nvl);
    EXPECT_EQ(links.link_class[2][3], LinkClass::pix) << "two parts of one card";
    EXPECT_EQ(links.bandwidth_mb_s[0][2], std::nullopt);
}

TEST(Nvml, LeavesOutAGpuThatThisProcessIsDenied) {
    const Scenario denied("denied");
    const Outcome outcome = apply(FakeRoot(), seen_gpus(), MPITRAIN_FAKE_NVML);
    EXPECT_EQ(outcome.uuids(), (Names{"GPU-a", "MIG-c0", "MIG-c2"}));
    EXPECT_EQ(outcome.machine.warnings,
              Names{"GPU 0000:31:00.0 is left out: the driver does not show it to this process"});
}

TEST(Nvml, LeavesOutAGpuInMigModeWithoutDevices) {
    const Scenario empty("empty_mig");
    const Outcome outcome = apply(FakeRoot(), seen_gpus(), MPITRAIN_FAKE_NVML);
    EXPECT_EQ(outcome.uuids(), (Names{"GPU-a", "GPU-b"}));
    ASSERT_EQ(outcome.machine.warnings.size(), 1U);
    EXPECT_NE(outcome.machine.warnings[0].find("MIG mode"), std::string::npos);
}

TEST(Nvml, AddsGpusThatTheBusDoesNotShow) {
    const Outcome outcome = apply(FakeRoot(), {}, MPITRAIN_FAKE_NVML);
    EXPECT_EQ(outcome.uuids(), (Names{"GPU-a", "GPU-b", "MIG-c0", "MIG-c2"}));
    EXPECT_TRUE(outcome.gpus[0].locality.cpus.empty());
}

TEST(Nvml, ALibraryThatDoesNotStartIsSaid) {
    const Scenario broken("broken");
    const Outcome outcome = apply(FakeRoot(), seen_gpus(), MPITRAIN_FAKE_NVML);
    EXPECT_TRUE(outcome.gpus.empty());
    ASSERT_EQ(outcome.machine.warnings.size(), 4U);
    EXPECT_NE(outcome.machine.warnings[0].find("NVML error 9"), std::string::npos);
    EXPECT_EQ(outcome.machine.warnings[1],
              "GPU 0000:21:00.0 is left out: no NVIDIA driver is usable here");
}

std::string information(const std::string& uuid, int minor) {
    return "Model: \t\t NVIDIA H200\nIRQ:   \t\t 77\nGPU UUID: \t " + uuid +
           "\nBus Location: \t 0000:21:00.0\nDevice Minor: \t " + std::to_string(minor) + "\n";
}

TEST(ProcDriver, NamesGpusWithoutTheLibrary) {
    const FakeRoot root;
    root.write("proc/driver/nvidia/gpus/0000:21:00.0/information", information("GPU-21", 3));
    root.write("proc/driver/nvidia/gpus/0000:31:00.0/information", information("GPU-????", 0));
    root.write("proc/driver/nvidia/gpus/rubbish/information", "x");
    root.write("dev/nvidia3", "");
    root.write("dev/nvidia0", "");
    const Outcome outcome = apply(root, seen_gpus(), "");
    EXPECT_EQ(outcome.uuids(), (Names{"GPU-21", ""}));
    EXPECT_EQ(outcome.gpus[0].gpu.model, "NVIDIA H200");
    EXPECT_TRUE(outcome.machine.nvlink.entries.empty()) << "absence of a matrix, not of links";
}

TEST(ProcDriver, LeavesOutAGpuWhoseDeviceFileCannotBeOpened) {
    const FakeRoot root;
    root.write("proc/driver/nvidia/gpus/0000:21:00.0/information", information("GPU-21", 3));
    root.write("proc/driver/nvidia/gpus/0000:31:00.0/information", information("GPU-31", 4));
    root.write("dev/nvidia4", "");
    std::vector<Accelerator> gpus = seen_gpus();
    gpus.pop_back();
    const Outcome outcome = apply(root, gpus, "");
    EXPECT_EQ(outcome.uuids(), Names{"GPU-31"});
    EXPECT_EQ(outcome.machine.warnings,
              Names{"GPU 0000:21:00.0 is left out: this process may not open /dev/nvidia3"});
}

TEST(AmdDriver, NeedsItsDeviceFileAndTakesTheUuidFromSys) {
    std::vector<Accelerator> gpus = test::gpus(1);
    gpus[0].gpu.vendor = Vendor::amd;
    gpus[0].gpu.uuid.clear();
    const FakeRoot root;
    EXPECT_TRUE(apply(root, gpus, "").gpus.empty());
    root.write("dev/kfd", "");
    root.write("sys/bus/pci/devices/0000:10:00.0/unique_id", "5ec0ffee\n");
    EXPECT_EQ(apply(root, gpus, "").uuids(), Names{"5ec0ffee"});
}

TEST(MayHaveGpus, LooksForAcceleratorsAndNotForScreens) {
    const FakeRoot root;
    EXPECT_FALSE(may_have_gpus(root.path()));
    const auto add = [&root](const char* address, const char* type, const char* vendor) {
        const std::string directory = std::string("sys/bus/pci/devices/") + address;
        root.write(directory + "/class", std::string(type) + "\n");
        root.write(directory + "/vendor", std::string(vendor) + "\n");
    };
    add("0000:00:02.0", "0x030000", "0x8086");
    add("0000:01:00.0", "0x030000", "0x1a03");
    add("0000:02:00.0", "0x020000", "0x10de");
    EXPECT_FALSE(may_have_gpus(root.path()));
    add("0000:03:00.0", "0x120000", "0x1002");
    EXPECT_TRUE(may_have_gpus(root.path()));
    const FakeRoot container;
    container.write("dev/nvidiactl", "");
    EXPECT_TRUE(may_have_gpus(container.path()));
}

}  // namespace
}  // namespace mpitrain::topology
