// Which events are refused. Nothing here changes the state.
#include <fmt/format.h>

#include "core_state.hpp"

namespace mpitrain::scheduler {

Result<void> Core::State::check(const Event& event) const {
    if (event.now < now_) {
        return Error(ErrorCode::invalid_argument, "an event is older than the one before it");
    }
    return std::visit([this](const auto& what) { return allows(what); }, event.what);
}

Result<void> Core::State::check_known(JobId job) const {
    if (!known_.contains(job)) {
        return Error(ErrorCode::not_found, fmt::format("no job {}", job.value()));
    }
    return {};
}

Result<void> Core::State::check_attempt(JobId id, int attempt) const {
    MPITRAIN_TRY_VOID(check_known(id));
    const Job& one = job(known_.at(id));
    const bool runs = one.state == GangState::running || one.state == GangState::stopping;
    if (!runs || one.attempt != attempt) {
        return Error(ErrorCode::not_found,
                     fmt::format("attempt {}#{} is not running", id.value(), attempt));
    }
    return {};
}

Result<void> Core::State::check_node(NodeId node) const {
    if (node.value() < 0 || static_cast<std::size_t>(node.value()) >= on_node_.size()) {
        return Error(ErrorCode::not_found, fmt::format("no node {}", node.value()));
    }
    return {};
}

Result<void> Core::State::allows(const Submitted& event) const {
    const GangRequest& request = event.request;
    const std::int64_t id = request.job.value();
    if (known_.contains(request.job)) {
        return Error(ErrorCode::invalid_argument, fmt::format("job {} is known already", id));
    }
    const Nanoseconds zero{};
    if (request.shape.slots < 1 || request.shape.min_slots < 0 ||
        request.shape.min_slots > request.shape.slots || request.shape.slice_nodes < 0 ||
        request.estimate.value_or(zero) < zero || request.checkpoint_every < zero ||
        request.not_before.value_or(zero) < zero || request.deadline.value_or(zero) < zero ||
        (request.array && request.array->at_most < 0)) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("job {} asks for {} slots", id, request.shape.slots))
            .mend("ask for at least one, and for no negative time, slice or array limit");
    }
    for (const After& after : request.after) {
        if (!known_.contains(after.job)) {
            return Error(ErrorCode::not_found,
                         fmt::format("job {} is to run after {}, which is not known here",
                                     id,
                                     after.job.value()))
                .mend("name a job that is not over yet");
        }
    }
    if (!request.window.empty() && !windows_.contains(request.window)) {
        return Error(ErrorCode::not_found,
                     fmt::format("job {} names the window '{}', and there is none of that name",
                                 id,
                                 request.window));
    }
    if (accounts_.find(request.account) < 0) {
        return Error(ErrorCode::not_found,
                     fmt::format("job {} names the account '{}'", id, request.account))
            .mend("name an account that is there, and has none below it");
    }
    return {};
}

Result<void> Core::State::allows(const Ended& event) const {
    return check_attempt(event.job, event.attempt);
}
Result<void> Core::State::allows(const Checkpointed& event) const {
    return check_attempt(event.job, event.attempt);
}
Result<void> Core::State::allows(const Cancelled& event) const {
    return check_known(event.job);
}
Result<void> Core::State::allows(const Held& event) const {
    return check_known(event.job);
}
Result<void> Core::State::allows(const Consolidated& event) const {
    return check_known(event.job);
}
Result<void> Core::State::allows(const Released& event) const {
    return check_known(event.job);
}
Result<void> Core::State::allows(const Reprioritised& event) const {
    return check_known(event.job);
}
Result<void> Core::State::allows(const NodeLost& event) const {
    return check_node(event.node);
}
Result<void> Core::State::allows(const NodeDrained& event) const {
    return check_node(event.node);
}
Result<void> Core::State::allows(const NodeUp& event) const {
    return check_node(event.node);
}
Result<void> Core::State::allows(const Tick& event) const {
    static_cast<void>(event);
    return {};
}

Result<void> Core::State::allows(const WindowSet& event) const {
    const Window& window = event.window;
    if (window.name.empty() || window.nodes.empty() || window.begin >= window.end ||
        window.begin < Nanoseconds{}) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("the window '{}' has no name, no nodes or no time", window.name))
            .mend("it begins before it ends, and names at least one node");
    }
    for (const NodeId node : window.nodes) {
        MPITRAIN_TRY_VOID(check_node(node));
    }
    return {};
}

Result<void> Core::State::allows(const WindowLifted& event) const {
    if (!windows_.contains(event.name)) {
        return Error(ErrorCode::not_found, fmt::format("no window '{}'", event.name));
    }
    return {};
}

}  // namespace mpitrain::scheduler
