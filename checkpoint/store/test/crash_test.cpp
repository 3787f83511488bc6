#include <gtest/gtest.h>

#include <cerrno>
#include <ostream>
#include <tuple>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/lease.hpp"
#include "mpitrain/checkpoint/retention.hpp"
#include "world.hpp"

// A fault at each single call of a save: whatever happens, what is visible is whole, nothing that
// was committed is lost, and the next life goes on.
namespace mpitrain::checkpoint {
namespace {

using test::World;

struct Case {
    const char* name;
    fake::Fault fault;
    int errno_value;
    bool takes_effect;
    std::optional<std::uint64_t> seed;  // of the power loss that follows; nullopt drops all
};

std::ostream& operator<<(std::ostream& out, const Case& one) {
    return out << one.name;
}

constexpr Case cases[] = {
    {"Eio", fake::Fault::fail, EIO, false, {}},
    {"DiskFull", fake::Fault::fail, ENOSPC, false, {}},
    {"KillBefore", fake::Fault::kill_process, 0, false, {}},
    {"KillAfter", fake::Fault::kill_process, 0, true, {}},
    {"PowerLossDropsAll", fake::Fault::kill_machine, 0, true, {}},
    {"PowerLossKeepsSome", fake::Fault::kill_machine, 0, true, 1},
    {"PowerLossKeepsOthers", fake::Fault::kill_machine, 0, false, 2},
};

// The training waits for the save, or the save is behind it; each rank writes a file, or all one.
enum class Mode { waiting, behind, single, single_behind };

bool is_behind(Mode mode) {
    return mode == Mode::behind || mode == Mode::single_behind;
}

StoreOptions options_of(Mode mode) {
    StoreOptions options = World::default_options();
    options.layout =
        mode == Mode::single || mode == Mode::single_behind ? Layout::single : Layout::per_rank;
    return options;
}

// What network file systems and quotas answer.
constexpr Case refusals[] = {
    {"Stale", fake::Fault::fail, ESTALE, false, {}},
    {"Quota", fake::Fault::fail, EDQUOT, false, {}},
    {"ReadOnly", fake::Fault::fail, EROFS, false, {}},
};

class CrashAtEveryCall : public testing::TestWithParam<std::tuple<int, Case, Mode>> {
  protected:
    // Everything that is shown verifies.
    static void expect_visible_is_whole(fake::Disk& disk) {
        const auto files = disk.mount();
        const auto commits = list_commits(*files, "/run");
        ASSERT_TRUE(commits) << commits.error().text();
        EXPECT_FALSE(commits->empty());
        for (const CommitDirectory& commit : *commits) {
            const auto verified = verify_commit(*files, commit.path, {});
            ASSERT_TRUE(verified) << verified.error().text();
            EXPECT_TRUE(verified->bad.empty()) << commit.path;
        }
    }
    static void expect_no_leftovers(fake::Disk& disk) {
        const auto leftovers = list_leftovers(*disk.mount(), "/run");
        ASSERT_TRUE(leftovers);
        EXPECT_TRUE(leftovers->empty());
    }

    // One life with a fault at its `call`-th call. False when the save made fewer calls.
    bool run(std::uint64_t call) {
        const auto& [ranks, now, mode] = GetParam();
        const auto save = [mode = mode](World& world, std::uint64_t step) {
            return is_behind(mode) ? world.save_behind(step) : world.save(step);
        };
        const auto disk = fake::make_disk();
        test::make_run_directory(*disk);
        {
            World first(*disk, ranks, options_of(mode));
            const auto outcome = save(first, 1);
            EXPECT_TRUE(outcome.all_ok()) << outcome.text();
        }
        bool saved = false;
        bool hit = false;
        {
            World second(*disk, ranks, options_of(mode));
            disk->plan(fake::FaultPlan{.at_call = disk->calls() + call,
                                       .fault = now.fault,
                                       .errno_value = now.errno_value,
                                       .takes_effect = now.takes_effect});
            const std::uint64_t at = disk->calls() + call;
            const auto outcome = save(second, 2);
            hit = disk->calls() >= at;
            saved = outcome.any_ok();
            if (now.fault == fake::Fault::fail) {
                EXPECT_EQ(outcome.all_ok(), saved) << outcome.text();
                disk->plan({});
                if (!saved && hit) {
                    // The same life goes on and may save again.
                    const auto again = save(second, 3);
                    EXPECT_TRUE(again.all_ok()) << again.text();
                    EXPECT_EQ(second.load(), "3");
                    return hit;
                }
            }
        }
        if (now.fault == fake::Fault::kill_machine) {
            disk->crash(now.seed);
        }
        disk->plan({});
        expect_visible_is_whole(*disk);
        World third(*disk, 1);  // another number of ranks
        const std::string loaded = third.load();
        EXPECT_TRUE(loaded == "2" || (loaded == "1" && !saved)) << loaded;
        EXPECT_TRUE(third.warnings.empty());
        const auto after = third.save(3);
        EXPECT_TRUE(after.all_ok()) << after.text();
        expect_no_leftovers(*disk);
        disk->crash({});
        EXPECT_EQ(World(*disk, ranks).load(), "3");
        return hit;
    }
};

TEST_P(CrashAtEveryCall, NothingTornNothingLost) {
    std::uint64_t call = 1;
    while (run(call)) {
        ++call;
        ASSERT_LT(call, 1000U);
        if (HasFailure()) {
            FAIL() << "with the fault at call " << call - 1;
        }
    }
    EXPECT_GT(call, 25U);  // the save has this many calls at least
}

std::string name_of(const testing::TestParamInfo<std::tuple<int, Case, Mode>>& info) {
    const auto& [ranks, now, mode] = info.param;
    return std::string(now.name) + std::to_string(ranks) +
           (options_of(mode).layout == Layout::single ? "Single" : "") +
           (is_behind(mode) ? "Behind" : "");
}

INSTANTIATE_TEST_SUITE_P(Faults,
                         CrashAtEveryCall,
                         testing::Combine(testing::Values(1, 2, 3, 4),
                                          testing::ValuesIn(cases),
                                          testing::Values(Mode::waiting, Mode::behind)),
                         name_of);

INSTANTIATE_TEST_SUITE_P(OneFile,
                         CrashAtEveryCall,
                         testing::Combine(testing::Values(1, 3),
                                          testing::ValuesIn(cases),
                                          testing::Values(Mode::single, Mode::single_behind)),
                         name_of);

INSTANTIATE_TEST_SUITE_P(Refusals,
                         CrashAtEveryCall,
                         testing::Combine(testing::Values(2),
                                          testing::ValuesIn(refusals),
                                          testing::Values(Mode::waiting, Mode::behind)),
                         name_of);

// A fault at each call of a prune by hand: what stays is whole, the newest is never lost, and a
// second one ends the work.
class PruneAtEveryCall : public testing::TestWithParam<Case> {
  protected:
    static Result<void> prune_to_one(FileSystem& files, const std::string& token) {
        MPITRAIN_TRY(const Prunable what, list_prunable(files, "/run", 1));
        Lease lease(files, "/run", {}, token, [](const WriterIdentity&) { return true; });
        return prune(files, "/run", what, lease, token);
    }

    static bool run(const Case& now, std::uint64_t call) {
        const auto disk = fake::make_disk();
        test::make_run_directory(*disk);
        StoreOptions keep_all = World::default_options();
        keep_all.keep.last = 0;
        {
            World world(*disk, 2, keep_all);
            for (std::uint64_t step = 1; step <= 3; ++step) {
                EXPECT_TRUE(world.save(step).all_ok());
            }
        }
        const auto files = disk->mount();
        EXPECT_TRUE(files->make_directory("/run/step-9.tmp-dead").has_value());
        const std::uint64_t at = disk->calls() + call;
        disk->plan(fake::FaultPlan{.at_call = at,
                                   .fault = now.fault,
                                   .errno_value = now.errno_value,
                                   .takes_effect = now.takes_effect});
        const auto pruned = prune_to_one(*files, "a");
        const bool hit = disk->calls() >= at;
        if (now.fault == fake::Fault::kill_machine) {
            disk->crash(now.seed);
        }
        disk->plan({});
        const auto after = disk->mount();
        const auto commits = list_commits(*after, "/run");
        EXPECT_TRUE(commits && !commits->empty() && commits->front().step == 3);
        for (const CommitDirectory& commit : *commits) {
            const auto verified = verify_commit(*after, commit.path, {});
            EXPECT_TRUE(verified && verified->bad.empty()) << commit.path;
        }
        EXPECT_EQ(World(*disk, 1, keep_all).load(), "3");
        EXPECT_TRUE(prune_to_one(*after, "b").has_value());
        EXPECT_EQ(list_commits(*after, "/run")->size(), 1U);
        EXPECT_TRUE(list_leftovers(*after, "/run")->empty());
        return hit;
    }
};

TEST_P(PruneAtEveryCall, NothingTornNothingLost) {
    std::uint64_t call = 1;
    while (run(GetParam(), call)) {
        if (HasFailure()) {
            FAIL() << "with the fault at call " << call;
        }
        ASSERT_LT(++call, 500U);
    }
    EXPECT_GT(call, 20U);  // the prune has this many calls at least
}

INSTANTIATE_TEST_SUITE_P(Faults, PruneAtEveryCall, testing::ValuesIn(cases), [](const auto& one) {
    return std::string(one.param.name);
});

}  // namespace
}  // namespace mpitrain::checkpoint
