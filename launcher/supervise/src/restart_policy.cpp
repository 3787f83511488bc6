#include "mpitrain/supervise/restart_policy.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mpitrain {
namespace {

bool counts(const AttemptRecord& attempt) {
    return attempt.verdict.cause != Cause::node_lost && attempt.verdict.cause != Cause::preempted;
}

}  // namespace

RestartDecision decide_restart(const std::vector<AttemptRecord>& attempts,
                               int max_restarts,
                               std::optional<int> max_node_failures) {
    if (attempts.empty()) {
        return {.restart = true, .reason = ""};
    }
    const AttemptRecord& last = attempts.back();
    if (last.verdict.cause == Cause::not_started) {
        return {.restart = false, .reason = "a program that cannot be started is not tried again"};
    }
    if (max_restarts == 0) {
        return {.restart = false, .reason = "no restarts were asked for (--max-restarts)"};
    }
    constexpr int losses_max =
        100;  // a machine that keeps losing its ranks is no machine to go on with
    const auto counted = std::ranges::count_if(attempts, counts);
    if (max_node_failures && std::ssize(attempts) - counted > *max_node_failures) {
        return {.restart = false,
                .reason = fmt::format("more than {} nodes were lost (--max-node-failures)",
                                      *max_node_failures)};
    }
    if (counted > max_restarts || std::ssize(attempts) - counted > losses_max) {
        return {.restart = false,
                .reason = fmt::format("all {} restarts are used up", max_restarts)};
    }
    const auto stuck =
        std::find_if(attempts.rbegin(), attempts.rend(), [](const AttemptRecord& attempt) {
            return attempt.committed || !counts(attempt);
        });
    if (std::distance(attempts.rbegin(), stuck) >= 2) {
        return {.restart = false, .reason = "two attempts in a row made no new checkpoint"};
    }
    return {.restart = true, .reason = ""};
}

}  // namespace mpitrain
