// Who starts now.
#include <algorithm>
#include <limits>

#include "core_state.hpp"
#include "mpitrain/base/assert.hpp"

namespace mpitrain::scheduler {

void Core::State::schedule() {
    settle_shares();
    if (pending_count_ == 0) {
        grow();
        return;
    }
    if (policy_->backfill() == Backfill::easy) {
        schedule_easy();
    } else if (policy_->backfill() == Backfill::conservative) {
        schedule_conservative();
    } else {
        schedule_by_class(policy_->backfill() == Backfill::none);
    }
}

namespace {

// The first of its queue, for a heap whose top is the first of all.
struct Head {
    template <typename Key>
    static bool later(const std::pair<Key, int>& a, const std::pair<Key, int>& b) {
        return a.first > b.first;
    }
};

// How many jobs of one queue are tried where not all of them may use the same nodes.
constexpr int tries_max = 256;

}  // namespace

// Goes through the queue in order. A queue whose first job cannot start is left out: those behind
// it have the same shape and no better level, so they cannot either. So the cost is that of the
// jobs that start, and one question for each queue. Where windows are coming, one that runs less
// long may start where another may not, so a few more are tried.
void Core::State::schedule_by_class(bool stop_at_first) {
    struct Cursor {
        std::set<QueueKey>::iterator at;
        int tries = 0;
    };
    std::vector<std::pair<HeadKey, int>> heads;
    std::vector<Cursor> cursors(queues_.size());
    std::vector<int> failed(classes_.size(), std::numeric_limits<int>::max());  // best level
    for (std::size_t i = 0; i < queues_.size(); ++i) {
        if (!queues_[i].pending.empty()) {
            cursors[i].at = queues_[i].pending.begin();
            heads.emplace_back(head_key(queues_[i], *cursors[i].at), static_cast<int>(i));
        }
    }
    std::make_heap(heads.begin(), heads.end(), Head::later<HeadKey>);
    while (!heads.empty()) {
        std::pop_heap(heads.begin(), heads.end(), Head::later<HeadKey>);
        const auto [key, number] = heads.back();
        heads.pop_back();
        Queue& queue = queues_[static_cast<std::size_t>(number)];
        Cursor& cursor = cursors[static_cast<std::size_t>(number)];
        int& best_failed = failed[static_cast<std::size_t>(queue.shape_class)];
        const JobIndex index = std::get<4>(key);
        const auto next = std::next(cursor.at);
        const bool fits_account = within_limit(queue);
        const bool started = fits_account && std::get<0>(key) < best_failed && try_start(index);
        if (started) {
            cursor.at = next;
            rekey(heads, [&](int other) { return cursors[static_cast<std::size_t>(other)].at; });
        } else if (stop_at_first) {
            return;
        } else if (fits_account && !windows_.empty() && ++cursor.tries < tries_max) {
            cursor.at = next;
        } else {
            best_failed = fits_account && windows_.empty() ? std::min(best_failed, std::get<0>(key))
                                                           : best_failed;
            continue;
        }
        if (cursor.at != queue.pending.end()) {
            heads.emplace_back(head_key(queue, *cursor.at), number);
            std::push_heap(heads.begin(), heads.end(), Head::later<HeadKey>);
        }
    }
}

// A start moves its account back in the order, and may use up its quota.
template <typename At>
void Core::State::rekey(std::vector<std::pair<HeadKey, int>>& heads, const At& at) {
    if (!accounts_.any()) {
        return;
    }
    settle_shares();
    for (auto& [key, number] : heads) {
        key = head_key(queues_[static_cast<std::size_t>(number)], *at(number));
    }
    std::make_heap(heads.begin(), heads.end(), Head::later<HeadKey>);
}

// In free slots, or by preempting those of a worse level.
bool Core::State::try_start(JobIndex index) {
    if (start_in_free(index, class_of(job(index)).needs) || start_smaller(index)) {
        return true;
    }
    if (auto plan = plan_preemption(index)) {
        claim(index, *std::move(plan));
        return true;
    }
    return false;
}

bool Core::State::start_in_free(JobIndex index, const std::vector<PoolNeed>& needs) {
    for (const PoolNeed& need : needs) {
        if (auto where = find_for(job(index), need)) {
            start(index, *std::move(where));
            return true;
        }
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
    charge(index, slot_count(where));
    tree_.hold(where, held_level(one));
    for (const NodeSlots& piece : where) {
        on_node_[static_cast<std::size_t>(piece.node.value())].push_back(index);
    }
    one.held = std::move(where);
    touch(one.held);
}

// Its slots are its own and free of others.
void Core::State::run(JobIndex index) {
    Job& one = job(index);
    if (one.state == GangState::claiming) {
        tree_.relevel(one.held, pinned_level, level_of(one));
        one.state = GangState::running;
    }
    one.started = now_;
    one.durable = now_;
    ++one.attempt;
    touch(one.held);  // when they come free again is known now
    if (slot_count(one.held) < one.request.shape.slots) {
        elastic_.insert(index);
    }
    if (const auto waiting = waiting_.find(index); waiting != waiting_.end()) {
        over_.push_back({.who = index,
                         .waiting = std::move(waiting->second),
                         .job = one.request.job,
                         .started = true});
        waiting_.erase(waiting);
    }
    if (policy_->backfill() == Backfill::easy) {
        ends_.insert({expected_end(one), index});
    }
    restand(index);
    actions_.emplace_back(Start{one.request.job, one.attempt, one.held});
}

}  // namespace mpitrain::scheduler
