// Whom to preempt for a gang: the fewest slots of those with the worst level.
#include <algorithm>
#include <bit>
#include <map>
#include <queue>
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
    const ShapeClass& shape = class_of(job(index));
    const auto& needs = shape.sizes.empty() ? shape.needs : shape.sizes.back();  // the smallest
    if (level < policy_levels_ - 1 && accounts_.reclaims()) {
        if (auto plan = plan_preemption(index, needs, policy_levels_ - 1)) {
            return plan;
        }
    }
    return plan_preemption(index, needs, level);
}

std::optional<Core::State::Plan> Core::State::plan_preemption(JobIndex index,
                                                              const std::vector<PoolNeed>& needs,
                                                              int level) const {
    const Job& one = job(index);
    std::optional<Plan> best;
    for (const PoolNeed& need : needs) {
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
    // An elastic one starts again at once with fewer: it goes before those that would wait.
    return slot_count(one.held) * runs * (one.request.shape.min_slots > 0 ? 0.5 : 1);
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

// Which `count` of these nodes to clear so that what stops costs the least, near enough: the
// cheapest first, where a gang that stops for one of its nodes costs nothing more on the others.
// O(nodes log nodes + victims on them).
Core::State::Clearing Core::State::clear_cheapest(const std::vector<NodeId>& nodes,
                                                  std::size_t count,
                                                  int level) const {
    std::map<NodeId, std::vector<JobIndex>> on;
    std::priority_queue<std::pair<double, NodeId>,
                        std::vector<std::pair<double, NodeId>>,
                        std::greater<>>
        queue;
    Clearing found;
    const auto price = [&](NodeId node) {
        double sum = 0;
        for (const JobIndex victim : on.at(node)) {
            sum += found.victims.contains(victim) ? 0 : cost(victim);
        }
        return sum;
    };
    for (const NodeId node : nodes) {
        on.emplace(node, victims_on(node, level));
        queue.emplace(price(node), node);
    }
    while (found.nodes.size() < count && !queue.empty()) {
        const auto [sum, node] = queue.top();
        queue.pop();
        if (!on.contains(node)) {
            continue;  // it is among them already
        }
        if (const double less = price(node); less < sum) {  // others on it are to stop anyway
            queue.emplace(less, node);
            continue;
        }
        found.nodes.push_back(node);
        found.cost += sum;
        const std::vector<JobIndex> here = on.at(node);
        on.erase(node);
        for (const JobIndex victim : here) {
            found.victims.insert(victim);
        }
        for (const JobIndex victim : here) {
            for (const NodeSlots& piece : job(victim).held) {
                if (on.contains(piece.node)) {
                    queue.emplace(price(piece.node), piece.node);
                }
            }
        }
    }
    std::sort(found.nodes.begin(), found.nodes.end());
    return found;
}

// By domain, the smallest that holds the gang: of the leaves that do alone, the one in which the
// least is lost; else as choose_leaves divides it over them, the cheapest nodes of each.
std::optional<Core::State::Plan> Core::State::plan_whole_nodes(const Job& one,
                                                               const PoolNeed& need,
                                                               int level) const {
    std::map<int, std::vector<NodeId>> by_leaf;
    for (const NodeId node : reachable(one, need, level)) {
        by_leaf[tree_.leaf_of(node)].push_back(node);
    }
    const int unit = std::max(need.slice_nodes, 1);
    std::vector<LeafRoom> rooms;
    std::optional<Clearing> best;
    for (const auto& [leaf, nodes] : by_leaf) {
        const int room = static_cast<int>(nodes.size()) / unit;
        if (room > 0) {
            rooms.push_back({leaf, tree_.block_of(nodes.front()), room});
        }
        if (room * unit >= need.nodes) {
            auto clearing = clear_cheapest(nodes, static_cast<std::size_t>(need.nodes), level);
            if (!best || clearing.cost < best->cost) {
                best = std::move(clearing);
            }
        }
    }
    if (!best) {
        best.emplace();
        for (const LeafShare& share : choose_leaves(rooms, need.nodes / unit, need.within)) {
            auto part = clear_cheapest(
                by_leaf.at(share.leaf), static_cast<std::size_t>(share.count * unit), level);
            best->nodes.insert(best->nodes.end(), part.nodes.begin(), part.nodes.end());
            best->victims.insert(part.victims.begin(), part.victims.end());
        }
    }
    if (best->nodes.empty()) {
        return std::nullopt;
    }
    Plan plan;
    for (const NodeId node : best->nodes) {
        std::uint64_t slots = tree_.free_mask(node);
        for (const JobIndex victim : victims_on(node, level)) {
            slots |= slots_on(job(victim).held, node);
        }
        plan.where.push_back({node, slots});
    }
    plan.victims.assign(best->victims.begin(), best->victims.end());
    for (const JobIndex victim : plan.victims) {
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
