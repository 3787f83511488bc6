#include <gtest/gtest.h>

#include <map>
#include <queue>
#include <random>

#include "steps.hpp"

namespace mpitrain::scheduler {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

GangRequest lasting(int job, int slots, Nanoseconds estimate) {
    GangRequest request = gang(job, slots);
    request.estimate = estimate;
    return request;
}

TEST(Conservative, PromisesEveryOneThatWaits) {
    Core core = make({.nodes = 2}, "conservative");
    say(core, seconds(0), Submitted{lasting(1, 8, minutes(60))});
    say(core, seconds(0), Submitted{lasting(2, 16, minutes(10))});  // at minute 60
    say(core, seconds(0), Submitted{lasting(3, 16, minutes(10))});  // at minute 70
    EXPECT_EQ(*core.earliest_start(JobId(2)), Nanoseconds(minutes(60)));
    EXPECT_EQ(*core.earliest_start(JobId(3)), Nanoseconds(minutes(70)));
    EXPECT_EQ(core.explain(JobId(3))->promised, Nanoseconds(minutes(70)));
    // Under EASY this one would delay job 3, which is promised nothing.
    EXPECT_TRUE(only<Start>(say(core, seconds(0), Submitted{lasting(4, 8, hours(2))})).empty());
    EXPECT_EQ(*core.earliest_start(JobId(4)), Nanoseconds(minutes(80)));
    EXPECT_EQ(only<Start>(say(core, seconds(0), Submitted{lasting(5, 8, hours(1))})).size(), 1U);
}

TEST(Conservative, WindowsAreInThePlan) {
    Core core = make({.nodes = 2}, "conservative");
    say(core, seconds(0), WindowSet{{"w", hours(1), hours(3), {NodeId(0), NodeId(1)}}});
    EXPECT_TRUE(only<Start>(say(core, seconds(0), Submitted{lasting(1, 16, hours(2))})).empty());
    EXPECT_EQ(*core.earliest_start(JobId(1)), Nanoseconds(hours(3)));
    EXPECT_EQ(only<Start>(say(core, seconds(0), Submitted{lasting(2, 8, hours(1))})).size(), 1U);
    say(core, hours(1), Tick{});
    say(core, hours(1), Ended{JobId(2)});
    EXPECT_EQ(jobs_of(only<Start>(say(core, hours(3), Tick{}))), std::vector{JobId(1)});
}

struct End {
    Nanoseconds at;
    JobId job;
    bool operator>(const End& other) const {
        return std::tie(at, job) > std::tie(other.at, other.job);
    }
};

// Jobs that run exactly, or at most, as long as they said: what the first in the queue (all of
// them, under conservative backfill) was promised once is only ever moved to an earlier moment.
void promises_are_kept(std::string_view policy, unsigned seed, bool early_ends) {
    std::mt19937 random(seed);
    Core core =
        make({.nodes = 6, .slots_per_node = 4, .nodes_per_leaf = 2, .leaves_per_block = 2}, policy);
    std::priority_queue<End, std::vector<End>, std::greater<>> ends;
    std::map<JobId, Nanoseconds> promised;
    std::map<JobId, Nanoseconds> lengths;
    Nanoseconds now{};
    const auto follow = [&](decltype(Event::what) what) {
        for (const Start& start : only<Start>(say(core, now, std::move(what)))) {
            if (const auto known = promised.find(start.job); known != promised.end()) {
                ASSERT_LE(now, known->second) << policy << " seed " << seed;
                promised.erase(known);
            }
            ends.push({now + lengths[start.job], start.job});
        }
        for (auto& [job, length] : lengths) {
            const auto why = core.explain(job);
            if (!why || !why->promised) {
                continue;
            }
            const auto [known, added] = promised.emplace(job, *why->promised);
            ASSERT_LE(*why->promised, known->second) << policy << " seed " << seed;
            known->second = *why->promised;
        }
    };
    for (int job = 1; job <= 150; ++job) {
        now += seconds(random() % 900);
        while (!ends.empty() && ends.top().at <= now) {
            const End end = ends.top();
            ends.pop();
            const Nanoseconds later = std::exchange(now, end.at);
            follow(Ended{end.job});
            now = later;
        }
        constexpr int sizes[] = {1, 1, 2, 3, 4, 6, 8, 12, 24};
        const Nanoseconds estimate = seconds(60 + random() % 7200);
        lengths[JobId(job)] = early_ends && random() % 2 == 0 ? estimate / 3 : estimate;
        GangRequest request = lasting(job, sizes[random() % std::size(sizes)], estimate);
        if (random() % 8 == 0 && request.shape.slots <= 16) {
            request.shape.within = Level::block;
        }
        follow(Submitted{request});
    }
    while (!ends.empty()) {
        const End end = ends.top();
        ends.pop();
        now = std::max(now, end.at);
        follow(Ended{end.job});
    }
    EXPECT_EQ(core.pending() + core.running(), 0U) << policy << " seed " << seed;
}

TEST(Conservative, APromiseIsOnlyEverMovedForward) {
    for (unsigned seed = 1; seed <= 6; ++seed) {
        promises_are_kept("conservative", seed, false);
        promises_are_kept("conservative", seed, true);
    }
}

TEST(Backfill, OfEasyNeverDelaysTheHead) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        promises_are_kept("easy", seed, false);
    }
}

}  // namespace
}  // namespace mpitrain::scheduler
