// Whom to preempt for a gang: the fewest slots of those with the worst level.
#include <algorithm>
#include <bit>
#include <set>

#include "choose_leaves.hpp"
#include "core_state.hpp"
#include "mpitrain/base/assert.hpp"

namespace mpitrain::scheduler {
namespace {

// How many nodes are weighed against each other for a job that shares one. They are those that come
// nearest to fitting, so more of them hardly change the answer.
constexpr std::size_t nodes_weighed_max = 32;

}  // namespace

// The gang of one level may preempt all worse ones. The worst level that suffices is found first,
// so that a job of a better one is never preempted where one of a worse could be.
std::optional<Core::State::Plan> Core::State::plan_preemption(JobIndex index) const {
    const Job& one = job(index);
    for (const PoolNeed& need : classes_[static_cast<std::size_t>(one.shape_class)].needs) {
        if (!tree_.can_reach(need, one.standing.level)) {
            continue;
        }
        for (int level = tree_.levels() - 1; level >= one.standing.level; --level) {
            if (!tree_.can_reach(need, level)) {
                continue;
            }
            if (need.nodes == 1) {
                return plan_one_node(need, level);
            }
            if (auto plan = plan_whole_nodes(need, level)) {
                return plan;
            }
        }
    }
    return std::nullopt;
}

// What a preemption costs: the slots that stop. A gang's weigh everywhere it runs.
double Core::State::cost(JobIndex victim) const {
    return slot_count(job(victim).held);
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

Core::State::Plan Core::State::plan_one_node(const PoolNeed& need, int level) const {
    Plan best;
    double best_cost = 0;
    for (const NodeId node : tree_.reachable(need, level, nodes_weighed_max)) {
        std::vector<JobIndex> chosen;
        int room = std::popcount(tree_.free_mask(node));
        for (const JobIndex victim : victims_on(node, level)) {
            if (room >= need.slots) {
                break;
            }
            room += std::popcount(slots_on(job(victim).held, node));
            chosen.push_back(victim);
        }
        // Whoever turned out not to be needed is let go again.
        std::erase_if(chosen, [&](JobIndex victim) {
            const int slots = std::popcount(slots_on(job(victim).held, node));
            const bool spare = room - slots >= need.slots;
            room -= spare ? slots : 0;
            return spare;
        });
        double sum = 0;
        std::uint64_t open = tree_.free_mask(node);
        for (const JobIndex victim : chosen) {
            sum += cost(victim);
            open |= slots_on(job(victim).held, node);
        }
        if (best.where.empty() || sum < best_cost) {
            best_cost = sum;
            best.victims = std::move(chosen);
            best.where = {{node, ClusterTree::pick_slots(open, need.slots, tree_.slots_of(node))}};
        }
    }
    MPITRAIN_ASSERT(!best.where.empty());
    return best;
}

std::optional<Core::State::Plan> Core::State::plan_whole_nodes(const PoolNeed& need,
                                                               int level) const {
    struct Candidate {
        double cost;
        NodeId node;
        bool operator<(const Candidate& other) const {
            return std::tie(cost, node) < std::tie(other.cost, other.node);
        }
    };
    std::map<int, std::vector<Candidate>> by_leaf;
    for (const NodeId node : tree_.reachable(need, level, 0)) {
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
        tree_.hold(rest, pinned_level);
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
