// EASY: the first job that waits is promised the earliest moment at which it will fit, by what is
// expected of those that run; others may start if they do not get in the way of that.
#include <algorithm>
#include <bit>
#include <map>

#include "core_state.hpp"

namespace mpitrain::scheduler {

void Core::State::schedule_easy() {
    if (promised_ && newest_ != nobody && promised_->second.at >= now_) {
        // Nothing but a submission: the first still waits, and so do all that were passed over.
        Promise& promise = promised_->second;
        if (fits_now(newest_)) {
            keep(promise);
            try_start_within(newest_, promise, ends_before(job(newest_), promise));
            tree_.release(promise.kept, pinned_level);
        }
        newest_ = nobody;
        return;
    }
    newest_ = nobody;
    promised_.reset();
    while (pending_count_ > 0) {
        const JobIndex head = first_of_all();
        if (head == nobody) {
            return;
        }
        if (!try_start(head)) {
            promised_.emplace(head, promise_to(head));
            backfill(head, promised_->second);
            return;
        }
    }
}

// Of those whose account lets them.
Core::State::JobIndex Core::State::first_of_all() const {
    std::optional<HeadKey> first;
    for (const Queue& queue : queues_) {
        if (queue.pending.empty() || !within_limit(queue)) {
            continue;
        }
        const HeadKey key = head_key(queue, *queue.pending.begin());
        first = first ? std::min(*first, key) : key;
    }
    return first ? std::get<4>(*first) : nobody;
}

bool Core::State::fits_now(JobIndex index) const {
    const Job& one = job(index);
    const auto& needs = class_of(one).needs;
    return within_limit(queues_[static_cast<std::size_t>(one.queue)]) &&
           std::any_of(needs.begin(), needs.end(), [&](const PoolNeed& need) {
               return find_for(one, need).has_value();
           });
}

// Without a promised moment nobody can be in its way.
bool Core::State::ends_before(const Job& one, const Promise& promise) const {
    const auto& estimate = one.request.estimate;
    return promise.at == never || (estimate && *estimate - one.attained <= promise.at - now_);
}

Core::State::Promise Core::State::promise_to(JobIndex head) const {
    Promise best;
    for (const PoolNeed& need : class_of(job(head)).needs) {
        auto promise = promise_in(job(head), need);
        if (promise && promise->at < best.at) {
            best = *std::move(promise);
        }
    }
    return best;
}

// Replays the expected ends on a copy of the free counts until the gang fits.
std::optional<Core::State::Promise> Core::State::promise_in(const Job& one,
                                                            const PoolNeed& need) const {
    const std::size_t nodes = on_node_.size();
    std::vector<int> room(nodes, 0);
    std::vector<char> ours(nodes, 0);
    std::map<int, int> full;  // by domain: nodes that are empty by then
    const int slots = need.slots;
    const auto domain = [&](NodeId node) {
        return need.within == Level::leaf    ? tree_.leaf_of(node)
               : need.within == Level::block ? tree_.block_of(node)
                                             : 0;
    };
    for (std::size_t i = 0; i < nodes; ++i) {
        const NodeId node(static_cast<int>(i));
        ours[i] = tree_.in_pool(node, need.pool) && may_use(one, node) ? 1 : 0;
        room[i] = ours[i] != 0 ? std::popcount(tree_.free_mask(node)) : 0;
        if (ours[i] != 0 && room[i] >= slots) {
            ++full[domain(node)];
        }
    }
    for (auto end = ends_.begin(); end != ends_.end();) {
        const Nanoseconds at = end->first;
        std::optional<int> fits;
        for (; end != ends_.end() && end->first == at; ++end) {
            for (const NodeSlots& piece : job(end->second).held) {
                const auto i = static_cast<std::size_t>(piece.node.value());
                if (ours[i] == 0) {
                    continue;
                }
                const int before = room[i];
                room[i] += std::popcount(piece.slots);
                if (before < slots && room[i] >= slots &&
                    ++full[domain(piece.node)] >= need.nodes) {
                    fits = domain(piece.node);
                }
            }
        }
        if (!fits) {
            continue;
        }
        Promise promise;
        promise.at = std::max(at, now_);
        std::vector<std::pair<int, int>> chosen;  // room, node: the tightest first
        for (std::size_t i = 0; i < nodes; ++i) {
            if (room[i] >= slots && domain(NodeId(static_cast<int>(i))) == *fits) {
                chosen.emplace_back(room[i], static_cast<int>(i));
            }
        }
        std::sort(chosen.begin(), chosen.end());
        for (std::size_t i = 0; i < static_cast<std::size_t>(need.nodes); ++i) {
            promise.spare.emplace_back(NodeId(chosen[i].second), chosen[i].first - slots);
        }
        return promise;
    }
    return std::nullopt;
}

// Sets aside what the promise needs of the slots that are free now.
void Core::State::keep(Promise& promise) {
    promise.kept.clear();
    for (const auto& [node, spare] : promise.spare) {
        std::uint64_t kept = tree_.free_mask(node);
        for (int i = 0; i < spare && kept != 0; ++i) {
            kept &= kept - 1;
        }
        if (kept != 0) {
            promise.kept.push_back({node, kept});
        }
    }
    tree_.hold(promise.kept, pinned_level);
}

void Core::State::backfill(JobIndex head, Promise& promise) {
    struct Cursor {
        std::set<QueueKey>::iterator at;
        Queue* queue;
        HeadKey key;
        bool long_ones = true;   // may one that ends after the promise still fit?
        bool short_ones = true;  // and one that ends before?
    };
    std::vector<Cursor> cursors;
    for (Queue& queue : queues_) {
        // With windows coming, others may fit where the first may not.
        if (!queue.pending.empty() &&
            (!windows_.empty() || fits_now(std::get<3>(*queue.pending.begin())))) {
            const auto first = queue.pending.begin();
            cursors.push_back({first, &queue, head_key(queue, *first)});
        }
    }
    keep(promise);
    while (!cursors.empty()) {
        const auto first =
            std::min_element(cursors.begin(), cursors.end(), [](const Cursor& a, const Cursor& b) {
                return a.key < b.key;
            });
        const JobIndex index = std::get<3>(*first->at);
        ++first->at;
        const bool in_time = ends_before(job(index), promise);
        if (index != head && (in_time ? first->short_ones : first->long_ones)) {
            const bool started =
                within_limit(*first->queue) && try_start_within(index, promise, in_time);
            if (!started && windows_.empty()) {
                first->long_ones = false;
                first->short_ones = first->short_ones && !in_time;
            }
        }
        if (first->at == first->queue->pending.end() || !first->short_ones) {
            cursors.erase(first);
        } else {
            first->key = head_key(*first->queue, *first->at);
        }
    }
    tree_.release(promise.kept, pinned_level);
}

// What a job takes of the nodes that the promise has slots to spare on.
void Core::State::use_up_spare(Promise& promise, const Allocation& taken) {
    for (auto& [node, spare] : promise.spare) {
        for (const NodeSlots& piece : taken) {
            spare -= piece.node == node ? std::popcount(piece.slots) : 0;
        }
    }
}

bool Core::State::try_start_within(JobIndex index, Promise& promise, bool may_use_kept) {
    const auto& needs = class_of(job(index)).needs;
    for (const PoolNeed& need : needs) {
        if (auto where = find_for(job(index), need)) {
            if (!may_use_kept) {  // it is still there at the promised moment
                use_up_spare(promise, *where);
            }
            start(index, *std::move(where));
            return true;
        }
    }
    if (!may_use_kept || promise.kept.empty()) {
        return false;
    }
    tree_.release(promise.kept, pinned_level);
    promise.kept.clear();
    bool started = false;
    for (const PoolNeed& need : needs) {
        if (auto where = find_for(job(index), need)) {
            start(index, *std::move(where));
            started = true;
            break;
        }
    }
    keep(promise);
    return started;
}

}  // namespace mpitrain::scheduler
