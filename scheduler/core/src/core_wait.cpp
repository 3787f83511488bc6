// Jobs that are not in the queue yet: held, after others, not before a time, or of an array that
// has enough at work.
#include <fmt/format.h>

#include "core_state.hpp"
#include "mpitrain/base/assert.hpp"

namespace mpitrain::scheduler {

// What keeps a job that was just submitted.
void Core::State::hold_back(JobIndex index) {
    Job& one = job(index);
    const GangRequest& request = one.request;
    if (request.held) {
        one.holds |= hold_user;
    }
    for (const After& after : request.after) {
        const JobIndex other = known_.at(after.job);
        if (after.what == AfterKind::started && job(other).attempt > 0) {
            continue;
        }
        waiting_[other].push_back({index, one.sequence, after.what});
        ++one.awaited;
        one.holds |= hold_after;
    }
    if (request.not_before && *request.not_before > now_) {
        one.holds |= hold_begin;
        timers_.push({*request.not_before, index, one.stamp});
    }
    if (request.array && request.array->at_most > 0) {
        Array& array = arrays_[request.array->array];
        if (array.active < request.array->at_most) {
            ++array.active;
        } else {
            array.waiting.emplace(one.sequence, index);
            one.holds |= hold_array;
        }
    }
}

void Core::State::add_hold(JobIndex index, Hold why) {
    Job& one = job(index);
    one.holds |= why;
    if (one.state == GangState::pending) {
        dequeue(index);
        one.state = GangState::held;
        ++held_count_;
        changed_ = true;  // others may have waited behind it
    }
}

void Core::State::drop_hold(JobIndex index, Hold why) {
    Job& one = job(index);
    one.holds = static_cast<std::uint8_t>(one.holds & ~why);
    if (one.holds == 0 && one.state == GangState::held) {
        --held_count_;
        one.submitted = now_;  // waits since now, for policies that look at it
        drop_plans();
        requeue(index);
    }
}

bool Core::State::holds_back(const Over& over, AfterKind what) {
    switch (what) {
        case AfterKind::started:
            return !over.started && !over.gone;
        case AfterKind::succeeded:
            return !(over.gone && over.succeeded);
        case AfterKind::ended:
            return !over.gone;
    }
    return true;
}

// Tells those that wait for jobs of this step. Rejecting one may end others, so in rounds and not
// by recursion: a chain may be long.
void Core::State::settle_over() {
    while (!over_.empty()) {
        const std::vector<Over> round = std::exchange(over_, {});
        for (const Over& over : round) {
            for (const Waiting& waiting : over.waiting) {
                settle_waiting(over, waiting);
            }
        }
    }
}

void Core::State::settle_waiting(const Over& over, const Waiting& waiting) {
    Job& one = job(waiting.who);
    if (one.sequence != waiting.sequence || !known_.contains(one.request.job)) {
        return;  // it was cancelled meanwhile
    }
    if (!holds_back(over, waiting.what)) {
        if (--one.awaited == 0) {
            drop_hold(waiting.who, hold_after);
        }
    } else if (over.gone) {
        actions_.emplace_back(
            Rejected{one.request.job,
                     Error(ErrorCode::unsatisfiable,
                           fmt::format("it was to run after job {}, which did not end well",
                                       over.job.value()))});
        MPITRAIN_ASSERT(one.state == GangState::held);
        --held_count_;
        forget(waiting.who, false);
    } else {
        waiting_[over.who].push_back(waiting);
    }
}

void Core::State::leave_array(const Job& one, JobIndex index) {
    const auto& place = one.request.array;
    if (!place || place->at_most == 0) {
        return;
    }
    const auto found = arrays_.find(place->array);
    MPITRAIN_ASSERT(found != arrays_.end());
    Array& array = found->second;
    if (array.waiting.erase({one.sequence, index}) > 0) {
        return;
    }
    --array.active;
    if (!array.waiting.empty()) {
        const JobIndex next = array.waiting.begin()->second;
        array.waiting.erase(array.waiting.begin());
        ++array.active;
        drop_hold(next, hold_array);
    } else if (array.active == 0) {
        arrays_.erase(found);
    }
}

void Core::State::apply(const Held& event) {
    add_hold(known_.at(event.job), hold_user);
}

void Core::State::apply(const Released& event) {
    drop_hold(known_.at(event.job), hold_user);
}

void Core::State::apply(const Reprioritised& event) {
    const JobIndex index = known_.at(event.job);
    Job& one = job(index);
    one.request.priority = event.priority;
    if (one.state == GangState::pending || one.state == GangState::running) {
        restand(index);
    }
}

void Core::State::apply(const Checkpointed& event) {
    job(known_.at(event.job)).durable = now_;
}

}  // namespace mpitrain::scheduler
