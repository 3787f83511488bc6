#include "mpitrain/scheduler/choose_slots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <tuple>

#include "partition.hpp"
#include "slot_graph.hpp"

namespace mpitrain::scheduler {
namespace {

Result<SlotGraph> graph_of(const NodeTopology& node, const std::vector<SlotId>& slots) {
    std::vector<SlotId> sorted = slots;
    std::sort(sorted.begin(), sorted.end());
    const bool repeated = std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end();
    const bool known = std::all_of(sorted.begin(), sorted.end(), [&node](SlotId id) {
        return id.value() >= 0 && static_cast<std::size_t>(id.value()) < node.slots.size();
    });
    if (repeated || !known) {
        return Error(ErrorCode::invalid_argument, "a slot is named twice or does not exist")
            .at(node.host);
    }
    return SlotGraph(node, std::move(sorted));
}

// What is looked at before the rest of the node is; larger is better.
using Inside = std::tuple<std::int64_t, std::int64_t, int, int>;
Inside score_inside(const SlotGraph& graph, const std::vector<int>& vertices) {
    return {graph.weakest_link(vertices),
            graph.weight_within(vertices),
            -graph.numa_count(vertices),
            graph.nic_count(vertices)};
}

// True when a's vertex numbers come first. Of two sets of equal size the one that holds the lowest
// vertex in which they differ.
bool lower(Mask a, Mask b) {
    const Mask difference = a ^ b;
    return (a & difference & (~difference + 1)) != 0;
}

std::vector<int> choose_exactly(const SlotGraph& graph, int count) {
    const Mask all = static_cast<Mask>((std::uint64_t{1} << graph.size()) - 1);
    Inside best_inside;
    std::vector<Mask> tied;
    for (Mask mask = 1; mask <= all; ++mask) {
        if (std::popcount(mask) != count) {
            continue;
        }
        const Inside inside = score_inside(graph, vertices_of(mask));
        if (tied.empty() || inside > best_inside) {
            best_inside = inside;
            tied.clear();
        }
        if (inside == best_inside) {
            tied.push_back(mask);
        }
    }
    if (tied.size() == 1) {
        return vertices_of(tied.front());
    }
    // A job of one GPU leaves pairs worth keeping, too: single slots have no links to compare.
    BestPartition partition(graph, std::max(count, 2));
    std::tuple<std::int64_t, std::int64_t> best_rest{-1, -1};
    Mask best = 0;
    for (const Mask mask : tied) {
        const Mask rest = all & ~mask;
        const std::tuple score{partition.value(rest), graph.weight_within(vertices_of(rest))};
        if (score > best_rest || (score == best_rest && lower(mask, best))) {
            best_rest = score;
            best = mask;
        }
    }
    return vertices_of(best);
}

using Score = std::tuple<Inside, std::int64_t>;
Score score_of(const SlotGraph& graph, const std::vector<int>& chosen) {
    std::vector<int> rest;
    for (int vertex = 0; vertex < graph.size(); ++vertex) {
        if (std::find(chosen.begin(), chosen.end(), vertex) == chosen.end()) {
            rest.push_back(vertex);
        }
    }
    return {score_inside(graph, chosen), graph.weight_within(rest)};
}

// Adds to `seed`, again and again, the vertex that keeps the weakest link strongest, then adds most
// weight.
std::vector<int> grow_from(const SlotGraph& graph, int seed, int count) {
    std::vector<int> chosen{seed};
    while (static_cast<int>(chosen.size()) < count) {
        std::tuple<std::int64_t, std::int64_t> best_gain{-1, -1};
        int best = -1;
        for (int vertex = 0; vertex < graph.size(); ++vertex) {
            if (std::find(chosen.begin(), chosen.end(), vertex) != chosen.end()) {
                continue;
            }
            std::int64_t weakest = std::numeric_limits<std::int64_t>::max();
            std::int64_t sum = 0;
            for (const int member : chosen) {
                weakest = std::min(weakest, SlotGraph::link_of(graph.weight(vertex, member)));
                sum += graph.weight(vertex, member);
            }
            if (std::tuple(weakest, sum) > best_gain) {
                best_gain = {weakest, sum};
                best = vertex;
            }
        }
        chosen.push_back(best);
    }
    return chosen;
}

// Makes the best single swap of a chosen for a free vertex. False when none improves.
bool improve(const SlotGraph& graph, std::vector<int>& chosen) {
    Score best_score = score_of(graph, chosen);
    std::vector<int> best;
    for (std::size_t position = 0; position < chosen.size(); ++position) {
        for (int vertex = 0; vertex < graph.size(); ++vertex) {
            if (std::find(chosen.begin(), chosen.end(), vertex) != chosen.end()) {
                continue;
            }
            std::vector<int> candidate = chosen;
            candidate[position] = vertex;
            const Score score = score_of(graph, candidate);
            if (score > best_score) {
                best_score = score;
                best = std::move(candidate);
            }
        }
    }
    if (best.empty()) {
        return false;
    }
    chosen = std::move(best);
    return true;
}

std::vector<int> choose_nearly(const SlotGraph& graph, int count) {
    std::vector<int> chosen = grow_from(graph, 0, count);
    for (int seed = 1; seed < graph.size(); ++seed) {
        std::vector<int> candidate = grow_from(graph, seed, count);
        if (score_of(graph, candidate) > score_of(graph, chosen)) {
            chosen = std::move(candidate);
        }
    }
    for (int swap = 0; swap < 4 * count && improve(graph, chosen); ++swap) {
    }
    return chosen;
}

}  // namespace

Result<std::vector<SlotId>> choose_slots(const NodeTopology& node,
                                         const std::vector<SlotId>& free,
                                         int count) {
    MPITRAIN_TRY(const SlotGraph graph, graph_of(node, free));
    if (count < 1 || count > graph.size()) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("cannot choose {} of {} slots", count, graph.size()))
            .at(node.host);
    }
    if (count == graph.size()) {
        std::vector<int> all(static_cast<std::size_t>(count));
        std::iota(all.begin(), all.end(), 0);
        return graph.ids(all);
    }
    return graph.ids(free.size() <= exact_slots_max ? choose_exactly(graph, count)
                                                    : choose_nearly(graph, count));
}

Result<std::vector<std::vector<SlotId>>> divide_slots(const NodeTopology& node,
                                                      const std::vector<SlotId>& slots,
                                                      int size) {
    MPITRAIN_TRY(const SlotGraph graph, graph_of(node, slots));
    if (size < 1 || graph.size() % size != 0) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("{} slots do not divide into sets of {}", graph.size(), size))
            .at(node.host);
    }
    std::vector<std::vector<SlotId>> sets;
    if (size == 1) {
        for (int vertex = 0; vertex < graph.size(); ++vertex) {
            sets.push_back({graph.id(vertex)});
        }
        return sets;
    }
    if (slots.size() <= exact_slots_max) {
        BestPartition partition(graph, size);
        for (const Mask group :
             partition.groups(static_cast<Mask>((std::uint64_t{1} << graph.size()) - 1))) {
            sets.push_back(graph.ids(vertices_of(group)));
        }
        return sets;
    }
    // Too many to search: the best set of what is left, again and again.
    std::vector<SlotId> left = slots;
    while (!left.empty()) {
        MPITRAIN_TRY(const std::vector<SlotId> set, choose_slots(node, left, size));
        std::erase_if(left,
                      [&set](SlotId id) { return std::binary_search(set.begin(), set.end(), id); });
        sets.push_back(set);
    }
    std::sort(sets.begin(), sets.end());
    return sets;
}

}  // namespace mpitrain::scheduler
