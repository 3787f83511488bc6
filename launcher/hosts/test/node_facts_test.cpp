#include "mpitrain/hosts/node_facts.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace mpitrain::hosts {
namespace {

TEST(NodeFacts, OfThisMachineAreReadAsTheyWereWritten) {
    const auto locks =
        std::filesystem::temp_directory_path() / ("mpitrain-facts-" + std::to_string(::getpid()));
    ::setenv("MPITRAIN_LOCK_DIR", locks.c_str(), 1);
    ::setenv("SSH_CONNECTION", "10.0.0.1 4000 10.0.0.2 22", 1);
    const auto facts = facts_of_this_machine(Device::cpu, false);
    ::unsetenv("SSH_CONNECTION");
    ASSERT_TRUE(facts) << facts.error().text();
    EXPECT_EQ(facts->seen_from, "10.0.0.1");
    EXPECT_EQ(facts->seen_at, "10.0.0.2");
    EXPECT_FALSE(facts->topology.slots.empty());
    EXPECT_EQ(facts->lock_directory, locks.string());
    const auto again = facts_from_json(to_json(*facts));
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(*again, *facts);
    std::filesystem::remove_all(locks);
}

TEST(NodeFacts, NothingElseIsTakenForThem) {
    for (const char* text : {"",
                             "{}",
                             "[]",
                             "nonsense",
                             R"({"schema":"mpitrain.topo/1"})",
                             R"({"schema":"mpitrain.node/1"})",
                             R"({"schema":"mpitrain.node/1","version":1})"}) {
        EXPECT_FALSE(facts_from_json(text)) << text;
    }
}

TEST(NetworkOf, CutsTheAddress) {
    EXPECT_EQ(network_of({"eth0", "10.77.3.9", 24}), "10.77.3.0/24");
    EXPECT_EQ(network_of({"eth0", "10.77.3.9", 32}), "10.77.3.9/32");
    EXPECT_EQ(network_of({"eth0", "10.77.3.9", 0}), "0.0.0.0/0");
    EXPECT_EQ(network_of({"ib0", "fd77::2", 64}), "ib0");
}

}  // namespace
}  // namespace mpitrain::hosts
