// Conservative backfill: the first `bookings_max` jobs that wait are all promised the nodes and the
// moment at which they will start, by what is expected of those before them. A promise is moved
// only to an earlier moment, as long as nothing runs longer than was said; the rest start where
// they are in no promise's way.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <unordered_map>

#include "choose_leaves.hpp"
#include "core_state.hpp"

namespace mpitrain::scheduler {
namespace {

constexpr std::size_t bookings_max = 64;
constexpr int window_owner = -2;

}  // namespace

void Core::State::touch(NodeId node) {
    const auto number = static_cast<std::size_t>(node.value());
    if (timeline_ && stale_[number] == 0) {
        stale_[number] = 1;
        stale_nodes_.push_back(node);
    }
}

void Core::State::touch(const Allocation& allocation) {
    for (const NodeSlots& piece : allocation) {
        touch(piece.node);
    }
}

void Core::State::drop_plans() {
    promised_.reset();
    planned_ = false;
}

// Brings the timeline up to date. O(slots of the nodes on which something changed).
void Core::State::refresh_timeline() {
    if (!timeline_) {
        timeline_.emplace(on_node_.size());
        stale_.assign(on_node_.size(), 0);
        for (std::size_t i = 0; i < on_node_.size(); ++i) {
            touch(NodeId(static_cast<int>(i)));
        }
    }
    for (const NodeId node : stale_nodes_) {
        const auto number = static_cast<std::size_t>(node.value());
        stale_[number] = 0;
        std::vector<Timeline::Release> releases;
        for (const JobIndex index : on_node_[number]) {
            const Job& one = job(index);
            const bool runs = one.state == GangState::running;
            for (const NodeSlots& piece : one.held) {
                if (piece.node == node) {
                    releases.push_back(
                        {runs ? expected_end(one) : now_, std::popcount(piece.slots)});
                }
            }
        }
        std::sort(releases.begin(), releases.end(), [](const auto& a, const auto& b) {
            return a.at < b.at;
        });
        timeline_->set(node, std::popcount(tree_.free_mask(node)), std::move(releases));
        timeline_->withdraw(node, window_owner);
        for (const auto& [name, state] : windows_) {
            if (state.in[number] != 0) {
                timeline_->book(node,
                                {.begin = state.window.begin,
                                 .end = state.window.end,
                                 .slots = tree_.slots_of(node),
                                 .owner = window_owner});
            }
        }
    }
    stale_nodes_.clear();
}

// How long it will run if it starts; the longest there is when nobody said.
Nanoseconds Core::State::length_of(const Job& one) {
    return one.request.estimate ? std::max(*one.request.estimate - one.attained, Nanoseconds(1))
                                : never;
}

bool Core::State::is_candidate(const Job& one, const PoolNeed& need, NodeId node) const {
    const auto number = static_cast<std::size_t>(node.value());
    const std::vector<char>& allowed = class_of(one).allowed;
    return tree_.in_pool(node, need.pool) && down_[number] == 0 &&
           (allowed.empty() || allowed[number] != 0);
}

namespace {

struct Edge {
    Nanoseconds at;
    int leaf;
    int by;  // nodes more or less on which it may start
};

// The first moment at which one domain has enough; edges ascend, of one moment those that add
// first.
struct Sweep {
    const ClusterTree& tree;
    const PoolNeed& need;
    std::unordered_map<int, int> leaf_nodes = {};
    std::unordered_map<int, int> domain_units = {};

    int domain_of(int leaf) const {
        return need.within <= Level::leaf    ? leaf
               : need.within == Level::block ? tree.block_of_leaf(leaf)
                                             : 0;
    }
    // The domain, once it has enough.
    std::optional<int> apply(const Edge& edge) {
        const int unit = std::max(need.slice_nodes, 1);
        int& nodes = leaf_nodes[edge.leaf];
        int& units = domain_units[domain_of(edge.leaf)];
        units -= nodes / unit;
        nodes += edge.by;
        units += nodes / unit;
        return units * unit >= need.nodes ? std::optional(domain_of(edge.leaf)) : std::nullopt;
    }
};

}  // namespace

// When and in which domain it could first start, beside all that is booked.
std::optional<Core::State::Opening> Core::State::first_opening(const Job& one,
                                                               const PoolNeed& need) const {
    const Nanoseconds length = length_of(one);
    std::vector<Edge> edges;
    std::vector<Nanoseconds> lasting;  // first moments of nodes that stay free then
    std::vector<StartSpan> spans;
    for (std::size_t i = 0; i < on_node_.size(); ++i) {
        const NodeId node(static_cast<int>(i));
        if (!is_candidate(one, need, node)) {
            continue;
        }
        spans.clear();
        timeline_->starts(node, need.slots, length, now_, spans);
        for (const StartSpan& span : spans) {
            edges.push_back({span.first, tree_.leaf_of(node), 1});
            if (span.last != never) {
                edges.push_back({span.last + Nanoseconds(1), tree_.leaf_of(node), -1});
            } else {
                lasting.push_back(span.first);
            }
        }
    }
    const auto wanted = static_cast<std::size_t>(need.nodes);
    if (need.within == Level::cluster && need.slice_nodes == 0 && lasting.size() >= wanted) {
        // By then it fits for sure, so nothing later matters.
        std::nth_element(lasting.begin(), lasting.begin() + need.nodes - 1, lasting.end());
        const Nanoseconds bound = lasting[wanted - 1];
        std::erase_if(edges, [&](const Edge& edge) { return edge.at > bound; });
    }
    std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
        return std::tuple(a.at, -a.by) < std::tuple(b.at, -b.by);
    });
    Sweep sweep{tree_, need};
    for (std::size_t i = 0; i < edges.size();) {
        const Nanoseconds at = edges[i].at;
        // Those that end here ended a nanosecond ago: they go first.
        for (std::size_t j = i; j < edges.size() && edges[j].at == at; ++j) {
            if (edges[j].by < 0) {
                sweep.apply(edges[j]);
            }
        }
        std::optional<int> fits;
        for (; i < edges.size() && edges[i].at == at; ++i) {
            if (edges[i].by > 0) {
                const auto domain = sweep.apply(edges[i]);
                fits = fits ? fits : domain;
            }
        }
        if (fits) {
            return Opening{at, *fits};
        }
    }
    return std::nullopt;
}

// The nodes it gets at that moment: as few leaves as will do, as the tree does for those that start
// now.
std::vector<NodeId> Core::State::nodes_at(const Job& one,
                                          const PoolNeed& need,
                                          const Opening& opening) const {
    const Sweep domains{tree_, need};
    const Nanoseconds length = length_of(one);
    std::map<int, std::vector<NodeId>> by_leaf;
    for (std::size_t i = 0; i < on_node_.size(); ++i) {
        const NodeId node(static_cast<int>(i));
        const int leaf = tree_.leaf_of(node);
        if (is_candidate(one, need, node) && domains.domain_of(leaf) == opening.domain &&
            timeline_->may_start(node, need.slots, length, opening.at, now_)) {
            by_leaf[leaf].push_back(node);
            if (need.nodes == 1) {
                break;
            }
        }
    }
    const int unit = std::max(need.slice_nodes, 1);
    std::vector<LeafRoom> rooms;
    for (const auto& [leaf, nodes] : by_leaf) {
        if (static_cast<int>(nodes.size()) / unit > 0) {
            rooms.push_back(
                {leaf, tree_.block_of(nodes.front()), static_cast<int>(nodes.size()) / unit});
        }
    }
    std::vector<NodeId> chosen;
    for (const LeafShare& share : choose_leaves(rooms, need.nodes / unit, need.within)) {
        const auto& nodes = by_leaf.at(share.leaf);
        chosen.insert(chosen.end(), nodes.begin(), nodes.begin() + share.count * unit);
    }
    return chosen;
}

bool Core::State::start_unbooked(JobIndex index) {
    const Job& one = job(index);
    if (!one.request.window.empty()) {
        return try_start(index);
    }
    for (const PoolNeed& need : class_of(one).needs) {
        if (!tree_.find(need)) {
            continue;
        }
        const Nanoseconds length = length_of(one);
        auto where = tree_.find_among(need, [&](NodeId node) {
            return may_use(one, node) && timeline_->may_start(node, need.slots, length, now_, now_);
        });
        if (where) {
            start(index, *std::move(where));
            refresh_timeline();
            return true;
        }
    }
    return false;
}

void Core::State::book(JobIndex index) {
    const Job& one = job(index);
    std::optional<Opening> best;
    const PoolNeed* where = nullptr;
    for (const PoolNeed& need : class_of(one).needs) {
        const auto opening = first_opening(one, need);
        if (opening && (!best || opening->at < best->at)) {
            best = opening;
            where = &need;
        }
    }
    if (!best) {
        return;
    }
    Booking booking{.at = best->at,
                    .end = length_of(one) > never - best->at ? never : best->at + length_of(one),
                    .slots = where->slots,
                    .nodes = nodes_at(one, *where, *best)};
    for (const NodeId node : booking.nodes) {
        timeline_->book(node, {booking.at, booking.end, booking.slots, index});
    }
    bookings_.emplace(index, std::move(booking));
}

void Core::State::withdraw(JobIndex index) {
    const auto found = bookings_.find(index);
    if (found == bookings_.end()) {
        return;
    }
    for (const NodeId node : found->second.nodes) {
        timeline_->withdraw(node, index);
    }
    bookings_.erase(found);
}

// Whether what was promised can still come true.
bool Core::State::is_sound(JobIndex index, const Booking& booking) {
    const Job& one = job(index);
    if (booking.at < now_ || !one.queued) {
        return false;
    }
    for (const NodeId node : booking.nodes) {
        timeline_->withdraw(node, index);
    }
    const bool sound =
        std::all_of(booking.nodes.begin(), booking.nodes.end(), [&](const NodeId node) {
            return down_[static_cast<std::size_t>(node.value())] == 0 &&
                   timeline_->may_start(
                       node, booking.slots, booking.end - booking.at, booking.at, now_);
        });
    for (const NodeId node : booking.nodes) {
        timeline_->book(node, {booking.at, booking.end, booking.slots, index});
    }
    return sound;
}

void Core::State::schedule_conservative() {
    refresh_timeline();
    if (planned_ && newest_ != nobody) {  // nothing but a submission: what was promised stands
        consider(std::exchange(newest_, nobody));
        return;
    }
    newest_ = nobody;
    std::vector<JobIndex> broken;
    for (const auto& [index, booking] : bookings_) {
        if (!is_sound(index, booking)) {
            broken.push_back(index);
        }
    }
    for (const JobIndex index : broken) {
        withdraw(index);
    }
    struct Cursor {
        HeadKey key;
        int queue;
    };
    const auto later = [](const Cursor& a, const Cursor& b) { return a.key > b.key; };
    std::vector<Cursor> cursors;
    for (std::size_t i = 0; i < queues_.size(); ++i) {
        if (!queues_[i].pending.empty()) {
            cursors.push_back(
                {head_key(queues_[i], *queues_[i].pending.begin()), static_cast<int>(i)});
        }
    }
    std::make_heap(cursors.begin(), cursors.end(), later);
    shortest_failed_.assign(classes_.size(), Nanoseconds::max());
    while (!cursors.empty()) {
        std::pop_heap(cursors.begin(), cursors.end(), later);
        const auto [key, number] = cursors.back();
        cursors.pop_back();
        const JobIndex index = std::get<4>(key);
        const auto next =
            queues_[static_cast<std::size_t>(number)].pending.upper_bound(this->key(index));
        const bool more = next != queues_[static_cast<std::size_t>(number)].pending.end();
        if (more) {
            cursors.push_back({head_key(queues_[static_cast<std::size_t>(number)], *next), number});
            std::push_heap(cursors.begin(), cursors.end(), later);
        }
        consider(index);
    }
    planned_ = true;
}

// Starts it if that is in nobody's way, else books it while there are bookings to be had.
void Core::State::consider(JobIndex index) {
    const Job& one = job(index);
    const Queue& queue = queues_[static_cast<std::size_t>(one.queue)];
    const auto shape = static_cast<std::size_t>(queue.shape_class);
    if (!within_limit(queue)) {
        withdraw(index);
        return;
    }
    const bool booked = bookings_.contains(index);
    if (!booked && bookings_.size() >= bookings_max && shortest_failed_.size() > shape &&
        length_of(one) >= shortest_failed_[shape]) {
        return;  // one of its shape that runs no longer has failed before it
    }
    withdraw(index);
    if (start_unbooked(index)) {
        return;
    }
    if (booked || bookings_.size() < bookings_max) {
        book(index);
    } else if (shortest_failed_.size() > shape) {
        shortest_failed_[shape] = std::min(shortest_failed_[shape], length_of(one));
    }
}

// Beside what runs and what is promised, as if it were the next in line.
Result<Nanoseconds> Core::State::earliest_start(JobId id) {
    const auto found = known_.find(id);
    if (found == known_.end()) {
        return Error(ErrorCode::not_found, fmt::format("no job {}", id.value()));
    }
    const Job& one = job(found->second);
    if (one.state != GangState::pending) {
        return one.state == GangState::running ? one.started : never;
    }
    if (const auto booking = bookings_.find(found->second); booking != bookings_.end()) {
        return booking->second.at;
    }
    refresh_timeline();
    Nanoseconds first = never;
    for (const PoolNeed& need : class_of(one).needs) {
        if (const auto opening = first_opening(one, need)) {
            first = std::min(first, opening->at);
        }
    }
    return first;
}

}  // namespace mpitrain::scheduler
