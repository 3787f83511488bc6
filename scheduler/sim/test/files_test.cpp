#include <gtest/gtest.h>

#include "mpitrain/sim/cluster_file.hpp"
#include "mpitrain/sim/trace.hpp"

namespace mpitrain::sim {
namespace {

constexpr std::string_view header = "job_id,submit_s,gpus,duration_s\n";

std::string error_of(std::string_view rows) {
    const auto trace = read_csv_trace(std::string(header) + std::string(rows), "t.csv");
    return trace ? "" : trace.error().text();
}

TEST(CsvTrace, ReadsColumnsInAnyOrderAndSortsBySubmission) {
    const auto trace = read_csv_trace(
        "user,duration_s,gpus,other,submit_s,job_id,estimate_s\n"
        "ann,60,8,x,20,2,90\n"
        "bob,30.5,1,y,10,1,40\n",
        "t.csv");
    ASSERT_TRUE(trace) << trace.error().text();
    ASSERT_EQ(trace->jobs.size(), 2U);
    EXPECT_EQ(trace->jobs[0].job, JobId(1));
    EXPECT_EQ(trace->jobs[0].duration, std::chrono::milliseconds(30500));
    EXPECT_EQ(trace->jobs[1].user, "ann");
    EXPECT_TRUE(trace->has_estimates);
}

TEST(CsvTrace, LeavesOutJobsWithoutGpus) {
    const auto trace = read_csv_trace(std::string(header) + "1,0,0,5\n2,0,1,5\n", "t.csv");
    ASSERT_TRUE(trace);
    EXPECT_EQ(trace->jobs.size(), 1U);
    EXPECT_EQ(trace->skipped, 1);
}

TEST(CsvTrace, NamesFileLineAndFieldOfWhatIsWrong) {
    EXPECT_EQ(error_of("1,0,-1,5\n"),
              "t.csv:2: field 'gpus' is '-1', no whole number from 0 to 10000000");
    EXPECT_EQ(error_of("1,0,1,5\n2,nan,1,5\n"),
              "t.csv:3: field 'submit_s' is 'nan', no number of seconds from 0 to 9e9");
    EXPECT_NE(error_of("1,0,9223372036854775808,5\n").find("t.csv:2: field 'gpus'"),
              std::string::npos);
    EXPECT_NE(error_of("1,0,1,9223372036854775808\n").find("'duration_s'"), std::string::npos);
    EXPECT_NE(error_of("1,0,0.5,5\n").find("'gpus' is '0.5'"), std::string::npos);
    EXPECT_NE(error_of("1,0,1\n").find("'duration_s' is missing"), std::string::npos);
    EXPECT_NE(error_of("1,0,1,5\n1,0,1,5\n").find("twice"), std::string::npos);
    EXPECT_NE(error_of("1,0,1,inf\n").find("'duration_s'"), std::string::npos);
    const auto headless = read_csv_trace("job_id,submit_s,gpus\n", "t.csv");
    ASSERT_FALSE(headless);
    EXPECT_NE(headless.error().text().find("t.csv:1: field 'duration_s'"), std::string::npos);
    EXPECT_FALSE(read_csv_trace("", "t.csv"));
}

TEST(SwfTrace, ReadsTheStandardsFields) {
    const auto trace = read_swf_trace(
        "; Version: 2\n"
        "1 10 5 100 4 -1 -1 8 200 -1 1 7 1 1 3 -1 -1 -1\n"
        "2 11 5 -1 4 -1 -1 -1 -1 -1 0 7 1 1 3 -1 -1 -1\n",
        "t.swf");
    ASSERT_TRUE(trace) << trace.error().text();
    ASSERT_EQ(trace->jobs.size(), 1U);
    EXPECT_EQ(trace->jobs[0].gpus, 8);
    EXPECT_EQ(trace->jobs[0].estimate, std::chrono::seconds(200));
    EXPECT_EQ(trace->jobs[0].user, "7");
    EXPECT_EQ(trace->skipped, 1);
    EXPECT_FALSE(read_swf_trace("1 x 5 100 4\n", "t.swf"));
}

TEST(ClusterFile, ReadsTheShortForm) {
    const auto cluster = read_cluster("nodes: 5\ngpus_per_node: 4\nleaves: [3, 2]\n", "c.yaml", {});
    ASSERT_TRUE(cluster) << cluster.error().text();
    ASSERT_EQ(cluster->nodes.size(), 5U);
    EXPECT_EQ(cluster->nodes[4].leaf, "l1");
    EXPECT_EQ(cluster->nodes[4].slots, 4);
}

TEST(ClusterFile, ReadsTheLongForm) {
    const auto cluster = read_cluster(
        "nodes:\n  - {name: \"a[0-2]\", gpus: 4, gpu_type: h100, leaf: s1, block: b1}\n"
        "  - {name: b, gpus: 0, cpus: 32}\n",
        "c.yaml",
        {});
    ASSERT_TRUE(cluster) << cluster.error().text();
    ASSERT_EQ(cluster->nodes.size(), 4U);
    EXPECT_EQ(cluster->nodes[2].name, "a2");
    EXPECT_EQ(cluster->nodes[3].type, scheduler::SlotType::cpu);
}

TEST(ClusterFile, ReadsTopographModels) {
    const auto cluster = read_cluster(
        "switches:\n  S1:\n    switches: [S2, S3]\n"
        "blocks:\n- switch: S2\n  nodes: [\"I[21-22]\", \"I25\"]\n- switch: S3\n  nodes: "
        "[\"I34\"]\n",
        "m.yaml",
        {.gpus_per_node = 4});
    ASSERT_TRUE(cluster) << cluster.error().text();
    ASSERT_EQ(cluster->nodes.size(), 4U);
    EXPECT_EQ(cluster->nodes[2].name, "I25");
    EXPECT_EQ(cluster->nodes[2].leaf, "S2");
    EXPECT_EQ(cluster->nodes[3].block, "S1");
}

TEST(ClusterFile, ReadsSlurmsTopology) {
    const auto cluster = read_cluster(
        "# spine\nSwitchName=spine Switches=leaf[1-2]\n"
        "SwitchName=leaf1 Nodes=n[1-2]\nSwitchName=leaf2 Nodes=n3\n",
        "topology.conf",
        {});
    ASSERT_TRUE(cluster) << cluster.error().text();
    ASSERT_EQ(cluster->nodes.size(), 3U);
    EXPECT_EQ(cluster->nodes[2].leaf, "leaf2");
    EXPECT_EQ(cluster->nodes[2].block, "spine");
    const auto blocks =
        read_cluster("BlockName=b1 Nodes=n[1-4]\nBlockSizes=4\n", "topology.conf", {});
    ASSERT_TRUE(blocks);
    EXPECT_EQ(blocks->nodes.size(), 4U);
}

TEST(ClusterFile, ReadsTables) {
    const auto cluster = read_cluster("host,leaf,spine,core\n0,S1,P1,G\n1,S1,P2,G\n", "h.csv", {});
    ASSERT_TRUE(cluster) << cluster.error().text();
    EXPECT_EQ(cluster->nodes[1].block, "P2");
}

TEST(ClusterFile, NamesFileLineAndFieldOfWhatIsWrong) {
    const auto error = [](std::string_view text) {
        const auto cluster = read_cluster(text, "c.yaml", {});
        return cluster ? "" : cluster.error().text();
    };
    EXPECT_EQ(error("nodes: 0\n"),
              "c.yaml:1:8: field 'nodes' is '0', no whole number from 1 to 1000000");
    EXPECT_NE(error("nodes: 4\ngpus_per_node: 65\n").find("c.yaml:2:16: field 'gpus_per_node'"),
              std::string::npos);
    EXPECT_NE(error("nodes: 4\nleaves: [3, 2]\n").find("adds up to 5 of 4"), std::string::npos);
    EXPECT_NE(error("nodes: 4\nnode_per_leaf: 2\n").find("c.yaml:2:1: unknown field"),
              std::string::npos);
    EXPECT_NE(error("nodes:\n  - {gpus: 4}\n").find("c.yaml:2"), std::string::npos);
    EXPECT_NE(error("nodes:\n  - {name: a}\n  - {name: a}\n").find("listed twice"),
              std::string::npos);
    EXPECT_NE(error("").find("c.yaml"), std::string::npos);
    EXPECT_NE(error("host,gpus\na,-4\n").find("c.yaml:2: field 'gpus'"), std::string::npos);
    EXPECT_NE(error("SwitchName=a\n").find("c.yaml:1: field 'Nodes'"), std::string::npos);
}

}  // namespace
}  // namespace mpitrain::sim
