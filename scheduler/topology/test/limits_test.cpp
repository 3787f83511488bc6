#include "limits.hpp"

#include <gtest/gtest.h>

#include "assemble.hpp"
#include "machines.hpp"

namespace mpitrain::topology {
namespace {

using test::FakeRoot;

TEST(CgroupLimits, VersionTwoTakesTheTightestQuotaOnTheWayUp) {
    const FakeRoot root;
    root.write("proc/self/cgroup", "0::/user.slice/job/step\n");
    root.write("proc/self/mountinfo",
               "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
    root.write("sys/fs/cgroup/user.slice/job/step/cpu.max", "max 100000\n");
    root.write("sys/fs/cgroup/user.slice/job/cpu.max", "250000 100000\n");
    root.write("sys/fs/cgroup/user.slice/cpu.max", "800000 100000\n");
    root.write("sys/fs/cgroup/user.slice/job/step/cpuset.cpus.effective", "4-11\n");
    const CpuLimits limits = read_cgroup_limits(root.path());
    EXPECT_EQ(limits.quota, 2.5);
    ASSERT_TRUE(limits.cpus);
    EXPECT_EQ(limits.cpus->to_string(), "4-11");
}

TEST(CgroupLimits, VersionOneHasAHierarchyForEachController) {
    const FakeRoot root;
    root.write("proc/self/cgroup",
               "4:memory:/m\n3:cpuset:/batch\n2:cpu,cpuacct:/batch/job\n1:name=systemd:/x\n0::/\n");
    root.write("proc/self/mountinfo",
               "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
               "32 31 0:29 / /cg/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
               "34 31 0:31 / /cg/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
               "41 31 0:38 / /cg/unified rw,relatime - cgroup2 cgroup2 rw\n");
    root.write("cg/cpu,cpuacct/batch/job/cpu.cfs_quota_us", "150000\n");
    root.write("cg/cpu,cpuacct/batch/job/cpu.cfs_period_us", "50000\n");
    root.write("cg/cpu,cpuacct/batch/cpu.cfs_quota_us", "-1\n");
    root.write("cg/cpu,cpuacct/batch/cpu.cfs_period_us", "100000\n");
    root.write("cg/cpuset/batch/cpuset.effective_cpus", "0-1\n");
    const CpuLimits limits = read_cgroup_limits(root.path());
    EXPECT_EQ(limits.quota, 3.0);
    ASSERT_TRUE(limits.cpus);
    EXPECT_EQ(limits.cpus->to_string(), "0-1");
}

TEST(CgroupLimits, AContainerSeesItsOwnCgroupAtTheMountPoint) {
    const FakeRoot root;
    root.write("proc/self/cgroup", "2:cpu:/docker/abc/inner\n");
    root.write("proc/self/mountinfo",
               "32 31 0:29 /docker/abc /a\\040b/cpu ro - cgroup cgroup rw,cpu\n");
    root.write("a b/cpu/inner/cpu.cfs_quota_us", "400000\n");
    root.write("a b/cpu/inner/cpu.cfs_period_us", "100000\n");
    root.write("a b/cpu/cpu.cfs_quota_us", "200000\n");
    root.write("a b/cpu/cpu.cfs_period_us", "100000\n");
    EXPECT_EQ(read_cgroup_limits(root.path()).quota, 2.0);
}

TEST(CgroupLimits, APathOfAnotherNamespaceMeansTheMountItself) {
    const FakeRoot root;
    root.write("proc/self/cgroup", "0::/../../elsewhere\n");
    root.write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    root.write("sys/fs/cgroup/cpu.max", "100000 100000\n");
    EXPECT_EQ(read_cgroup_limits(root.path()).quota, 1.0);
}

TEST(CgroupLimits, RubbishAndAbsenceDoNotLimit) {
    const FakeRoot root;
    EXPECT_EQ(read_cgroup_limits(root.path()).quota, std::nullopt);
    root.write("proc/self/cgroup", "0::/\nx\n1:\n::\n");
    root.write("proc/self/mountinfo", " - \n1 2 - cgroup2\n30 23 0:26 / /c rw - cgroup2 c rw\n");
    for (const char* text : {"", "max", "x y", "-5 100000", "100000 0", "1e999 1", "5"}) {
        root.write("c/cpu.max", text);
        EXPECT_EQ(read_cgroup_limits(root.path()).quota, std::nullopt) << text;
    }
    root.write("c/cpuset.cpus.effective", "no list");
    EXPECT_EQ(read_cgroup_limits(root.path()).cpus, std::nullopt);
}

TEST(CpuLimits, TheLiveAffinityIsNotEmpty) {
    const CpuLimits limits = read_cpu_limits("/");
    ASSERT_TRUE(limits.cpus);
    EXPECT_GE(limits.cpus->count(), 1);
}

NodeTopology limited(const CpuLimits& limits, std::vector<Accelerator> gpus = {}) {
    auto node = assemble(test::machine(8), std::move(gpus), limits, Device::automatic);
    EXPECT_TRUE(node) << (node ? "" : node.error().text());
    return node ? *std::move(node) : NodeTopology();
}

TEST(Assemble, TwoOfSixtyFourCoresGiveTwoSlots) {
    const NodeTopology node = limited({CpuSet::of({3, 9}), std::nullopt});
    ASSERT_EQ(node.slots.size(), 2U);
    EXPECT_EQ(node.slots[1].cpus, CpuSet::of({9}));
    EXPECT_EQ(node.slots[1].numa, std::vector<int>{1});
    EXPECT_TRUE(node.pinning_allowed);
}

TEST(Assemble, AQuotaWithoutACpusetForbidsPinning) {
    const NodeTopology node = limited({std::nullopt, 2.0});
    EXPECT_EQ(node.slots.size(), 2U);
    EXPECT_TRUE(node.slots[0].cpus.empty());
    EXPECT_EQ(node.cpu_quota, 2.0);
    EXPECT_FALSE(node.pinning_allowed);
    EXPECT_EQ(node.allowed.count(), 64);
    ASSERT_EQ(node.warnings.size(), 1U);
    EXPECT_EQ(node.warnings[0], "a CPU quota of 2 of 64 CPUs: ranks are not pinned to cores");
}

TEST(Assemble, AQuotaThatTheCpusetMatchesDoesNot) {
    const NodeTopology node = limited({CpuSet::range(0, 1), 2.0});
    EXPECT_EQ(node.slots.size(), 2U);
    EXPECT_EQ(node.cpu_quota, std::nullopt);
    EXPECT_TRUE(node.pinning_allowed);
}

TEST(Assemble, AGpuWhoseCoresAreForbiddenGetsOthersAndAWarning) {
    std::vector<Accelerator> gpus = test::gpus(1);
    gpus[0].locality = test::on_numa(5);
    const NodeTopology node = limited({CpuSet::range(0, 3), std::nullopt}, gpus);
    EXPECT_EQ(node.slots.at(0).cpus, CpuSet::range(0, 3));
    ASSERT_EQ(node.warnings.size(), 1U);
    EXPECT_NE(node.warnings[0].find("none of the cores near it"), std::string::npos);
}

TEST(Assemble, AGpuWithoutAPlaceIsAnywhere) {
    std::vector<Accelerator> gpus = test::gpus(2);
    gpus[0].locality = {};
    gpus[1].locality = {CpuSet::range(0, 63), {0, 1, 2, 3, 4, 5, 6, 7}};
    const NodeTopology node = limited({}, gpus);
    EXPECT_TRUE(node.slots.at(0).numa.empty());
    EXPECT_TRUE(node.slots.at(1).numa.empty()) << "all NUMA nodes is as good as none";
    EXPECT_EQ(node.slots[0].cpus.count(), 32);
    EXPECT_EQ(node.links.link_class[0][1], std::nullopt);
}

TEST(Assemble, NoCpuLeftIsAnError) {
    const auto node =
        assemble(test::machine(1), {}, {CpuSet::of({99}), std::nullopt}, Device::automatic);
    ASSERT_FALSE(node);
    EXPECT_EQ(node.error().code(), ErrorCode::unsatisfiable);
}

}  // namespace
}  // namespace mpitrain::topology
