// Who starts now.
#include <algorithm>

#include "core_state.hpp"
#include "mpitrain/base/assert.hpp"

namespace mpitrain::scheduler {

void Core::State::schedule() {
    if (pending_count_ == 0) {
        return;
    }
    if (policy_->backfill() == Backfill::easy) {
        schedule_easy();
    } else {
        schedule_by_class(policy_->backfill() == Backfill::none);
    }
}

// Goes through the queue in order. A class whose first job cannot start is left out: those behind
// it have the same shape and no better level, so they cannot either. So the cost is that of the
// jobs that start, and one question for each class.
void Core::State::schedule_by_class(bool stop_at_first) {
    std::vector<std::pair<QueueKey, ShapeClass*>> heads;
    for (ShapeClass& shape : classes_) {
        if (!shape.pending.empty()) {
            heads.emplace_back(*shape.pending.begin(), &shape);
        }
    }
    const auto later = [](const auto& a, const auto& b) { return a.first > b.first; };
    std::make_heap(heads.begin(), heads.end(), later);
    while (!heads.empty()) {
        std::pop_heap(heads.begin(), heads.end(), later);
        auto& [first, shape] = heads.back();
        const bool started = try_start(std::get<3>(first));
        if (!started && stop_at_first) {
            return;
        }
        if (!started || shape->pending.empty()) {
            heads.pop_back();
            continue;
        }
        first = *shape->pending.begin();
        std::push_heap(heads.begin(), heads.end(), later);
    }
}

// In free slots, or by preempting those of a worse level.
bool Core::State::try_start(JobIndex index) {
    const ShapeClass& shape = classes_[static_cast<std::size_t>(job(index).shape_class)];
    for (const PoolNeed& need : shape.needs) {
        if (auto where = tree_.find(need)) {
            start(index, *std::move(where));
            return true;
        }
    }
    if (auto plan = plan_preemption(index)) {
        claim(index, *std::move(plan));
        return true;
    }
    return false;
}

void Core::State::start(JobIndex index, Allocation where) {
    dequeue(index);
    job(index).state = GangState::running;
    take(index, std::move(where));
    run(index);
}

void Core::State::take(JobIndex index, Allocation where) {
    Job& one = job(index);
    tree_.hold(where, held_level(one));
    for (const NodeSlots& piece : where) {
        on_node_[static_cast<std::size_t>(piece.node.value())].push_back(index);
    }
    one.held = std::move(where);
}

// Its slots are its own and free of others.
void Core::State::run(JobIndex index) {
    Job& one = job(index);
    if (one.state == GangState::claiming) {
        tree_.relevel(one.held, pinned_level, level_of(one));
        one.state = GangState::running;
    }
    one.started = now_;
    ++one.attempt;
    if (policy_->backfill() == Backfill::easy) {
        ends_.insert({expected_end(one), index});
    }
    restand(index);
    actions_.emplace_back(Start{one.request.job, one.attempt, one.held});
}

}  // namespace mpitrain::scheduler
