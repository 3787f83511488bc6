// T14 and T15: how well gangs are placed, over leaves and within a node.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <functional>
#include <map>
#include <queue>
#include <tuple>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/scheduler/choose_slots.hpp"
#include "mpitrain/scheduler/core.hpp"
#include "schedule_bench.hpp"

namespace mpitrain::bench {
namespace {

using namespace scheduler;
using Clock = std::chrono::steady_clock;

std::size_t index_of(int value) {
    return static_cast<std::size_t>(value);
}

// Books of its own: which nodes are empty, by leaf and block. It shares no code with the core.
class Books {
  public:
    explicit Books(const ClusterSpec& cluster) : used_(cluster.nodes.size(), 0) {
        std::map<std::pair<std::string, std::string>, int> leaves;
        std::map<std::string, int> blocks;
        for (const NodeSpec& node : cluster.nodes) {
            const int block =
                blocks.emplace(node.block, static_cast<int>(blocks.size())).first->second;
            leaf_.push_back(
                leaves.emplace(std::pair(node.block, node.leaf), static_cast<int>(leaves.size()))
                    .first->second);
            slots_.push_back(node.slots);
            if (index_of(leaf_.back()) >= empty_.size()) {
                empty_.push_back(0);
                size_.push_back(0);
                block_.push_back(block);
            }
            ++empty_[index_of(leaf_.back())];
            ++size_[index_of(leaf_.back())];
        }
    }

    void take(const Allocation& where, int sign) {
        for (const NodeSlots& piece : where) {
            int& used = used_[index_of(piece.node.value())];
            const bool was_empty = used == 0;
            used += sign * std::popcount(piece.slots);
            int& empty = empty_[index_of(leaf_[index_of(piece.node.value())])];
            empty += (used == 0 ? 1 : 0) - (was_empty ? 1 : 0);
        }
    }

    [[nodiscard]] int leaves_of(const Allocation& where) const {
        return count_distinct(where, [this](int node) { return leaf_[index_of(node)]; });
    }
    [[nodiscard]] int blocks_of(const Allocation& where) const {
        return count_distinct(where,
                              [this](int node) { return block_[index_of(leaf_[index_of(node)])]; });
    }
    [[nodiscard]] int fewest_leaves_now(int nodes) const { return fewest(empty_, nodes); }
    [[nodiscard]] int fewest_leaves_ever(int nodes) const { return fewest(size_, nodes); }
    [[nodiscard]] bool one_block_holds(int nodes) const {
        std::map<int, int> sums;
        for (std::size_t leaf = 0; leaf < empty_.size(); ++leaf) {
            sums[block_[leaf]] += empty_[leaf];
        }
        return std::any_of(
            sums.begin(), sums.end(), [&](const auto& entry) { return entry.second >= nodes; });
    }

  private:
    static int count_distinct(const Allocation& where, const std::function<int(int)>& of) {
        std::vector<int> found;
        for (const NodeSlots& piece : where) {
            found.push_back(of(piece.node.value()));
        }
        std::sort(found.begin(), found.end());
        return static_cast<int>(std::unique(found.begin(), found.end()) - found.begin());
    }
    static int fewest(std::vector<int> rooms, int nodes) {
        std::sort(rooms.begin(), rooms.end(), std::greater<>());
        int count = 0;
        for (const int room : rooms) {
            ++count;
            nodes -= room;
            if (nodes <= 0) {
                break;
            }
        }
        return count;
    }

    std::vector<int> used_, leaf_, slots_;
    std::vector<int> empty_, size_, block_;  // by leaf
};

struct Quality {
    int gangs = 0;
    int fewest_now = 0, fewest_ever = 0, one_block = 0, one_block_possible = 0;
};

struct End {
    Nanoseconds at;
    JobId job;
    bool operator>(const End& other) const {
        return std::tie(at, job) > std::tie(other.at, other.job);
    }
};

// Gangs come and go at a load; each of several nodes is judged when it starts.
class ClosStream {
  public:
    ClosStream(const ClusterSpec& cluster, double load)
        : core_(*Core::create(cluster, *make_policy("first-fit"))), books_(cluster) {
        constexpr double mean_size = 107'263.0 / 82'247;
        double gpus = 0;
        for (const NodeSpec& node : cluster.nodes) {
            gpus += node.slots;
        }
        constexpr double mean_run_s = 1000;
        gap_ = std::exponential_distribution<double>(load * gpus / (mean_run_s * mean_size));
        run_ = std::exponential_distribution<double>(1 / mean_run_s);
    }

    Quality run(int jobs) {
        for (int job = 1; job <= jobs; ++job) {
            submit_at_ += Nanoseconds(static_cast<std::int64_t>(gap_(random_) * 1e9));
            while (!ends_.empty() && ends_.top().at <= submit_at_) {
                const End end = ends_.top();
                ends_.pop();
                const auto held = held_.extract(end.job);
                books_.take(held.mapped(), -1);
                follow(end.at, Ended{end.job});
            }
            follow(submit_at_,
                   Submitted{{.job = JobId(job), .shape = {.slots = draw_size(random_)}}});
        }
        return quality_;
    }

  private:
    void follow(Nanoseconds now, decltype(Event::what) what) {
        const auto actions = core_.step({now, std::move(what)});
        MPITRAIN_ASSERT(actions.has_value());
        for (const Action& action : *actions) {
            if (const auto* start = std::get_if<Start>(&action)) {
                judge(start->where);
                books_.take(start->where, 1);
                held_.emplace(start->job, start->where);
                ends_.push({now + Nanoseconds(static_cast<std::int64_t>(run_(random_) * 1e9)),
                            start->job});
            }
        }
    }

    void judge(const Allocation& where) {
        const int nodes = static_cast<int>(where.size());
        if (nodes < 2) {
            return;
        }
        const int leaves = books_.leaves_of(where);
        const bool possible = books_.one_block_holds(nodes);
        ++quality_.gangs;
        quality_.fewest_now += leaves == books_.fewest_leaves_now(nodes) ? 1 : 0;
        quality_.fewest_ever += leaves == books_.fewest_leaves_ever(nodes) ? 1 : 0;
        quality_.one_block_possible += possible ? 1 : 0;
        quality_.one_block += possible && books_.blocks_of(where) == 1 ? 1 : 0;
    }

    Core core_;
    Books books_;
    std::mt19937_64 random_{11};
    std::exponential_distribution<double> gap_, run_;
    std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
    std::map<JobId, Allocation> held_;
    Nanoseconds submit_at_{};
    Quality quality_;
};

ScheduleRow share_row(
    std::string name, int gpus, std::string what, double part, double whole, double gate) {
    const double share = whole > 0 ? 100 * part / whole : 100;
    ScheduleRow row = row_of(std::move(name), gpus, std::move(what), {share}, {1, "%", gate});
    row.higher_is_better = true;
    row.n = static_cast<std::size_t>(whole);
    return row;
}

}  // namespace

ClusterSpec irregular_clos() {
    // How many leaves of how many hosts, over three blocks of 179, 306 and 362 hosts.
    constexpr std::array<std::pair<int, int>, 7> sizes = {
        {{8, 68}, {7, 23}, {6, 15}, {5, 7}, {4, 2}, {3, 1}, {2, 3}}};
    constexpr std::array<int, 3> blocks = {179, 306, 362};
    std::array<int, 3> filled = {};
    ClusterSpec cluster;
    int leaf = 0;
    for (const auto& [hosts, count] : sizes) {
        for (int i = 0; i < count; ++i, ++leaf) {
            // The block that is furthest from full.
            std::size_t block = 0;
            for (std::size_t other = 1; other < blocks.size(); ++other) {
                if (blocks[other] - filled[other] > blocks[block] - filled[block]) {
                    block = other;
                }
            }
            for (int host = 0; host < hosts; ++host) {
                cluster.nodes.push_back({.name = fmt::format("h{}", cluster.nodes.size()),
                                         .leaf = fmt::format("s{}", leaf),
                                         .block = fmt::format("p{}", block)});
                ++filled[block];
            }
        }
    }
    return cluster;
}

std::vector<ScheduleRow> measure_clos(const ClusterSpec& cluster, int gangs) {
    const Quality found = ClosStream(cluster, 0.837).run(gangs);
    int gpus = 0;
    for (const NodeSpec& node : cluster.nodes) {
        gpus += node.slots;
    }
    const std::string of = fmt::format("of gangs over 8 GPUs on {} hosts", cluster.nodes.size());
    return {share_row("T14",
                      gpus,
                      of + ": in the fewest leaves of the free",
                      found.fewest_now,
                      found.gangs,
                      99.5),
            share_row("T14",
                      gpus,
                      of + ": in the fewest leaves of an empty cluster",
                      found.fewest_ever,
                      found.gangs,
                      80),
            share_row("T14",
                      gpus,
                      of + ": in one block where one had room",
                      found.one_block,
                      found.one_block_possible,
                      100)};
}

namespace {

struct Machine {
    std::string name;
    NodeTopology node;
    bool has_pairs = false;  // some pairs of GPUs have NVLink and others not
};

NodeTopology eight_gpus(const std::function<std::pair<LinkClass, int>(int, int)>& link) {
    NodeTopology node;
    node.host = "made-up";
    node.links.bandwidth_mb_s.assign(8, std::vector<std::optional<int>>(8));
    node.links.link_class.assign(8, std::vector<std::optional<LinkClass>>(8));
    for (int a = 0; a < 8; ++a) {
        Slot slot;
        slot.slot = SlotId(a);
        slot.kind = SlotKind::gpu;
        slot.numa = {a / 4};
        node.slots.push_back(slot);
        for (int b = 0; b < 8; ++b) {
            if (a == b) {
                continue;
            }
            const auto [kind, mb_s] = link(std::min(a, b), std::max(a, b));
            node.links.link_class[index_of(a)][index_of(b)] = kind;
            if (mb_s > 0) {
                node.links.bandwidth_mb_s[index_of(a)][index_of(b)] = mb_s;
            }
        }
    }
    return node;
}

std::vector<Machine> machines() {
    const auto pcie = [](int a, int b) {
        return a / 2 == b / 2 ? LinkClass::pix : a / 4 == b / 4 ? LinkClass::node : LinkClass::sys;
    };
    const std::map<std::pair<int, int>, int> mesh = {{{0, 3}, 2},
                                                     {{0, 4}, 2},
                                                     {{1, 2}, 2},
                                                     {{1, 5}, 2},
                                                     {{2, 3}, 2},
                                                     {{4, 7}, 2},
                                                     {{5, 6}, 2},
                                                     {{6, 7}, 2},
                                                     {{0, 1}, 1},
                                                     {{0, 2}, 1},
                                                     {{1, 3}, 1},
                                                     {{2, 6}, 1},
                                                     {{3, 7}, 1},
                                                     {{4, 5}, 1},
                                                     {{4, 6}, 1},
                                                     {{5, 7}, 1}};
    return {{"cube mesh",
             eight_gpus([&](int a, int b) {
                 const auto found = mesh.find({a, b});
                 return found == mesh.end() ? std::pair(pcie(a, b), 0)
                                            : std::pair(LinkClass::nvl, found->second * 25000);
             }),
             true},
            {"NVLink switches",
             eight_gpus([](int, int) { return std::pair(LinkClass::nvl, 450000); }),
             false},
            {"PCIe 4+4", eight_gpus([&](int a, int b) { return std::pair(pcie(a, b), 0); }), false},
            {"bridged pairs",  // of GPUs four apart, so that numbers do not tell them
             eight_gpus([&](int a, int b) {
                 return b - a == 4 ? std::pair(LinkClass::nvl, 200000) : std::pair(pcie(a, b), 0);
             }),
             true}};
}

double weight(const NodeTopology& node, int a, int b) {
    const auto& mb_s = node.links.bandwidth_mb_s[index_of(a)][index_of(b)];
    if (mb_s) {
        return 60 + *mb_s / 250.0;
    }
    switch (*node.links.link_class[index_of(a)][index_of(b)]) {
        case LinkClass::pix:
            return 50;
        case LinkClass::node:
            return 20;
        default:
            return 10;
    }
}

// Its weakest link, then the sum of its links.
std::pair<double, double> score(const NodeTopology& node, unsigned set) {
    double weakest = 1e9;
    double sum = 0;
    for (int a = 0; a < 8; ++a) {
        for (int b = a + 1; b < 8; ++b) {
            if ((set >> a & 1) != 0 && (set >> b & 1) != 0) {
                weakest = std::min(weakest, weight(node, a, b));
                sum += weight(node, a, b);
            }
        }
    }
    return {weakest, sum};
}

// Every set of free slots and every size: is what is chosen as good as the best of all?
std::pair<int, int> count_best(const NodeTopology& node) {
    int best = 0;
    int all = 0;
    for (unsigned free = 1; free < 256; ++free) {
        std::vector<SlotId> ids;
        for (int slot = 0; slot < 8; ++slot) {
            if ((free >> slot & 1) != 0) {
                ids.emplace_back(slot);
            }
        }
        for (int count = 1; count <= std::popcount(free); ++count) {
            unsigned chosen = 0;
            const auto slots = choose_slots(node, ids, count);
            MPITRAIN_ASSERT(slots.has_value());
            for (const SlotId slot : *slots) {
                chosen |= 1U << slot.value();
            }
            auto most = score(node, chosen);
            for (unsigned set = free; set != 0; set = (set - 1) & free) {
                if (std::popcount(set) == count) {
                    most = std::max(most, score(node, set));
                }
            }
            ++all;
            best += score(node, chosen) == most ? 1 : 0;
        }
    }
    return {best, all};
}

// Jobs of 1, 2 and 4 slots come and go on 64 such nodes: how many that asked for two got a linked
// pair.
std::pair<int, int> count_pairs(const NodeTopology& node, std::vector<double>& times_us) {
    ClusterSpec cluster = uniform_cluster({.nodes = 64});
    for (NodeSpec& one : cluster.nodes) {
        one.model = "machine";
    }
    cluster.models["machine"] = node;
    Core core = *Core::create(cluster, *make_policy("first-fit"));
    std::mt19937_64 random(3);
    std::vector<JobId> live;
    int linked = 0;
    int asked = 0;
    int slots = 0;
    std::map<JobId, int> sizes;
    for (int i = 1; i <= 40'000; ++i) {
        while (slots > 430) {  // of 512
            const std::size_t pick = random() % live.size();
            slots -= sizes[live[pick]];
            MPITRAIN_ASSERT(core.step({Nanoseconds(i), Ended{live[pick]}}).has_value());
            live[pick] = live.back();
            live.pop_back();
        }
        constexpr std::array<int, 4> mix = {1, 2, 2, 4};
        const int size = mix[random() % mix.size()];
        const auto before = Clock::now();
        const auto actions =
            core.step({Nanoseconds(i), Submitted{{.job = JobId(i), .shape = {.slots = size}}}});
        times_us.push_back(
            std::chrono::duration<double, std::micro>(Clock::now() - before).count());
        MPITRAIN_ASSERT(actions.has_value());
        const auto* start = actions->empty() ? nullptr : std::get_if<Start>(&actions->front());
        if (start == nullptr) {
            MPITRAIN_ASSERT(core.step({Nanoseconds(i), Cancelled{JobId(i)}}).has_value());
            continue;
        }
        live.push_back(JobId(i));
        sizes[JobId(i)] = size;
        slots += size;
        if (size == 2) {
            const std::uint64_t set = start->where.front().slots;
            const int a = std::countr_zero(set);
            const int b = 63 - std::countl_zero(set);
            ++asked;
            linked += node.links.bandwidth_mb_s[index_of(a)][index_of(b)] ? 1 : 0;
        }
    }
    return {linked, asked};
}

}  // namespace

std::vector<ScheduleRow> measure_slots() {
    int best = 0;
    int all = 0;
    std::vector<ScheduleRow> rows;
    std::vector<double> times_us;
    for (const Machine& machine : machines()) {
        const auto [good, tried] = count_best(machine.node);
        best += good;
        all += tried;
        if (machine.has_pairs) {
            const auto [linked, asked] = count_pairs(machine.node, times_us);
            rows.push_back(share_row("T15",
                                     8,
                                     machine.name + ": asks for two that got a linked pair, churn",
                                     linked,
                                     asked,
                                     95));
        }
    }
    rows.insert(
        rows.begin(),
        share_row("T15", 8, "choices as good as the best of all, 4 machines", best, all, 100));
    rows.push_back(
        row_of("T15 p50", 512, "a decision with the links known", times_us, {0.5, "us", 1}));
    return rows;
}

}  // namespace mpitrain::bench
