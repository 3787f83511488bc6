#include <gtest/gtest.h>

#include "local_commit.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "node_map.hpp"
#include "recovery.hpp"

namespace mpitrain::checkpoint {
namespace {

using Ranks = std::vector<int>;

TEST(NodeMapTest, APartnerIsAlwaysOnAnotherNode) {
    const NodeMap nodes({{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {3}, {4, 5}, {4, 5}});
    ASSERT_EQ(nodes.node_count(), 3U);
    EXPECT_EQ(nodes.ranks_of(0), (Ranks{0, 1, 2}));
    EXPECT_EQ(nodes.ranks_of(2), (Ranks{4, 5}));
    EXPECT_TRUE(nodes.is_first_of_node(4));
    EXPECT_FALSE(nodes.is_first_of_node(5));
    for (int rank = 0; rank < 6; ++rank) {
        EXPECT_NE(nodes.node_of(*nodes.partner_of(rank)), nodes.node_of(rank));
    }
    // The one rank of the node in the middle keeps three shards.
    EXPECT_EQ(nodes.wards_of(3), (Ranks{0, 1, 2}));
    EXPECT_EQ(nodes.wards_of(4), (Ranks{3}));
    EXPECT_EQ(nodes.wards_of(0), (Ranks{4}));
    EXPECT_EQ(nodes.wards_of(2), (Ranks{}));
}

TEST(NodeMapTest, OneNodeHasNoPartner) {
    const NodeMap nodes({{0, 1}, {0, 1}});
    EXPECT_EQ(nodes.node_count(), 1U);
    EXPECT_EQ(nodes.partner_of(1), std::nullopt);
    EXPECT_TRUE(nodes.wards_of(0).empty());
}

TEST(LocalCommitTest, ContentsAndNamesGoThereAndBack) {
    const Contents contents{"{\"a\": 1}\n", std::string("\0 7\x89HDF", 7)};
    const auto back = unpack(pack(contents));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, contents);
    for (const char* wrong : {"", "x", "9 short", "99999999999999999999 x", "3"}) {
        EXPECT_FALSE(unpack(wrong)) << wrong;
    }
    EXPECT_EQ(writer_of(shard_file(12, "abc")), 12);
    for (const char* wrong : {"shard-", "shard-x-y.h5", "shard--1-y.h5", "other", "shard-7"}) {
        EXPECT_EQ(writer_of(wrong), -1) << wrong;
    }
    Manifest manifest;
    EXPECT_EQ(token_of(manifest), "");
    manifest.shards.push_back({shard_file(3, "a1b2"), 0, 0, 0, 0});
    EXPECT_EQ(token_of(manifest), "a1b2");
}

// What two nodes of one rank each hold.
class Choose : public testing::Test {
  protected:
    static LocalCommit commit(std::uint64_t step,
                              const std::string& token,
                              Lineage lineage,
                              std::vector<std::size_t> shards) {
        return {.step = step,
                .token = token,
                .name = step_directory(step),
                .seal = token,
                .lineage = std::move(lineage),
                .shard_count = 2,
                .shards = std::move(shards)};
    }
    NodeMap nodes{{{0}, {1}}};
};

TEST_F(Choose, TheNewestOfWhichTheNodesHoldAll) {
    const auto found =
        choose_recoverable(nodes,
                           {{commit(5, "e", {"a"}, {0, 1}), commit(6, "f", {"a", "e"}, {0})},
                            {commit(5, "e", {"a"}, {0, 1}), commit(7, "g", {"a", "e", "f"}, {1})}},
                           SharedCommit{4, "a", ""});
    ASSERT_EQ(found.size(), 1U);  // of 6 and 7 a shard is missing
    EXPECT_EQ(found[0].step, 5U);
    EXPECT_EQ(found[0].holders, (std::vector<Ranks>{{0, 1}, {0, 1}}));
}

TEST_F(Choose, PartsOfOneOnTwoNodes) {
    const auto found = choose_recoverable(
        nodes, {{commit(5, "e", {""}, {0})}, {commit(5, "e", {""}, {1})}}, std::nullopt);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].holders, (std::vector<Ranks>{{0}, {1}}));
}

TEST_F(Choose, NothingOfAnotherLineageOrCommit) {
    // Made after another commit than the newest one here.
    EXPECT_TRUE(choose_recoverable(
                    nodes, {{commit(9, "e", {"a", "b"}, {0, 1})}, {}}, SharedCommit{4, "z", ""})
                    .empty());
    // Not newer.
    EXPECT_TRUE(
        choose_recoverable(nodes, {{commit(4, "e", {"a"}, {0, 1})}, {}}, SharedCommit{4, "a", ""})
            .empty());
    // One step, two commits: their shards are never put together.
    EXPECT_TRUE(choose_recoverable(nodes,
                                   {{commit(9, "e", {"a"}, {0})}, {commit(9, "f", {"a"}, {1})}},
                                   SharedCommit{4, "a", ""})
                    .empty());
}

}  // namespace
}  // namespace mpitrain::checkpoint
