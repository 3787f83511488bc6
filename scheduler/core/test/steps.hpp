#pragma once

#include <gtest/gtest.h>

#include <string_view>
#include <vector>

#include "mpitrain/scheduler/core.hpp"

// Driving a core by hand, for its tests.
namespace mpitrain::scheduler {

inline GangRequest gang(int job, int slots) {
    return {.job = JobId(job), .shape = {.slots = slots}};
}

inline Core make(const UniformCluster& cluster,
                 std::string_view policy,
                 const CoreOptions& options = {}) {
    return *Core::create(uniform_cluster(cluster), *make_policy(policy), options);
}

template <typename Kind>
std::vector<Kind> only(const std::vector<Action>& actions) {
    std::vector<Kind> found;
    for (const Action& action : actions) {
        if (const auto* one = std::get_if<Kind>(&action)) {
            found.push_back(*one);
        }
    }
    return found;
}

inline std::vector<Action> say(Core& core, Nanoseconds now, decltype(Event::what) what) {
    auto actions = core.step({now, std::move(what)});
    EXPECT_TRUE(actions) << actions.error().text();
    return actions.value_or(std::vector<Action>{});
}

// A host whose jobs stop at once: ends every attempt that is told to, and returns what started.
inline std::vector<Start> settle(Core& core, Nanoseconds now, decltype(Event::what) what) {
    std::vector<Start> started;
    std::vector<Action> actions = say(core, now, std::move(what));
    for (std::size_t i = 0; i < actions.size(); ++i) {
        if (const auto* start = std::get_if<Start>(&actions[i])) {
            started.push_back(*start);
        } else if (const auto* stop = std::get_if<Stop>(&actions[i])) {
            const auto more = say(core, now, Ended{stop->job, stop->attempt, true});
            actions.insert(actions.end(), more.begin(), more.end());
        }
    }
    return started;
}

inline std::vector<JobId> jobs_of(const std::vector<Start>& starts) {
    std::vector<JobId> jobs;
    for (const Start& start : starts) {
        jobs.push_back(start.job);
    }
    return jobs;
}

}  // namespace mpitrain::scheduler
