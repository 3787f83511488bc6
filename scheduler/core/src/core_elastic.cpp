// Elastic gangs: they start with what there is, and grow where nobody waits. A gang changes its
// size by ending and starting again, as a training program does it from its checkpoint.
#include <algorithm>

#include "core_state.hpp"

namespace mpitrain::scheduler {
namespace {

// A gang runs at least so long before it is stopped to grow: restarts cost, and what is idle now
// may be wanted at once.
constexpr Nanoseconds grow_after = std::chrono::minutes(30);

}  // namespace

// Smaller sizes, the largest first: fewer whole nodes or slices, or halves of a part of a node.
std::vector<std::vector<PoolNeed>> Core::State::smaller_sizes(
    const GangShape& shape, const std::vector<PoolNeed>& needs) const {
    std::vector<std::vector<PoolNeed>> sizes;
    if (shape.min_slots == 0 || policy_->plans()) {
        return sizes;
    }
    const int unit = std::max(shape.slice_nodes, 1);
    for (GangShape smaller = shape; !needs.empty();) {
        const int per_node = tree_.slots_of(needs.front());
        smaller.slots = smaller.slots > per_node
                            ? (smaller.slots - 1) / (per_node * unit) * per_node * unit
                            : smaller.slots / 2;
        if (smaller.slots < std::max(shape.min_slots, 1)) {
            break;
        }
        auto fits = tree_.needs(smaller, allowed_nodes(*cluster_, shape));
        std::erase_if(fits, [&](const PoolNeed& need) { return need.pool != needs.front().pool; });
        if (!fits.empty()) {
            sizes.push_back(std::move(fits));
        }
    }
    return sizes;
}

// The largest size that is free now. A smaller one fits where a larger one does.
bool Core::State::start_smaller(JobIndex index) {
    const auto& sizes = class_of(job(index)).sizes;
    const int account = account_of(job(index));
    const auto fits = [&](const std::vector<PoolNeed>& needs) {
        return std::any_of(needs.begin(), needs.end(), [&](const PoolNeed& need) {
            return accounts_.within_limit(account, need.nodes * need.slots) &&
                   find_for(job(index), need).has_value();
        });
    };
    const auto first = std::partition_point(
        sizes.begin(), sizes.end(), [&](const auto& needs) { return !fits(needs); });
    return first != sizes.end() && start_in_free(index, *first);
}

// The share of its full speed at which it runs: that of its slots.
double Core::State::pace(const Job& one) {
    const int slots = slot_count(one.held);
    return one.request.shape.min_slots == 0 || slots == 0
               ? 1
               : std::min(1.0, static_cast<double>(slots) / one.request.shape.slots);
}

// Run time since it started, as if at full speed.
Nanoseconds Core::State::attained_since(const Job& one) const {
    const Nanoseconds ran = now_ - one.started;
    return one.request.shape.min_slots == 0 ? ran
                                            : Nanoseconds(static_cast<std::int64_t>(
                                                  static_cast<double>(ran.count()) * pace(one)));
}

// Whether a larger size would be free, were its own slots.
bool Core::State::could_grow(const Job& one) {
    const int has = slot_count(one.held);
    tree_.release(one.held, held_level(one));
    const auto grows = [&](const std::vector<PoolNeed>& needs) {
        return std::any_of(needs.begin(), needs.end(), [&](const PoolNeed& need) {
            const int slots = need.nodes * need.slots;
            return slots > has && accounts_.within_limit(account_of(one), slots - has) &&
                   find_for(one, need).has_value();
        });
    };
    const ShapeClass& shape = class_of(one);
    const bool could =
        grows(shape.needs) || std::any_of(shape.sizes.begin(), shape.sizes.end(), grows);
    tree_.hold(one.held, held_level(one));
    return could;
}

// Nobody waits: one that runs with fewer slots than it wants is stopped, to take what is idle.
void Core::State::grow() {
    grow_at_ = never;
    for (const JobIndex index : elastic_) {
        const Job& one = job(index);
        if (one.state != GangState::running) {
            continue;
        }
        if (one.started + grow_after > now_) {
            grow_at_ = std::min(grow_at_, one.started + grow_after);
        } else if (could_grow(one)) {
            ends_.erase({expected_end(one), index});
            stop(index, StopReason::grown);
            return;  // one at a time: what the next could have is known when this one has started
        }
    }
}

}  // namespace mpitrain::scheduler
