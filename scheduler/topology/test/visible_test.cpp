#include "visible.hpp"

#include <gtest/gtest.h>

#include "machines.hpp"

namespace mpitrain::topology {
namespace {

struct Outcome {
    std::vector<std::string> uuids;
    std::vector<std::string> warnings;
};

Outcome visible(const std::string& value,
                std::vector<Accelerator> gpus = test::gpus(4),
                bool pci_order = false) {
    Outcome outcome;
    apply_cuda_visible_devices(value, pci_order, gpus, outcome.warnings);
    for (const Accelerator& gpu : gpus) {
        outcome.uuids.push_back(gpu.gpu.uuid);
    }
    return outcome;
}

using Names = std::vector<std::string>;

TEST(CudaVisibleDevices, IndicesCountPciOrderAndSlotsKeepIt) {
    EXPECT_EQ(visible("2,0").uuids, (Names{"GPU-0000", "GPU-2000"}));
    EXPECT_EQ(visible(" 1 , 3 ").uuids, (Names{"GPU-1000", "GPU-3000"}));
}

TEST(CudaVisibleDevices, UuidsAndUniqueBeginnings) {
    EXPECT_EQ(visible("GPU-2000").uuids, Names{"GPU-2000"});
    EXPECT_EQ(visible("GPU-3,GPU-1").uuids, (Names{"GPU-1000", "GPU-3000"}));
    EXPECT_EQ(visible("GPU-").uuids, Names{}) << "ambiguous";
}

TEST(CudaVisibleDevices, AnInvalidEntryHidesEverythingAfterIt) {
    EXPECT_EQ(visible("0,9,1").uuids, Names{"GPU-0000"});
    EXPECT_EQ(visible("0,9,1").warnings,
              Names{"CUDA_VISIBLE_DEVICES: '9' names no GPU here, so it and what follows is "
                    "hidden"});
    EXPECT_EQ(visible("1,-1,2").uuids, Names{"GPU-1000"});
    EXPECT_TRUE(visible("1,-1,2").warnings.empty()) << "-1 is meant";
    EXPECT_EQ(visible("1,1,2").uuids, Names{"GPU-1000"});
    EXPECT_EQ(visible("1,,2").uuids, Names{"GPU-1000"});
}

TEST(CudaVisibleDevices, EmptyHidesAllWithoutAWord) {
    for (const char* value : {"", " ", "-1", "NoDevFiles"}) {
        EXPECT_EQ(visible(value).uuids, Names{}) << value;
        EXPECT_TRUE(visible(value).warnings.empty()) << value;
    }
}

TEST(CudaVisibleDevices, MigDevicesByUuidAndTheFirstByIndex) {
    std::vector<Accelerator> gpus = test::gpus(3);
    gpus[0].gpu.uuid = "MIG-aa";
    gpus[1].gpu.uuid = "MIG-ab";
    gpus[1].gpu.pci = gpus[0].gpu.pci;
    EXPECT_EQ(visible("MIG-ab", gpus).uuids, Names{"MIG-ab"});
    EXPECT_EQ(visible("1,0", gpus).uuids, (Names{"MIG-aa", "GPU-2000"}));
}

TEST(CudaVisibleDevices, OtherVendorsAreNotItsBusiness) {
    std::vector<Accelerator> gpus = test::gpus(3);
    gpus[1].gpu.vendor = Vendor::amd;
    EXPECT_EQ(visible("1", gpus).uuids, (Names{"GPU-1000", "GPU-2000"}));
    EXPECT_EQ(visible("", gpus).uuids, Names{"GPU-1000"});
}

TEST(CudaVisibleDevices, WarnsWhereAnIndexDependsOnSpeed) {
    std::vector<Accelerator> gpus = test::gpus(2);
    gpus[1].gpu.model = "NVIDIA T2";
    EXPECT_EQ(visible("0", gpus).warnings.size(), 1U);
    EXPECT_TRUE(visible("0", gpus, true).warnings.empty());
    EXPECT_TRUE(visible("GPU-0", gpus).warnings.empty());
}

}  // namespace
}  // namespace mpitrain::topology
