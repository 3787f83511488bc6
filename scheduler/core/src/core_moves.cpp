// Defragmentation: which small jobs to move so that a gang finds whole nodes, where all that it
// lacks is that the free slots lie together.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core_state.hpp"

namespace mpitrain::scheduler {

// Nodes that can be cleared by moving jobs that run on them alone, with what that costs.
std::vector<std::pair<double, NodeId>> Core::State::clearable(const Job& one,
                                                              const PoolNeed& need) const {
    std::vector<std::pair<double, NodeId>> found;
    for (std::size_t i = 0; i < on_node_.size(); ++i) {
        const NodeId node(static_cast<int>(i));
        if (!tree_.in_pool(node, need.pool) || !may_use(one, node)) {
            continue;
        }
        double sum = 0;
        const bool movable =
            std::all_of(on_node_[i].begin(), on_node_[i].end(), [&](JobIndex index) {
                const Job& other = job(index);
                sum += cost(index);
                return other.state == GangState::running && other.request.preemptible &&
                       other.held.size() == 1;
            });
        if (movable) {
            found.emplace_back(sum, node);
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

std::optional<Core::State::Relocation> Core::State::plan_moves(const Job& one,
                                                               const PoolNeed& need) const {
    const auto wanted = static_cast<std::size_t>(need.nodes);
    // Of each domain the cheapest nodes; the domain in which they are cheapest.
    std::map<int, std::pair<double, std::vector<NodeId>>> domains;
    for (const auto& [price, node] : clearable(one, need)) {
        const int domain = need.within <= Level::leaf    ? tree_.leaf_of(node)
                           : need.within == Level::block ? tree_.block_of(node)
                                                         : 0;
        auto& [sum, nodes] = domains[domain];
        if (nodes.size() < wanted) {
            sum += price;
            nodes.push_back(node);
        }
    }
    const std::pair<double, std::vector<NodeId>>* best = nullptr;
    for (const auto& [domain, entry] : domains) {
        if (entry.second.size() == wanted && (best == nullptr || entry.first < best->first)) {
            best = &entry;
        }
    }
    if (best == nullptr || need.slice_nodes > 0) {
        return std::nullopt;
    }
    std::vector<NodeId> nodes = best->second;
    std::sort(nodes.begin(), nodes.end());
    ClusterTree scratch = tree_;
    Relocation found{.plan = {.where = {}, .victims = {}, .cost = best->first}, .moves = {}};
    for (const NodeId node : nodes) {
        scratch.close(node);
        const auto& here = on_node_[static_cast<std::size_t>(node.value())];
        found.plan.victims.insert(found.plan.victims.end(), here.begin(), here.end());
        const int slots = tree_.slots_of(node);
        found.plan.where.push_back(
            {node, slots == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << slots) - 1});
    }
    std::vector<JobIndex> largest_first = found.plan.victims;
    std::stable_sort(largest_first.begin(), largest_first.end(), [this](JobIndex a, JobIndex b) {
        return slot_count(job(a).held) > slot_count(job(b).held);
    });
    for (const JobIndex victim : largest_first) {
        const Job& moved = job(victim);
        std::optional<Allocation> to;
        for (const PoolNeed& its : class_of(moved).needs) {
            to = to ? to : scratch.find(its);
        }
        if (!to) {
            return std::nullopt;
        }
        scratch.hold(*to, pinned_level);
        found.moves.push_back({moved.request.job, moved.held, *std::move(to)});
    }
    return found;
}

Result<std::vector<Move>> Core::State::propose_moves(JobId id) const {
    MPITRAIN_TRY_VOID(check_known(id));
    const Job& one = job(known_.at(id));
    if (one.state == GangState::pending) {
        for (const PoolNeed& need : class_of(one).needs) {
            if (auto found = plan_moves(one, need); found && need.slots == tree_.slots_of(need)) {
                return std::move(found->moves);
            }
        }
    }
    return Error(ErrorCode::unsatisfiable, fmt::format("no moves make room for job {}", id.value()))
        .mend("wait until some of those that run have ended");
}

void Core::State::apply(const Consolidated& event) {
    const JobIndex index = known_.at(event.job);
    if (job(index).state != GangState::pending) {
        return;
    }
    for (const PoolNeed& need : class_of(job(index)).needs) {
        if (need.slots != tree_.slots_of(need)) {
            continue;
        }
        if (auto found = plan_moves(job(index), need)) {
            claim(index, std::move(found->plan));
            changed_ = true;
            return;
        }
    }
}

}  // namespace mpitrain::scheduler
