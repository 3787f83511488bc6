#include "mpitrain/scheduler/core.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "nodes.hpp"
#include "steps.hpp"

namespace mpitrain::scheduler {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(Core, StartsAGangAsAWholeOrNotAtAll) {
    Core core = make({.nodes = 2}, "fifo");
    EXPECT_EQ(only<Start>(say(core, seconds(0), Submitted{gang(1, 8)})).size(), 1U);
    EXPECT_TRUE(only<Start>(say(core, seconds(1), Submitted{gang(2, 16)})).empty());
    const auto started = only<Start>(say(core, seconds(2), Ended{JobId(1)}));
    ASSERT_EQ(started.size(), 1U);
    EXPECT_EQ(slot_count(started[0].where), 16);
}

TEST(Core, FifoLetsNobodyPass) {
    Core core = make({.nodes = 2}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 4)});
    say(core, seconds(0), Submitted{gang(2, 16)});
    EXPECT_TRUE(only<Start>(say(core, seconds(0), Submitted{gang(3, 1)})).empty());
}

TEST(Core, RejectsWhatCanNeverRun) {
    Core core = make({.nodes = 2}, "fifo");
    const auto rejected = only<Rejected>(say(core, seconds(0), Submitted{gang(1, 17)}));
    ASSERT_EQ(rejected.size(), 1U);
    EXPECT_NE(rejected[0].why.text().find("16"), std::string::npos) << rejected[0].why.text();
    EXPECT_EQ(core.pending(), 0U);
}

TEST(Core, RefusesSenselessEventsAndStaysAsItWas) {
    Core core = make({.nodes = 1}, "fifo");
    say(core, seconds(5), Submitted{gang(1, 8)});
    const std::uint64_t before = core.digest();
    EXPECT_FALSE(core.step({seconds(4), Tick{}}));
    EXPECT_FALSE(core.step({seconds(5), Submitted{gang(1, 8)}}));
    EXPECT_FALSE(core.step({seconds(5), Submitted{gang(2, 0)}}));
    EXPECT_FALSE(core.step({seconds(5), Ended{JobId(1), 2}}));
    EXPECT_FALSE(core.step({seconds(5), Ended{JobId(9), 1}}));
    EXPECT_FALSE(core.step({seconds(5), NodeLost{NodeId(1)}}));
    EXPECT_EQ(core.digest(), before);
}

TEST(Core, StartsAGangOnlyWhenItsLastVictimIsGone) {
    Core core = make({.nodes = 2}, "default");
    say(core, seconds(0), Submitted{gang(1, 8)});
    say(core, seconds(0), Submitted{gang(2, 8)});
    say(core, hours(2), Tick{});  // both have had their service
    const auto actions = say(core, hours(2), Submitted{gang(3, 16)});
    EXPECT_EQ(only<Stop>(actions).size(), 2U);
    EXPECT_TRUE(only<Start>(actions).empty());
    EXPECT_TRUE(only<Start>(say(core, hours(2), Ended{JobId(1), 1, true})).empty());
    // Nobody takes a slot that is claimed, though it is free.
    EXPECT_TRUE(only<Start>(say(core, hours(2), Submitted{gang(4, 1)})).empty());
    const auto started = only<Start>(say(core, hours(2), Ended{JobId(2), 1, true}));
    ASSERT_EQ(started.size(), 1U);
    EXPECT_EQ(started[0].job, JobId(3));
}

TEST(Core, GivesUpAClaimThatLostItsNode) {
    Core core = make({.nodes = 2}, "default");
    say(core, seconds(0), Submitted{gang(1, 8)});
    say(core, seconds(0), Submitted{gang(2, 8)});
    say(core, hours(2), Submitted{gang(3, 16)});
    say(core, hours(2), NodeLost{NodeId(1)});
    say(core, hours(2), Ended{JobId(1), 1, true});
    const auto started = only<Start>(say(core, hours(2), Ended{JobId(2), 1, true}));
    ASSERT_EQ(started.size(), 1U);  // one of the two runs again on what is left
    EXPECT_EQ(slot_count(started[0].where), 8);
    EXPECT_EQ(core.explain(JobId(3))->state, GangState::pending);
}

TEST(Core, CancelsAClaimWithoutFreeingWhatVictimsStillHold) {
    Core core = make({.nodes = 1}, "default");
    say(core, seconds(0), Submitted{gang(1, 8)});
    say(core, hours(2), Submitted{gang(2, 8)});
    say(core, hours(2), Cancelled{JobId(2)});
    EXPECT_TRUE(only<Start>(say(core, hours(2), Submitted{gang(3, 1)})).empty());
    EXPECT_EQ(only<Start>(say(core, hours(2), Ended{JobId(1), 1})).size(), 1U);
    EXPECT_FALSE(core.explain(JobId(2)));
}

TEST(Core, RestartsTheJobsOfALostNodeElsewhere) {
    Core core = make({.nodes = 2}, "fifo");
    const auto first = only<Start>(say(core, seconds(0), Submitted{gang(1, 8)}));
    const NodeId node = first.at(0).where.at(0).node;
    EXPECT_EQ(only<Stop>(say(core, seconds(5), NodeLost{node})).size(), 1U);
    const auto again = only<Start>(say(core, seconds(6), Ended{JobId(1), 1, true}));
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].attempt, 2);
    EXPECT_NE(again[0].where.at(0).node, node);
}

// What a stopped gang leaves can be had again by those of a better level, as before.
TEST(Core, PreemptsAgainWhatAStoppedGangHeld) {
    Core core = make({.nodes = 2}, "default");
    say(core, seconds(0), Submitted{gang(1, 16)});
    say(core, hours(2), Cancelled{JobId(1)});
    say(core, hours(2), Ended{JobId(1)});
    say(core, hours(2), Submitted{gang(2, 16)});
    EXPECT_EQ(only<Stop>(say(core, hours(9), Submitted{gang(3, 16)})).size(), 1U);
}

TEST(Core, DrainedNodeFinishesWhatItHasAndTakesNoMore) {
    Core core = make({.nodes = 1}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 4)});
    EXPECT_TRUE(only<Stop>(say(core, seconds(1), NodeDrained{NodeId(0)})).empty());
    EXPECT_TRUE(only<Start>(say(core, seconds(2), Submitted{gang(2, 4)})).empty());
    say(core, seconds(3), Ended{JobId(1)});
    EXPECT_EQ(only<Start>(say(core, seconds(4), NodeUp{NodeId(0)})).size(), 1U);
}

// A node whose links are known gives a pair that is linked, whatever their numbers are.
TEST(Core, ChoosesSlotsByTheLinksOfTheModel) {
    ClusterSpec cluster = uniform_cluster({.nodes = 1});
    cluster.nodes[0].model = "cube";
    EXPECT_FALSE(Core::create(cluster, *make_policy("fifo")));
    cluster.models["cube"] = test::cube_mesh();
    Core core = *Core::create(cluster, *make_policy("fifo"));
    const auto first = only<Start>(say(core, seconds(0), Submitted{gang(1, 2)}));
    const auto second = only<Start>(say(core, seconds(0), Submitted{gang(2, 2)}));
    const std::set<std::uint64_t> doubles = {0b1001, 0b0110, 0b10010000, 0b01100000};
    EXPECT_TRUE(doubles.contains(first.at(0).where.at(0).slots));
    EXPECT_TRUE(doubles.contains(second.at(0).where.at(0).slots));
}

// A gang of several nodes has the same slots on each, in cluster order, which is rank order.
TEST(Core, GivesAGangTheSameSlotsOnEveryNodeInOrder) {
    Core core = make({.nodes = 12, .nodes_per_leaf = 3, .leaves_per_block = 2}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 3)});
    const auto started = only<Start>(say(core, seconds(0), Submitted{gang(2, 40)}));
    ASSERT_EQ(started.size(), 1U);
    int before = -1;
    for (const NodeSlots& piece : started[0].where) {
        EXPECT_EQ(piece.slots, 0xffU);
        EXPECT_GT(piece.node.value(), before);
        before = piece.node.value();
    }
}

GangRequest estimated(int job, int slots, Nanoseconds estimate) {
    GangRequest request = gang(job, slots);
    request.estimate = estimate;
    return request;
}

TEST(Backfill, NeverDelaysTheReservedJob) {
    Core core = make({.nodes = 2}, "easy");
    say(core, seconds(0), Submitted{estimated(1, 8, minutes(60))});
    say(core, seconds(0), Submitted{estimated(2, 16, minutes(10))});  // promised for minute 60
    EXPECT_TRUE(
        only<Start>(say(core, seconds(0), Submitted{estimated(3, 8, minutes(61))})).empty());
    EXPECT_EQ(only<Start>(say(core, seconds(0), Submitted{estimated(4, 8, minutes(60))})).size(),
              1U);
    say(core, minutes(60), Ended{JobId(1)});
    const auto started = only<Start>(say(core, minutes(60), Ended{JobId(4)}));
    ASSERT_FALSE(started.empty());
    EXPECT_EQ(started[0].job, JobId(2));
}

TEST(Backfill, LetsLongJobsHaveWhatTheReservedOneLeaves) {
    Core core = make({.nodes = 2}, "easy");
    say(core, seconds(0), Submitted{estimated(1, 6, minutes(60))});
    say(core, seconds(0), Submitted{estimated(2, 6, minutes(60))});
    say(core,
        seconds(0),
        Submitted{estimated(3, 7, minutes(60))});  // one slot beside it stays free
    EXPECT_EQ(only<Start>(say(core, seconds(0), Submitted{estimated(4, 1, hours(9))})).size(), 1U);
    EXPECT_EQ(only<Start>(say(core, seconds(0), Submitted{estimated(5, 1, hours(9))})).size(), 1U);
    const auto third = only<Start>(say(core, seconds(0), Submitted{estimated(6, 1, hours(9))}));
    EXPECT_EQ(third.size(), 1U);  // on the node that was promised to nobody
    EXPECT_TRUE(only<Start>(say(core, seconds(0), Submitted{estimated(7, 1, hours(9))})).empty());
}

TEST(ServicePolicy, PreemptsWhoHasHadMore) {
    Core core = make({.nodes = 1}, "default");
    say(core, seconds(0), Submitted{gang(1, 8)});
    EXPECT_TRUE(only<Stop>(say(core, seconds(10), Submitted{gang(2, 8)})).empty());
    EXPECT_EQ(only<Stop>(say(core, hours(1), Tick{})).size(), 1U);
}

TEST(ServicePolicy, NobodyWaitsForEver) {
    Core core = make({.nodes = 2}, "default");
    settle(core, seconds(0), Submitted{gang(1, 16)});
    settle(core, hours(100), Tick{});
    // A stream of young one-slot jobs, none of which ends, and which go first by their service.
    int job = 2;
    std::optional<Nanoseconds> back;
    for (int minute = 0; minute < 60 * 24 && !back; ++minute) {
        const Nanoseconds now = hours(100) + minutes(minute);
        for (const Start& start : settle(core, now, Submitted{gang(job++, 1)})) {
            if (start.job == JobId(1)) {
                back = now;
            }
        }
    }
    ASSERT_TRUE(back);
    EXPECT_LE(*back, hours(112) + minutes(1));  // the patience of a gang is 12 hours
}

// State is a fold of the events: their log gives it again, whatever the host answered.
TEST(Core, ReplayGivesTheSameState) {
    for (const std::string_view policy : policy_names()) {
        std::mt19937 random(17);
        const UniformCluster shape{.nodes = 6, .slots_per_node = 4, .nodes_per_leaf = 2};
        Core core = make(shape, policy);
        std::vector<Event> log;
        std::map<JobId, int> live;
        std::deque<Event> next;
        const int steps = policy == "conservative" ? 500 : 2000;  // it plans anew at each
        for (int i = 0; i < steps; ++i) {
            const Nanoseconds now = minutes(i);
            if (next.empty()) {
                const auto pick = random() % 4;
                const NodeId node(static_cast<int>(random() % 6));
                if (pick == 0 && !live.empty()) {
                    next.push_back({now, Ended{live.begin()->first, live.begin()->second, false}});
                } else if (pick == 1 && random() % 8 == 0) {
                    next.push_back({now, NodeLost{node}});
                } else if (pick == 1) {
                    next.push_back({now, NodeUp{node}});
                } else {
                    const int slots = 1 + static_cast<int>(random() % 8);
                    next.push_back({now, Submitted{estimated(i + 1, slots, hours(1))}});
                }
            }
            Event event = next.front();
            next.pop_front();
            event.now = now;
            const auto actions = core.step(event);
            ASSERT_TRUE(actions) << actions.error().text();
            log.push_back(event);
            if (const auto* ended = std::get_if<Ended>(&event.what)) {
                live.erase(ended->job);
            }
            for (const Start& start : only<Start>(*actions)) {
                live[start.job] = start.attempt;
            }
            for (const Stop& stop : only<Stop>(*actions)) {
                live.erase(stop.job);
                next.push_back({now, Ended{stop.job, stop.attempt, true}});
            }
        }
        Core again = make(shape, policy);
        for (const Event& event : log) {
            ASSERT_TRUE(again.step(event));
        }
        EXPECT_EQ(again.digest(), core.digest()) << policy;
        EXPECT_GT(core.pending() + core.running(), 0U);
    }
}

// What a newcomer writes to add a policy: one class, nothing else.
class LargestFirst final : public Policy {
  public:
    [[nodiscard]] std::string_view name() const override { return "largest-first"; }
    [[nodiscard]] Standing standing(const JobView& job, Nanoseconds now) const override {
        static_cast<void>(now);
        return {.order = -static_cast<double>(job.request.shape.slots)};
    }
};

TEST(Policy, ANewOneIsOneClass) {
    Core core = *Core::create(uniform_cluster({.nodes = 1}), std::make_unique<LargestFirst>());
    say(core, seconds(0), Submitted{gang(1, 8)});
    say(core, seconds(1), Submitted{gang(2, 1)});
    say(core, seconds(2), Submitted{gang(3, 8)});
    const auto started = only<Start>(say(core, seconds(3), Ended{JobId(1)}));
    ASSERT_EQ(started.size(), 1U);
    EXPECT_EQ(started[0].job, JobId(3));
}

TEST(Explain, SaysHowFarShort) {
    Core core = make({.nodes = 3}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 4)});
    say(core, seconds(0), Submitted{gang(2, 24)});
    const auto why = core.explain(JobId(2));
    ASSERT_TRUE(why);
    EXPECT_EQ(why->state, GangState::pending);
    EXPECT_EQ(why->free_slots, 20);
    EXPECT_NE(why->text.find("24"), std::string::npos);
    say(core, seconds(0), Cancelled{JobId(2)});
    say(core, seconds(0), Submitted{gang(3, 20)});
    EXPECT_EQ(core.explain(JobId(3))->short_nodes, 1);
}

}  // namespace
}  // namespace mpitrain::scheduler
