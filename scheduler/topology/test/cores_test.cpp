#include "cores.hpp"

#include <gtest/gtest.h>

#include "machines.hpp"

namespace mpitrain::topology {
namespace {

using test::cores;

// The shares, as CPU lists, of GPUs with these local CPUs on `count` single-thread cores.
std::vector<std::string> shares(const std::vector<std::string>& local, int count) {
    std::vector<Accelerator> devices = test::gpus(static_cast<int>(local.size()));
    for (std::size_t index = 0; index < local.size(); ++index) {
        devices[index].locality.cpus = CpuSet::parse(local[index]).value();
    }
    split_cores(cores(count), devices);
    std::vector<std::string> result;
    for (const Accelerator& device : devices) {
        result.push_back(device.cpus.to_string());
    }
    return result;
}

using Lists = std::vector<std::string>;

TEST(SplitCores, EvenAndContiguousAmongNeighbours) {
    EXPECT_EQ(shares({"0-7", "0-7", "8-15", "8-15"}, 16), (Lists{"0-3", "4-7", "8-11", "12-15"}));
}

TEST(SplitCores, UnequalNeighboursGetTheirOwnNode) {
    // 3 + 1: the lone GPU of a node has all of it, and no node lends to another.
    EXPECT_EQ(shares({"0-8", "0-8", "0-8", "9-17"}, 18), (Lists{"0-2", "3-5", "6-8", "9-17"}));
}

TEST(SplitCores, ARemainderDiffersByOneCore) {
    EXPECT_EQ(shares({"0-7", "0-7", "0-7"}, 8), (Lists{"0-2", "3-5", "6-7"}));
}

TEST(SplitCores, LeavesNodesWithoutGpusAlone) {
    EXPECT_EQ(shares({"4-7"}, 16), Lists{"4-7"});
}

TEST(SplitCores, NestedPlacesBothGetTheirShare) {
    // One GPU knows its NUMA node, the other only the machine.
    EXPECT_EQ(shares({"0-7", "0-3"}, 8), (Lists{"4-7", "0-3"}));
    EXPECT_EQ(shares({"0-3", "0-3"}, 4), (Lists{"0-1", "2-3"}));
    EXPECT_EQ(shares({"0-5", "0-3"}, 6), (Lists{"3-5", "0-2"}));
}

TEST(SplitCores, UnknownPlacesDrawFromAll) {
    EXPECT_EQ(shares({"", ""}, 4), (Lists{"0-1", "2-3"}));
}

TEST(SplitCores, ForbiddenPlacesDrawFromWhatIsAllowed) {
    EXPECT_EQ(shares({"64-71", "0-3"}, 4), (Lists{"0-1", "2-3"}));
}

TEST(SplitCores, FewerCoresThanGpusLeaveSomeWithout) {
    EXPECT_EQ(shares({"0-1", "0-1", "0-1"}, 2), (Lists{"0", "1", ""}));
}

TEST(SplitCores, KeepsTheThreadsOfACoreTogether) {
    std::vector<Accelerator> devices = test::gpus(2);
    const std::vector<CpuSet> threads = {
        CpuSet::of({0, 4}), CpuSet::of({1, 5}), CpuSet::of({2, 6}), CpuSet::of({3, 7})};
    split_cores(threads, devices);
    EXPECT_EQ(devices[0].cpus.to_string(), "0-1,4-5");
    EXPECT_EQ(devices[1].cpus.to_string(), "2-3,6-7");
}

}  // namespace
}  // namespace mpitrain::topology
