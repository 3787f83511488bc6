#include "mpitrain/scheduler/accounts.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "steps.hpp"

namespace mpitrain::scheduler {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

GangRequest of(std::string_view account, int job, int slots) {
    GangRequest request = gang(job, slots);
    request.account = account;
    return request;
}

CoreOptions with(std::vector<AccountSpec> accounts) {
    return {.accounts = {.accounts = std::move(accounts)}};
}

TEST(Accounts, RefuseWhatMakesNoSense) {
    EXPECT_FALSE(validate({.accounts = {{.name = "a"}, {.name = "a"}}}));
    EXPECT_FALSE(validate({.accounts = {{.name = ""}}}));
    EXPECT_FALSE(validate({.accounts = {{.name = "a", .parent = "b"}, {.name = "b"}}}));
    EXPECT_FALSE(validate({.accounts = {{.name = "a", .weight = 0}}}));
    EXPECT_FALSE(validate({.accounts = {{.name = "a", .weight = std::nan("")}}}));
    EXPECT_FALSE(validate({.accounts = {{.name = "a", .quota = -1}}}));
    EXPECT_FALSE(validate(
        {.accounts = {{.name = "a", .quota = 4}, {.name = "b", .parent = "a", .quota = 5}}}));
    EXPECT_FALSE(validate({.accounts = {}, .half_life = seconds(0)}));
    EXPECT_TRUE(validate({.accounts = {{.name = "a"}, {.name = "b", .parent = "a"}}}));
}

TEST(Accounts, AJobNamesALeaf) {
    Core core = make({.nodes = 1}, "default", with({{.name = "a"}, {.name = "b", .parent = "a"}}));
    EXPECT_FALSE(core.step({seconds(0), Submitted{of("a", 1, 1)}}));
    EXPECT_FALSE(core.step({seconds(0), Submitted{of("c", 1, 1)}}));
    EXPECT_TRUE(core.step({seconds(0), Submitted{of("b", 1, 1)}}));
}

TEST(FairShare, WhoHasHadLessGoesFirst) {
    Core core = make({.nodes = 1}, "fair-share", with({{.name = "a"}, {.name = "b"}}));
    say(core, seconds(0), Submitted{of("a", 1, 8)});
    say(core, seconds(1), Submitted{of("a", 2, 8)});
    say(core, seconds(2), Submitted{of("b", 3, 8)});
    EXPECT_EQ(jobs_of(only<Start>(say(core, hours(1), Ended{JobId(1)}))), std::vector{JobId(3)});
}

// Nobody takes all that is free at one moment though it has had the least.
TEST(FairShare, ABurstIsSharedOut) {
    Core core = make({.nodes = 2}, "fair-share", with({{.name = "a"}, {.name = "b"}}));
    say(core, seconds(0), Submitted{of("a", 1, 16)});
    for (int job = 0; job < 20; ++job) {
        say(core, minutes(1), Submitted{of("a", 100 + job, 1)});
        say(core, minutes(1), Submitted{of("b", 200 + job, 1)});
    }
    std::map<bool, int> started;
    for (const JobId job : jobs_of(only<Start>(say(core, minutes(2), Ended{JobId(1)})))) {
        ++started[job.value() >= 200];
    }
    EXPECT_NEAR(started[true], 8, 1);
    EXPECT_NEAR(started[false], 8, 1);
}

TEST(Quota, IsHadBackFromWhoBorrowedIt) {
    Core core = make(
        {.nodes = 2}, "fair-share", with({{.name = "a", .quota = 8}, {.name = "b", .quota = 8}}));
    EXPECT_EQ(settle(core, seconds(0), Submitted{of("a", 1, 8)}).size(), 1U);
    EXPECT_EQ(settle(core, seconds(0), Submitted{of("a", 2, 8)}).size(), 1U);  // borrowed
    EXPECT_EQ(core.shares().at(0).borrowed_slots, 8);
    EXPECT_TRUE(settle(core, seconds(1), Submitted{of("a", 3, 8)}).empty());
    EXPECT_EQ(jobs_of(settle(core, seconds(2), Submitted{of("b", 4, 8)})), std::vector{JobId(4)});
    EXPECT_EQ(core.explain(JobId(1))->state, GangState::running);
    EXPECT_EQ(core.explain(JobId(2))->state, GangState::pending);
    EXPECT_TRUE(settle(core, seconds(3), Submitted{of("b", 5, 8)}).empty());
}

// When quota falls free, what was borrowed is owned, and nobody may have it back.
TEST(Quota, TurnsWhatIsBorrowedIntoItsOwn) {
    Core core = make(
        {.nodes = 2}, "fair-share", with({{.name = "a", .quota = 8}, {.name = "b", .quota = 8}}));
    settle(core, seconds(0), Submitted{of("a", 1, 8)});
    settle(core, seconds(0), Submitted{of("a", 2, 8)});
    settle(core, seconds(1), Ended{JobId(1)});
    EXPECT_EQ(core.shares().at(0).borrowed_slots, 0);
    EXPECT_EQ(settle(core, seconds(2), Submitted{of("b", 3, 8)}).size(), 1U);
    EXPECT_EQ(core.explain(JobId(2))->state, GangState::running);
}

TEST(Limit, HoldsThoughAllIsFree) {
    Core core = make({.nodes = 2},
                     "default",
                     with({{.name = "top", .limit = 9}, {.name = "a", .parent = "top"}}));
    settle(core, seconds(0), Submitted{of("a", 1, 8)});
    EXPECT_TRUE(settle(core, seconds(0), Submitted{of("a", 2, 2)}).empty());
    EXPECT_EQ(core.explain(JobId(2))->cause, Cause::account_limit);
    EXPECT_EQ(settle(core, seconds(0), Submitted{of("a", 3, 1)}).size(), 1U);
    EXPECT_EQ(jobs_of(settle(core, seconds(1), Ended{JobId(1)})), std::vector{JobId(2)});
}

// Jobs that never end, and one account whose came first: those of the other get their share.
TEST(FairShare, WhoIsBeyondItsShareYields) {
    CoreOptions options = with({{.name = "a", .weight = 3}, {.name = "b", .weight = 1}});
    options.accounts.half_life = hours(10);
    options.accounts.yield_beyond = 0.02;
    Core core = make({.nodes = 4, .slots_per_node = 4}, "fair-share", options);
    std::map<JobId, Nanoseconds> left;
    Nanoseconds wake = never;
    Nanoseconds now{};
    const auto follow = [&](decltype(Event::what) what) {
        auto actions = say(core, now, std::move(what));
        for (std::size_t i = 0; i < actions.size(); ++i) {
            if (const auto* stop = std::get_if<Stop>(&actions[i])) {
                const auto more = say(core, now, Ended{stop->job, stop->attempt, true});
                actions.insert(actions.end(), more.begin(), more.end());
            } else if (const auto* at = std::get_if<WakeAt>(&actions[i])) {
                wake = at->at;
            }
        }
    };
    for (int job = 0; job < 32; ++job) {
        follow(Submitted{of("b", 100 + job, 1)});
    }
    for (int job = 0; job < 32; ++job) {
        follow(Submitted{of("a", 200 + job, 1)});
    }
    while (now < hours(100)) {
        ASSERT_NE(wake, never);
        now = wake;
        follow(Tick{});
    }
    const auto shares = core.shares();
    const double sum = shares.at(0).usage_slot_s + shares.at(1).usage_slot_s;
    EXPECT_NEAR(shares.at(0).usage_slot_s / sum, 0.75, 0.03);
}

}  // namespace
}  // namespace mpitrain::scheduler
