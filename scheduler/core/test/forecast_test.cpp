#include "mpitrain/scheduler/forecast.hpp"

#include <gtest/gtest.h>

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

TEST(Forecast, SaysWhenEachWillStart) {
    Core core = make({.nodes = 1}, "fifo");
    say(core, seconds(0), Submitted{lasting(1, 8, minutes(10))});
    say(core, seconds(0), Submitted{lasting(2, 8, minutes(20))});
    say(core, seconds(0), Submitted{lasting(3, 4, minutes(5))});
    const std::uint64_t before = core.digest();
    const auto starts = forecast(core);
    EXPECT_EQ(core.digest(), before);
    ASSERT_EQ(starts.size(), 2U);
    EXPECT_EQ(starts.at(JobId(2)), Nanoseconds(minutes(10)));
    EXPECT_EQ(starts.at(JobId(3)), Nanoseconds(minutes(30)));
}

TEST(Forecast, KnowsThePolicysOwnPreemptions) {
    Core core = make({.nodes = 1}, "default");
    say(core, seconds(0), Submitted{lasting(1, 8, hours(50))});
    say(core, seconds(1), Submitted{lasting(2, 8, minutes(1))});
    const auto starts = forecast(core);
    ASSERT_TRUE(starts.contains(JobId(2)));
    const Nanoseconds predicted = starts.at(JobId(2));
    EXPECT_LT(predicted, Nanoseconds(hours(1)));
    EXPECT_EQ(jobs_of(settle(core, predicted, Tick{})), std::vector{JobId(2)});
}

TEST(Forecast, OfACopyAnswersWhatIf) {
    Core core = make({.nodes = 1}, "fifo");
    say(core, seconds(0), Submitted{lasting(1, 8, hours(10))});
    say(core, seconds(0), Submitted{lasting(2, 8, hours(1))});
    Core other = core.copy();
    say(other, seconds(0), Cancelled{JobId(1)});
    say(other, seconds(0), Ended{JobId(1)});
    EXPECT_EQ(forecast(core).at(JobId(2)), Nanoseconds(hours(10)));
    EXPECT_EQ(other.explain(JobId(2))->state, GangState::running);
    EXPECT_EQ(core.explain(JobId(2))->state, GangState::pending);
}

TEST(Forecast, WithoutEstimatesKnowsNothing) {
    Core core = make({.nodes = 1}, "fifo");
    say(core, seconds(0), Submitted{gang(1, 8)});
    say(core, seconds(0), Submitted{gang(2, 8)});
    EXPECT_TRUE(forecast(core).empty());
    EXPECT_EQ(*core.earliest_start(JobId(2)), never);
}

TEST(LearnedEstimates, AreTheLastTwoOfAnAccount) {
    LearnedEstimates learned;
    GangRequest request = lasting(1, 8, hours(10));
    request.account = "a";
    EXPECT_EQ(learned.estimate(request), Nanoseconds(hours(10)));
    learned.ended(request, hours(1));
    learned.ended(request, hours(3));
    EXPECT_EQ(learned.estimate(request), Nanoseconds(hours(2)));
    request.estimate.reset();
    EXPECT_EQ(learned.estimate(request), Nanoseconds(hours(2)));
    request.account = "b";
    EXPECT_FALSE(learned.estimate(request));
}

}  // namespace
}  // namespace mpitrain::scheduler
