// Why a job does not run: the first constraint that fails, and how far short.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core_state.hpp"

namespace mpitrain::scheduler {

std::string_view to_string(Cause cause) {
    switch (cause) {
        case Cause::none:
            return "none";
        case Cause::held:
            return "held";
        case Cause::dependency:
            return "dependency";
        case Cause::begin_time:
            return "begin_time";
        case Cause::array_limit:
            return "array_limit";
        case Cause::account_limit:
            return "account_limit";
        case Cause::window:
            return "window";
        case Cause::slots:
            return "slots";
        case Cause::nodes:
            return "nodes";
        case Cause::domain:
            return "domain";
        case Cause::promise:
            return "promise";
        case Cause::stopping:
            return "stopping";
        case Cause::place_off:
            return "place_off";
    }
    return "?";
}

Result<Explanation> Core::State::explain(JobId id) const {
    const auto found = known_.find(id);
    if (found == known_.end()) {
        return Error(ErrorCode::not_found, fmt::format("no job {}", id.value()));
    }
    const Job& one = job(found->second);
    Explanation why{.state = one.state,
                    .level = one.standing.level,
                    .wanted_slots = one.request.shape.slots,
                    .free_slots = tree_.free_slots(),
                    .text = {}};
    if (one.state == GangState::claiming) {
        why.cause = Cause::stopping;
        why.text = fmt::format("starts when {} preempted jobs have stopped", one.waits_for);
    } else if (one.state == GangState::held) {
        explain_held(one, why);
    } else if (one.state == GangState::pending) {
        explain_place(one, why);
        explain_promise(found->second, why);
    }
    return why;
}

void Core::State::explain_held(const Job& one, Explanation& why) const {
    if ((one.holds & hold_user) != 0) {
        why.cause = Cause::held;
        why.text = "is held until somebody releases it";
    } else if ((one.holds & hold_after) != 0) {
        why.cause = Cause::dependency;
        why.text = fmt::format("waits for {} other jobs", one.awaited);
    } else if ((one.holds & hold_begin) != 0) {
        const auto left = *one.request.not_before - now_;
        why.cause = Cause::begin_time;
        why.text = fmt::format("is not to begin for another {} s",
                               std::chrono::duration_cast<std::chrono::seconds>(left).count());
    } else {
        why.cause = Cause::array_limit;
        why.text = fmt::format("{} jobs of its array are at work, its limit",
                               one.request.array ? one.request.array->at_most : 0);
    }
}

// What of an empty and open cluster it is short of now.
void Core::State::explain_place(const Job& one, Explanation& why) const {
    const ShapeClass& shape = class_of(one);
    const Queue& queue = queues_[static_cast<std::size_t>(one.queue)];
    if (!within_limit(queue)) {
        why.cause = Cause::account_limit;
        why.text = fmt::format("account '{}' would hold more than its limit with {} slots more",
                               one.request.account,
                               shape.slots);
        return;
    }
    if (!one.request.window.empty()) {
        const auto window = windows_.find(one.request.window);
        why.cause = Cause::window;
        if (window == windows_.end() || !window->second.open) {
            why.text = window == windows_.end() ? "the window that it names is over"
                                                : "the window that it names has not begun";
            return;
        }
    }
    int empty = 0;
    int wanted_nodes = std::numeric_limits<int>::max();
    for (const PoolNeed& need : shape.needs) {
        empty = std::max(empty, tree_.empty_nodes(need.pool));
        wanted_nodes = std::min(wanted_nodes, need.nodes);
    }
    const bool fits = std::any_of(shape.needs.begin(), shape.needs.end(), [&](const auto& need) {
        return tree_.find(need).has_value();
    });
    if (why.free_slots < why.wanted_slots) {
        why.cause = Cause::slots;
        why.text =
            fmt::format("needs {} slots, {} are free and nobody of a worse level holds enough",
                        why.wanted_slots,
                        why.free_slots);
    } else if (fits && is_restricted(one)) {
        why.cause = shape.allowed.empty() ? Cause::window : Cause::place_off;
        why.text = shape.allowed.empty() ? "what is free is set apart before it would have ended"
                                         : "what is free is not on the nodes that it names";
    } else if (fits) {
        why.cause = Cause::promise;
        why.text = "what is free is promised to jobs before it, or is theirs to be asked first";
    } else if (wanted_nodes > 1 && empty < wanted_nodes) {
        why.cause = Cause::nodes;
        why.short_nodes = wanted_nodes - empty;
        why.text = fmt::format("needs {} whole nodes, {} are empty", wanted_nodes, empty);
    } else if (wanted_nodes > 1) {
        why.cause = Cause::domain;
        why.text = fmt::format("enough nodes are empty, but not within one {}",
                               to_string(one.request.shape.within));
    } else {
        why.cause = Cause::nodes;
        why.text = fmt::format(
            "{} slots are free, but no node has {} of them", why.free_slots, why.wanted_slots);
    }
}

// What it may count on, who goes before it, and the smallest change that would let it start.
void Core::State::explain_promise(JobIndex index, Explanation& why) const {
    const Job& one = job(index);
    if (const auto booking = bookings_.find(index); booking != bookings_.end()) {
        why.promised = booking->second.at;
    } else if (promised_ && promised_->first == index && promised_->second.at != never) {
        why.promised = promised_->second.at;
    } else if (promised_ && why.cause == Cause::promise) {
        why.behind = job(promised_->first).request.job;
    }
    if (why.cause != Cause::slots && why.cause != Cause::nodes && why.cause != Cause::domain) {
        return;
    }
    for (const PoolNeed& need : class_of(one).needs) {
        const int unit = std::max(need.slice_nodes, 1);
        int low = 0;  // units of nodes, or slots of one, that fit
        int high = need.nodes > 1 ? need.nodes / unit : need.slots;
        while (low < high - 1) {
            const int middle = (low + high) / 2;
            PoolNeed less = need;
            (need.nodes > 1 ? less.nodes : less.slots) = need.nodes > 1 ? middle * unit : middle;
            (tree_.find(less) ? low : high) = middle;
        }
        why.would_start = std::max(why.would_start, need.nodes > 1 ? low * unit * need.slots : low);
    }
    if (why.would_start > 0) {
        why.text += fmt::format("; with {} slots it would start now", why.would_start);
    }
}

}  // namespace mpitrain::scheduler
