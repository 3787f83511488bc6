// Whom to preempt for a gang: the fewest slots of those with the worst level.
#include <algorithm>
#include <bit>
#include <set>

#include "choose_leaves.hpp"
#include "core_state.hpp"
#include "mpitrain/base/assert.hpp"

namespace mpitrain::scheduler {
namespace {

// How many nodes are weighed against each other for a job that shares one. They are those with the
// most free slots, so more of them hardly change the answer.
constexpr std::size_t nodes_weighed_max = 64;

}  // namespace

// A job may preempt all of a worse level. Among the ways to make room, the one that stops the
// fewest slots is taken: stopping a large job for a small one leaves the rest of its slots idle.
// With accounts, what is beyond somebody's due goes before all that is not.
std::optional<Core::State::Plan> Core::State::plan_preemption(JobIndex index) const {
    const int level = asked_level(job(index));
    if (level < policy_levels_ - 1 && accounts_.reclaims()) {
        if (auto plan = plan_preemption(index, policy_levels_ - 1)) {
            return plan;
        }
    }
    return plan_preemption(index, level);
}

std::optional<Core::State::Plan> Core::State::plan_preemption(JobIndex index, int level) const {
    const Job& one = job(index);
    std::optional<Plan> best;
    for (const PoolNeed& need : class_of(one).needs) {
        if (!tree_.can_reach(need, level)) {
            continue;
        }
        auto plan =
            need.nodes == 1 ? plan_one_node(one, need, level) : plan_whole_nodes(one, need, level);
        if (plan && (!best || plan->cost < best->cost)) {
            best = std::move(plan);
        }
    }
    return best;
}

// The nodes on which a job could have its part, were all above `level` preempted.
std::vector<NodeId> Core::State::reachable(const Job& one, const PoolNeed& need, int level) const {
    if (need.nodes == 1 && !is_restricted(one)) {
        return tree_.reachable_one(need, level, nodes_weighed_max);
    }
    auto found = tree_.reachable_nodes(need, level);
    if (is_restricted(one)) {
        std::erase_if(found, [&](NodeId node) { return !may_use(one, node); });
    }
    return found;
}

// What a preemption costs: the slots that stop, times the run time they lose, in units of what it
// costs to stop and start. A gang's weigh everywhere it runs.
double Core::State::cost(JobIndex victim) const {
    const Job& one = job(victim);
    const Nanoseconds lost = std::min(now_ - one.durable, one.request.checkpoint_every);
    const double runs =
        1 + static_cast<double>(lost.count()) / static_cast<double>(preemption_cost_.count());
    return slot_count(one.held) * runs;
}

// Whom a job at `level` may preempt on a node, the worst level first, then the shortest in its run.
std::vector<Core::State::JobIndex> Core::State::victims_on(NodeId node, int level) const {
    std::vector<JobIndex> found;
    for (const JobIndex index : on_node_[static_cast<std::size_t>(node.value())]) {
        const Job& one = job(index);
        if (one.state == GangState::running && level_of(one) > level) {
            found.push_back(index);
        }
    }
    std::stable_sort(found.begin(), found.end(), [this](JobIndex a, JobIndex b) {
        const Job& x = job(a);
        const Job& y = job(b);
        return std::tuple(-level_of(x), -x.started) < std::tuple(-level_of(y), -y.started);
    });
    return found;
}

namespace {

std::uint64_t slots_on(const Allocation& held, NodeId node) {
    for (const NodeSlots& piece : held) {
        if (piece.node == node) {
            return piece.slots;
        }
    }
    return 0;
}

}  // namespace

// The victims on one node that stop the fewest slots, of two kinds: as many as it takes from the
// worst level on, without those that turn out not to be needed; or a single one that suffices.
std::vector<Core::State::JobIndex> Core::State::victims_for(NodeId node,
                                                            int slots,
                                                            int level) const {
    const auto all = victims_on(node, level);
    int room = std::popcount(tree_.free_mask(node));
    const int lacking = slots - room;
    std::vector<JobIndex> several;
    JobIndex single = nobody;
    for (const JobIndex victim : all) {
        const int gives = std::popcount(slots_on(job(victim).held, node));
        if (room < slots) {
            room += gives;
            several.push_back(victim);
        }
        if (gives >= lacking && (single == nobody || cost(victim) < cost(single))) {
            single = victim;
        }
    }
    double sum = 0;
    for (auto victim = several.rbegin(); victim != several.rend(); ++victim) {
        const int gives = std::popcount(slots_on(job(*victim).held, node));
        if (room - gives >= slots) {
            room -= gives;
            *victim = nobody;
        } else {
            sum += cost(*victim);
        }
    }
    std::erase(several, nobody);
    return single != nobody && cost(single) < sum ? std::vector{single} : several;
}

std::optional<Core::State::Plan> Core::State::plan_one_node(const Job& one,
                                                            const PoolNeed& need,
                                                            int level) const {
    std::optional<Plan> best;
    for (const NodeId node : reachable(one, need, level)) {
        auto victims = victims_for(node, need.slots, level);
        double sum = 0;
        std::uint64_t open = tree_.free_mask(node);
        for (const JobIndex victim : victims) {
            sum += cost(victim);
            open |= slots_on(job(victim).held, node);
        }
        if (!best || sum < best->cost) {
            best = Plan{{{node, tree_.pick_slots(need, open)}}, std::move(victims), sum};
        }
    }
    return best;
}

std::optional<Core::State::Plan> Core::State::plan_whole_nodes(const Job& one,
                                                               const PoolNeed& need,
                                                               int level) const {
    struct Candidate {
        double cost;
        NodeId node;
        bool operator<(const Candidate& other) const {
            return std::tie(cost, node) < std::tie(other.cost, other.node);
        }
    };
    std::map<int, std::vector<Candidate>> by_leaf;
    for (const NodeId node : reachable(one, need, level)) {
        double sum = 0;
        for (const JobIndex victim : victims_on(node, level)) {
            sum += cost(victim);
        }
        by_leaf[tree_.leaf_of(node)].push_back({sum, node});
    }
    const int unit = std::max(need.slice_nodes, 1);
    std::vector<LeafRoom> rooms;
    std::vector<LeafShare> shares;
    double cheapest = 0;
    for (auto& [leaf, candidates] : by_leaf) {
        std::sort(candidates.begin(), candidates.end());
        const int room = static_cast<int>(candidates.size()) / unit;
        if (room > 0) {
            rooms.push_back({leaf, tree_.block_of(candidates.front().node), room});
        }
        if (room * unit < need.nodes) {
            continue;
        }
        double sum = 0;
        for (int i = 0; i < need.nodes; ++i) {
            sum += candidates[static_cast<std::size_t>(i)].cost;
        }
        if (shares.empty() || sum < cheapest) {  // one leaf is enough: the cheapest such
            shares = {{leaf, need.nodes / unit}};
            cheapest = sum;
        }
    }
    if (shares.empty()) {
        shares = choose_leaves(rooms, need.nodes / unit, need.within);
    }
    if (shares.empty()) {
        return std::nullopt;
    }
    Plan plan;
    std::set<JobIndex> victims;
    for (const LeafShare& share : shares) {
        const auto& candidates = by_leaf.at(share.leaf);
        for (std::size_t i = 0; i < static_cast<std::size_t>(share.count * unit); ++i) {
            std::uint64_t slots = tree_.free_mask(candidates[i].node);
            for (const JobIndex victim : victims_on(candidates[i].node, level)) {
                slots |= slots_on(job(victim).held, candidates[i].node);
                victims.insert(victim);
            }
            plan.where.push_back({candidates[i].node, slots});
        }
    }
    plan.victims.assign(victims.begin(), victims.end());
    for (const JobIndex victim : victims) {
        plan.cost += cost(victim);
    }
    return plan;
}

// The victims' slots go to the gang at once in the books, so that nobody else can take them; the
// gang starts when the last of them has ended. What it does not take stays theirs until then.
void Core::State::claim(JobIndex index, Plan plan) {
    dequeue(index);
    job(index).waits_for = static_cast<int>(plan.victims.size());
    job(index).state = GangState::claiming;
    for (const JobIndex victim : plan.victims) {
        Job& one = job(victim);
        touch(one.held);
        tree_.release(one.held, level_of(one));
        for (const NodeSlots& piece : one.held) {
            std::erase(on_node_[static_cast<std::size_t>(piece.node.value())], victim);
        }
    }
    for (const JobIndex victim : plan.victims) {
        Job& one = job(victim);
        one.claimant = index;
        Allocation rest;
        for (const NodeSlots& piece : one.held) {
            const std::uint64_t left = piece.slots & ~slots_on(plan.where, piece.node);
            if (left != 0) {
                rest.push_back({piece.node, left});
                on_node_[static_cast<std::size_t>(piece.node.value())].push_back(victim);
            }
        }
        tree_.hold(rest, level_of(one));  // until stop() puts it out of reach
        ends_.erase({expected_end(one), victim});
        one.held = std::move(rest);
        stop(victim, StopReason::preempted);
    }
    take(index, std::move(plan.where));
    if (plan.victims.empty()) {
        run(index);
    }
}

}  // namespace mpitrain::scheduler
