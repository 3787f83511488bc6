#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ostream>
#include <string_view>
#include <tuple>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "mpitrain/checkpoint/retention.hpp"
#include "tiered_world.hpp"

namespace mpitrain::checkpoint {
namespace {

using test::TieredJob;
using test::TieredWorld;

std::vector<std::string> names_in(fake::Disk& disk, const std::string& directory) {
    std::vector<std::string> names;
    const auto entries = disk.mount()->list(directory);
    for (const DirectoryEntry& entry : entries ? *entries : std::vector<DirectoryEntry>()) {
        names.push_back(entry.name);
    }
    return names;
}

// LOCAL/<id> of a node; there is but one id.
std::string root_of(fake::Disk& disk, const std::string& node) {
    const auto ids = names_in(disk, node);
    return ids.size() == 1 ? join_path(node, ids.front()) : "/no-root-in" + node;
}

std::vector<std::string> commits_in(fake::Disk& disk, const std::string& directory) {
    auto names = names_in(disk, directory);
    std::erase_if(names, [](const std::string& name) { return !name.starts_with("step-"); });
    return names;
}

using Names = std::vector<std::string>;

class Tiers : public testing::Test {
  protected:
    void SetUp() override { test::make_run_directory(*disk); }
    void expect_whole(const std::string& path) {
        const auto verified = verify_commit(*disk->mount(), path, {});
        ASSERT_TRUE(verified) << verified.error().text();
        EXPECT_TRUE(verified->bad.empty()) << path << ": " << verified->bad.front().reason;
    }
    void lose(const std::string& node) { ASSERT_TRUE(remove_tree(*disk->mount(), node)); }
    // Flips a byte in the middle of the shard of rank `rank`.
    void spoil(const std::string& directory, int rank) {
        const auto files = disk->mount();
        for (const std::string& name : names_in(*disk, directory)) {
            if (name.starts_with("shard-" + std::to_string(rank))) {
                auto content = disk->content(join_path(directory, name));
                content[content.size() / 2] ^= std::byte{1};
                disk->replace(join_path(directory, name), content);
                return;
            }
        }
        FAIL() << "no shard of rank " << rank << " in " << directory;
    }
    std::unique_ptr<fake::Disk> disk = fake::make_disk();
};

TEST_F(Tiers, TheNodesHoldItFirstAndThenTheSharedDirectory) {
    TieredWorld world(*disk, {});
    const auto saved = world.save_on_nodes(1);
    ASSERT_TRUE(saved.all_ok()) << saved.text();
    EXPECT_EQ(commits_in(*disk, "/run"), Names{});
    for (const char* node : {"/node0", "/node1"}) {
        EXPECT_EQ(commits_in(*disk, root_of(*disk, node)), Names{"step-1"});
        // Two nodes: each holds its own shards and the other's.
        expect_whole(join_path(root_of(*disk, node), "step-1"));
    }
    const auto drained = world.drain();
    ASSERT_TRUE(drained.all_ok()) << drained.text();
    EXPECT_EQ(drained.ranks[0]->path, "/run/step-1");
    EXPECT_TRUE(drained.ranks[0]->warnings.empty());
    expect_whole("/run/step-1");
    EXPECT_EQ(disk->content("/run/step-1/manifest.json"),
              disk->content(join_path(root_of(*disk, "/node1"), "step-1/manifest.json")));
    EXPECT_EQ(world.load(), "1");
}

TEST_F(Tiers, AnyLostNodeComesBackFromItsPartner) {
    for (const int nodes : {2, 3, 4}) {
        for (int lost = 0; lost < nodes; ++lost) {
            disk = fake::make_disk();
            test::make_run_directory(*disk);
            const TieredJob job{.ranks = 5, .nodes = nodes};
            ASSERT_TRUE(TieredWorld(*disk, job).save(1).all_ok());
            ASSERT_TRUE(TieredWorld(*disk, job).save_on_nodes(2).all_ok());
            lose("/node" + std::to_string(lost));
            TieredWorld after(*disk, {.ranks = 4, .nodes = nodes});
            EXPECT_EQ(after.load(), "2") << lost << " of " << nodes;
            expect_whole("/run/step-2");
        }
    }
}

TEST_F(Tiers, WithoutCopiesALostNodeCostsTheUndrainedCommit) {
    const TieredJob job{.partner_copies = false};
    ASSERT_TRUE(TieredWorld(*disk, job).save(1).all_ok());
    ASSERT_TRUE(TieredWorld(*disk, job).save_on_nodes(2).all_ok());
    EXPECT_EQ(TieredWorld(*disk, job).load(), "2");  // nothing lost
    ASSERT_TRUE(TieredWorld(*disk, job).save_on_nodes(3).all_ok());
    lose("/node1");
    EXPECT_EQ(TieredWorld(*disk, job).load(), "2");
}

TEST_F(Tiers, ADamagedShardIsDrainedFromItsSecondCopy) {
    for (const int rank : {0, 3}) {
        TieredWorld world(*disk, {});
        const auto step = static_cast<std::uint64_t>(10 + rank);
        ASSERT_TRUE(world.save_on_nodes(step).all_ok());
        const std::string own = root_of(*disk, rank < 2 ? "/node0" : "/node1");
        spoil(join_path(own, step_directory(step)), rank);
        const auto drained = world.drain();
        ASSERT_TRUE(drained.all_ok()) << drained.text();
        ASSERT_EQ(drained.ranks[0]->warnings.size(), 1U);
        EXPECT_NE(drained.ranks[0]->warnings[0].find("checksum"), std::string::npos);
        expect_whole(join_path("/run", step_directory(step)));
    }
}

TEST_F(Tiers, DamageOnBothNodesIsToldAndNothingWrongIsDrained) {
    ASSERT_TRUE(TieredWorld(*disk, {}).save(1).all_ok());
    {
        TieredWorld world(*disk, {});
        ASSERT_TRUE(world.save_on_nodes(2).all_ok());
        spoil(root_of(*disk, "/node0") + "/step-2", 1);
        spoil(root_of(*disk, "/node1") + "/step-2", 1);
        const auto drained = world.drain();
        EXPECT_FALSE(drained.any_ok());
        EXPECT_EQ(drained.ranks[0].error().code(), ErrorCode::data_loss) << drained.text();
    }
    TieredWorld after(*disk, {});
    EXPECT_EQ(after.load(), "1");
    ASSERT_FALSE(after.warnings.empty());
    EXPECT_NE(after.warnings[0].find("step 2 on the nodes is lost"), std::string::npos);
    EXPECT_EQ(commits_in(*disk, "/run"), Names{"step-1"});
}

TEST_F(Tiers, OfThoseThatWaitOnlyTheNewestIsDrained) {
    TieredWorld world(*disk, {});
    for (std::uint64_t step = 1; step <= 3; ++step) {
        ASSERT_TRUE(world.save_on_nodes(step).all_ok());
    }
    EXPECT_EQ(commits_in(*disk, root_of(*disk, "/node0")), Names{"step-3"});
    const auto drained = world.drain();
    ASSERT_TRUE(drained.all_ok()) << drained.text();
    EXPECT_EQ(drained.ranks[2]->warnings.size(), 2U);
    EXPECT_EQ(commits_in(*disk, "/run"), Names{"step-3"});
    EXPECT_EQ(world.load(), "3");
}

TEST_F(Tiers, RetentionHoldsOnBothLevels) {
    TieredWorld world(*disk, {});
    for (std::uint64_t step = 1; step <= 4; ++step) {
        const auto saved = world.save(step);
        ASSERT_TRUE(saved.all_ok()) << saved.text();
    }
    EXPECT_EQ(commits_in(*disk, "/run"), Names{"step-4"});
    EXPECT_EQ(commits_in(*disk, root_of(*disk, "/node0")), Names{"step-4"});
    EXPECT_EQ(commits_in(*disk, root_of(*disk, "/node1")), Names{"step-4"});
}

TEST_F(Tiers, AStateThatWasLeftBehindDoesNotComeBack) {
    ASSERT_TRUE(TieredWorld(*disk, {}).save(1).all_ok());
    ASSERT_TRUE(TieredWorld(*disk, {}).save_on_nodes(9).all_ok());
    {
        TieredWorld elsewhere(*disk, {.site = "/other"});
        EXPECT_EQ(elsewhere.load(), "1");
        ASSERT_TRUE(elsewhere.save(2).all_ok());
    }
    // Back on the first machines, whose step 9 followed step 1 and not step 2.
    TieredWorld back(*disk, {});
    EXPECT_EQ(back.load(), "2");
    ASSERT_TRUE(back.save(3).all_ok());
    EXPECT_EQ(commits_in(*disk, root_of(*disk, "/node0")), Names{"step-3"});
}

TEST_F(Tiers, AnotherDirectoryOfThatNameIsAnother) {
    ASSERT_TRUE(TieredWorld(*disk, {}).save_on_nodes(9).all_ok());
    lose("/run");
    test::make_run_directory(*disk);
    EXPECT_EQ(TieredWorld(*disk, {}).load(), "nothing");
    EXPECT_TRUE(TieredWorld(*disk, {}).save(1).all_ok());
    EXPECT_EQ(TieredWorld(*disk, {}).load(), "1");
}

TEST_F(Tiers, AnAttemptThatLostItsLeaseDrainsNothing) {
    TieredWorld first(*disk, {.attempt = 1});
    ASSERT_TRUE(first.save(1).all_ok());
    TieredWorld second(*disk, {.site = "/other", .attempt = 2});
    ASSERT_TRUE(second.save(2).all_ok());
    ASSERT_TRUE(first.save_on_nodes(3).all_ok());
    const auto drained = first.drain();
    EXPECT_FALSE(drained.any_ok());
    EXPECT_EQ(drained.ranks[0].error().code(), ErrorCode::cancelled) << drained.text();
    EXPECT_EQ(commits_in(*disk, "/run"), Names{"step-2"});
    ASSERT_TRUE(second.save(4).all_ok());
}

TEST_F(Tiers, ALoadThatIsNoWriterLeavesTheNodesAlone) {
    TieredWorld writer(*disk, {.attempt = 1});
    ASSERT_TRUE(writer.save(1).all_ok());
    ASSERT_TRUE(writer.save_on_nodes(2).all_ok());
    TieredWorld reader(*disk, {.ranks = 2, .attempt = 1});  // the same attempt: it may take nothing
    EXPECT_EQ(reader.load(), "1");
    ASSERT_FALSE(reader.warnings.empty());
    EXPECT_NE(reader.warnings[0].find("left alone"), std::string::npos);
    const auto drained = writer.drain();
    EXPECT_TRUE(drained.all_ok()) << drained.text();
}

TEST_F(Tiers, LoadsFromTheNodesAndFromTheSharedDirectoryWhereTheseAreWrong) {
    ASSERT_TRUE(TieredWorld(*disk, {}).save(1).all_ok());
    for (const int rank : {0, 1, 2, 3}) {
        spoil("/run/step-1", rank);
    }
    TieredWorld near(*disk, {});
    EXPECT_EQ(near.load(), "1");
    EXPECT_TRUE(near.warnings.empty());
    for (const int rank : {0, 1, 2, 3}) {
        spoil("/run/step-1", rank);  // as it was
    }
    spoil(root_of(*disk, "/node0") + "/step-1", 0);
    TieredWorld far(*disk, {});
    EXPECT_EQ(far.load(), "1");
    ASSERT_FALSE(far.warnings.empty());
    EXPECT_NE(far.warnings[0].find("the nodes' copy"), std::string::npos);
}

struct Case {
    const char* name;
    fake::Fault fault;
    int errno_value;
    bool takes_effect;
    std::optional<std::uint64_t> seed;  // of the power loss that follows; nullopt drops all
    bool loses_node;                    // the last one, besides
};
std::ostream& operator<<(std::ostream& out, const Case& one) {
    return out << one.name;
}

constexpr Case cases[] = {
    {"Eio", fake::Fault::fail, EIO, false, {}, false},
    {"DiskFull", fake::Fault::fail, ENOSPC, false, {}, false},
    {"KillBefore", fake::Fault::kill_process, 0, false, {}, false},
    {"KillAfter", fake::Fault::kill_process, 0, true, {}, false},
    {"KillAndLoseANode", fake::Fault::kill_process, 0, true, {}, true},
    {"PowerLossDropsAll", fake::Fault::kill_machine, 0, true, {}, false},
    {"PowerLossKeepsSome", fake::Fault::kill_machine, 0, false, 3, false},
    {"PowerLossAndLoseANode", fake::Fault::kill_machine, 0, true, {}, true},
};

// A fault at each single call of a save and its drain, from the nodes' first file to the removal of
// the last old commit.
class CrashAcrossTiers : public testing::TestWithParam<std::tuple<TieredJob, Case>> {
  protected:
    static void expect_visible_is_whole(fake::Disk& disk) {
        const auto files = disk.mount();
        for (const std::string& name : commits_in(disk, "/run")) {
            if (!parse_step_directory(name)) {
                continue;
            }
            const auto verified = verify_commit(*files, join_path("/run", name), {});
            ASSERT_TRUE(verified) << verified.error().text();
            EXPECT_TRUE(verified->bad.empty()) << name;
        }
    }

    // The same life goes on after an error.
    static void expect_goes_on(TieredWorld& world) {
        const auto again = world.save(3);
        EXPECT_TRUE(again.all_ok()) << again.text();
        EXPECT_EQ(world.load(), "3");
    }

    static void expect_next_life(fake::Disk& disk, const TieredJob& job, bool saved) {
        expect_visible_is_whole(disk);
        TieredWorld third(disk, job);
        const std::string loaded = third.load();
        EXPECT_TRUE(loaded == "2" || (loaded == "1" && !saved)) << loaded;
        expect_visible_is_whole(disk);
        const auto after = third.save(3);
        EXPECT_TRUE(after.all_ok()) << after.text();
        const auto leftovers = list_leftovers(*disk.mount(), "/run");
        EXPECT_TRUE(leftovers && leftovers->empty());
        for (int node = 0; node < job.nodes; ++node) {
            EXPECT_EQ(commits_in(disk, root_of(disk, third.directory_of(node))), Names{"step-3"});
        }
        disk.crash({});
        EXPECT_EQ(TieredWorld(disk, job).load(), "3");
    }

    // One life with a fault at its `call`-th call. False when there were fewer.
    static bool run(const TieredJob& job, const Case& now, std::uint64_t call) {
        const auto disk = fake::make_disk();
        test::make_run_directory(*disk);
        EXPECT_TRUE(TieredWorld(*disk, job).save(1).all_ok());
        bool saved = false;
        bool hit = false;
        {
            TieredWorld second(*disk, job);
            const std::uint64_t at = disk->calls() + call;
            disk->plan(fake::FaultPlan{.at_call = at,
                                       .fault = now.fault,
                                       .errno_value = now.errno_value,
                                       .takes_effect = now.takes_effect});
            const auto on_nodes = second.save_on_nodes(2);
            saved = on_nodes.any_ok();
            const auto drained = saved ? second.drain() : on_nodes;
            hit = disk->calls() >= at;
            if (now.fault == fake::Fault::fail) {
                EXPECT_EQ(on_nodes.all_ok(), saved) << on_nodes.text();
                EXPECT_EQ(drained.all_ok(), drained.any_ok()) << drained.text();
                disk->plan({});
                expect_goes_on(second);
                return hit;
            }
        }
        if (now.fault == fake::Fault::kill_machine) {
            disk->crash(now.seed);
        }
        disk->plan({});
        if (now.loses_node) {
            EXPECT_TRUE(
                remove_tree(*disk->mount(), job.site + std::to_string(job.nodes - 1)).has_value());
        }
        expect_next_life(*disk, job, saved);
        return hit;
    }
};

// All calls take minutes, so that a run takes one of so many, and each case others;
// MPITRAIN_CRASH_STRIDE=1 takes all.
std::uint64_t stride() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread changes the environment
    const char* text = std::getenv("MPITRAIN_CRASH_STRIDE");
    return text == nullptr ? 37 : std::max<std::uint64_t>(std::stoull(text), 1);
}

TEST_P(CrashAcrossTiers, NothingTornNothingLost) {
    const auto& [job, now] = GetParam();
    const std::size_t mixed = std::string_view(now.name).size() * static_cast<unsigned>(job.ranks);
    std::uint64_t call = 1 + mixed % stride();
    while (run(job, now, call)) {
        if (HasFailure()) {
            FAIL() << "with the fault at call " << call;
        }
        call += stride();
        ASSERT_LT(call, 2000U);
    }
    EXPECT_GT(call, 50U);  // the life has this many calls at least
}

std::string name_of(const testing::TestParamInfo<std::tuple<TieredJob, Case>>& info) {
    const auto& [job, now] = info.param;
    return std::string(now.name) + std::to_string(job.ranks) + "On" + std::to_string(job.nodes);
}

INSTANTIATE_TEST_SUITE_P(TwoNodes,
                         CrashAcrossTiers,
                         testing::Combine(testing::Values(TieredJob{.ranks = 2, .nodes = 2},
                                                          TieredJob{.ranks = 4, .nodes = 2}),
                                          testing::ValuesIn(cases)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(OneOrThreeNodes,
                         CrashAcrossTiers,
                         testing::Combine(testing::Values(TieredJob{.ranks = 1, .nodes = 1},
                                                          TieredJob{.ranks = 3, .nodes = 3}),
                                          testing::Values(cases[0], cases[3], cases[5])),
                         name_of);

}  // namespace
}  // namespace mpitrain::checkpoint
