#include "mpitrain/scheduler/place_ranks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "mpitrain/scheduler/choose_slots.hpp"

namespace mpitrain::scheduler {
namespace {

// The slots that a request may use at all, and those of them that are free.
struct Pool {
    SlotKind kind = SlotKind::cpu;
    NodeTopology node;  // with the slots of `kind`
    std::vector<SlotId> eligible;
    std::vector<SlotId> free;
    int slots_per_rank = 1;

    [[nodiscard]] RankCapacity capacity() const {
        return {static_cast<int>(eligible.size()) / slots_per_rank,
                static_cast<int>(free.size()) / slots_per_rank};
    }
    [[nodiscard]] const Slot& slot(SlotId id) const {
        return node.slots[static_cast<std::size_t>(id.value())];
    }
};

bool has_gpus(const NodeTopology& node) {
    return std::any_of(node.slots.begin(), node.slots.end(), [](const Slot& slot) {
        return slot.kind == SlotKind::gpu;
    });
}

bool contains_ignoring_case(std::string_view text, std::string_view part) {
    const auto same = [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) ==
               std::tolower(static_cast<unsigned char>(b));
    };
    return std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

bool is_of_type(const Slot& slot, std::string_view type) {
    return std::any_of(slot.gpus.begin(), slot.gpus.end(), [type](const Gpu& gpu) {
        return contains_ignoring_case(gpu.model, type);
    });
}

Result<void> check_counts(const SlotRequest& request) {
    const auto refuse = [](std::string_view what, int value, std::string_view mend) {
        return Error(ErrorCode::invalid_argument, fmt::format("{} is {}", what, value)).mend(mend);
    };
    if (request.ranks < 1) {
        return refuse("the number of ranks", request.ranks, "use -n 1 or more");
    }
    if (request.gpus_per_rank < 1) {
        return refuse("--gpus-per-rank", request.gpus_per_rank, "use 1 or more, or --device cpu");
    }
    if (request.cpus_per_rank < 0) {
        return refuse("--cpus-per-rank", request.cpus_per_rank, "use 1 or more");
    }
    return {};
}

Result<void> fill_gpu_pool(const SlotRequest& request, Pool& pool) {
    for (const Slot& slot : pool.node.slots) {
        if (slot.kind == SlotKind::gpu &&
            (request.gpu_type.empty() || is_of_type(slot, request.gpu_type))) {
            pool.eligible.push_back(slot.slot);
        }
    }
    pool.slots_per_rank = request.gpus_per_rank;
    if (!pool.eligible.empty()) {
        return {};
    }
    if (has_gpus(pool.node)) {
        return Error(ErrorCode::unsatisfiable,
                     fmt::format("no GPU here is a '{}'", request.gpu_type))
            .at(pool.node.host)
            .mend("mpitrain topo lists the models");
    }
    return Error(ErrorCode::unsatisfiable, "there is no GPU to use")
        .at(pool.node.host)
        .mend("use --device cpu, or see mpitrain topo for why");
}

void fill_cpu_pool(const SlotRequest& request, Pool& pool) {
    if (has_gpus(pool.node)) {
        pool.node.slots = cpu_slots(pool.node);
        pool.node.links = {};
    }
    for (const Slot& slot : pool.node.slots) {
        pool.eligible.push_back(slot.slot);
    }
    pool.slots_per_rank = std::max(1, request.cpus_per_rank);
}

std::string_view noun(SlotKind kind, int count) {
    if (kind == SlotKind::gpu) {
        return count == 1 ? "GPU" : "GPUs";
    }
    return count == 1 ? "core" : "cores";
}

Result<Pool> pool_of(const NodeTopology& node,
                     const SlotRequest& request,
                     const std::set<SlotId>& busy) {
    MPITRAIN_TRY_VOID(check_counts(request));
    Pool pool;
    pool.node = node;
    const bool wants_gpu = request.device == Device::gpu || !request.gpu_type.empty() ||
                           (request.device == Device::automatic && has_gpus(node));
    pool.kind = wants_gpu && request.device != Device::cpu ? SlotKind::gpu : SlotKind::cpu;
    if (pool.kind == SlotKind::gpu) {
        MPITRAIN_TRY_VOID(fill_gpu_pool(request, pool));
    } else {
        fill_cpu_pool(request, pool);
    }
    for (const SlotId id : pool.eligible) {
        if (busy.count(id) == 0) {
            pool.free.push_back(id);
        }
    }
    if (pool.capacity().total == 0) {
        const int there = static_cast<int>(pool.eligible.size());
        return Error(ErrorCode::unsatisfiable,
                     fmt::format("a rank wants {} {}, but there {} only {}",
                                 pool.slots_per_rank,
                                 noun(pool.kind, pool.slots_per_rank),
                                 there == 1 ? "is" : "are",
                                 there))
            .at(node.host)
            .mend(pool.kind == SlotKind::gpu ? "use a smaller --gpus-per-rank"
                                             : "use a smaller --cpus-per-rank");
    }
    return pool;
}

Error does_not_fit(const Pool& pool, const SlotRequest& request) {
    const RankCapacity capacity = pool.capacity();
    const bool never = request.ranks > capacity.total;
    const int there = static_cast<int>(pool.eligible.size());
    std::string what = fmt::format("{} {} not fit: {} {} here, {} free",
                                   request.ranks,
                                   request.ranks == 1 ? "rank does" : "ranks do",
                                   there,
                                   noun(pool.kind, there),
                                   pool.free.size());
    if (pool.slots_per_rank > 1) {
        what += fmt::format(", {} for each rank", pool.slots_per_rank);
    }
    const std::string mend =
        capacity.free > 0 ? fmt::format("use -n {}, or --oversubscribe to share", capacity.free)
        : never           ? std::string("use fewer ranks, or --oversubscribe to share")
                          : std::string("wait for a job to end, or use --oversubscribe to share");
    return Error(never ? ErrorCode::unsatisfiable : ErrorCode::resource_exhausted, std::move(what))
        .at(pool.node.host)
        .mend(mend);
}

// The cores of `cpus`, whole as far as they lie in it; single CPUs where the node knows no cores.
std::vector<CpuSet> cores_within(const NodeTopology& node, const CpuSet& cpus) {
    std::vector<CpuSet> cores;
    for (const CpuSet& core : node.cores) {
        if (core.intersects(cpus)) {
            cores.push_back(core & cpus);
        }
    }
    return cores;
}

CpuSet union_of(const std::vector<CpuSet>& cores, std::size_t first, std::size_t count) {
    CpuSet cpus;
    for (std::size_t index = first; index < first + count; ++index) {
        cpus |= cores[index % cores.size()];
    }
    return cpus;
}

// The cores of a GPU set for one of the ranks that share it: contiguous runs, sizes differing by
// one at most; with more ranks than cores, single cores in turn. `wanted` cores at most, 0 = all.
CpuSet part_of(const std::vector<CpuSet>& cores,
               std::size_t part,
               std::size_t parts,
               std::size_t wanted) {
    if (cores.empty()) {
        return {};
    }
    const std::size_t first =
        cores.size() >= parts ? part * cores.size() / parts : part % cores.size();
    const std::size_t end = cores.size() >= parts ? (part + 1) * cores.size() / parts : first + 1;
    const std::size_t count = wanted == 0 ? end - first : std::min(wanted, end - first);
    return union_of(cores, first, count);
}

RankPlacement describe(const Pool& pool, std::size_t rank, std::vector<SlotId> slots) {
    RankPlacement placement;
    placement.rank = Rank(static_cast<int>(rank));
    placement.local_rank = LocalRank(static_cast<int>(rank));
    std::sort(slots.begin(), slots.end());
    for (const SlotId id : slots) {
        const Slot& slot = pool.slot(id);
        if (pool.node.pinning_allowed) {
            placement.cpus |= slot.cpus;
        }
        for (const int numa : slot.numa) {
            if (std::find(placement.numa.begin(), placement.numa.end(), numa) ==
                placement.numa.end()) {
                placement.numa.push_back(numa);
            }
        }
        for (const std::string& nic : slot.nics) {
            if (std::find(placement.nics.begin(), placement.nics.end(), nic) ==
                placement.nics.end()) {
                placement.nics.push_back(nic);
            }
        }
    }
    placement.slots = std::move(slots);
    return placement;
}

Result<std::vector<RankPlacement>> place_on_gpus(const Pool& pool, const SlotRequest& request) {
    const std::vector<SlotId>& candidates = pool.capacity().free > 0 ? pool.free : pool.eligible;
    const auto ranks = static_cast<std::size_t>(request.ranks);
    const auto per_rank = static_cast<std::size_t>(pool.slots_per_rank);
    const std::size_t sets = std::min(ranks, candidates.size() / per_rank);
    MPITRAIN_TRY(const std::vector<SlotId> chosen,
                 choose_slots(pool.node, candidates, static_cast<int>(sets * per_rank)));
    MPITRAIN_TRY(const auto groups, divide_slots(pool.node, chosen, pool.slots_per_rank));
    std::vector<RankPlacement> placements;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        const std::size_t sharers = (ranks - rank % sets + sets - 1) / sets;
        RankPlacement placement = describe(pool, rank, groups[rank % sets]);
        const std::vector<CpuSet> cores = cores_within(pool.node, placement.cpus);
        const auto wanted = static_cast<std::size_t>(request.cpus_per_rank);
        if (pool.node.pinning_allowed && wanted > cores.size() / sharers &&
            !request.oversubscribe) {
            return Error(ErrorCode::unsatisfiable,
                         fmt::format("a rank wants {} cores, but its share beside the other GPUs "
                                     "is {}",
                                     wanted,
                                     cores.size()))
                .at(pool.node.host)
                .mend(fmt::format("use --cpus-per-rank {}, or more --gpus-per-rank",
                                  std::max<std::size_t>(1, cores.size())));
        }
        placement.cpus = part_of(cores, rank / sets, sharers, wanted);
        placements.push_back(std::move(placement));
    }
    return placements;
}

// The free CPU slots of each NUMA node in the order in which they are filled: the tightest node
// that holds all ranks first, else the roomiest first, so that the fewest nodes are touched.
std::vector<std::vector<SlotId>> packing_order(const Pool& pool, std::size_t ranks) {
    std::map<int, std::vector<SlotId>> by_numa;
    for (const SlotId id : pool.free) {
        const std::vector<int>& numa = pool.slot(id).numa;
        by_numa[numa.empty() ? -1 : numa.front()].push_back(id);
    }
    std::vector<std::vector<SlotId>> order;
    for (auto& [numa, ids] : by_numa) {
        order.push_back(std::move(ids));
    }
    const auto per_rank = static_cast<std::size_t>(pool.slots_per_rank);
    const auto holds_all = [&](const std::vector<SlotId>& ids) {
        return ids.size() / per_rank >= ranks;
    };
    std::stable_sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
        if (holds_all(a) != holds_all(b)) {
            return holds_all(a);
        }
        return holds_all(a) ? a.size() < b.size() : a.size() / per_rank > b.size() / per_rank;
    });
    return order;
}

std::vector<std::vector<SlotId>> pack_on_cores(const Pool& pool, std::size_t ranks) {
    const auto per_rank = static_cast<std::size_t>(pool.slots_per_rank);
    std::vector<std::vector<SlotId>> sets;
    std::vector<SlotId> left;
    for (const std::vector<SlotId>& ids : packing_order(pool, ranks)) {
        std::size_t used = 0;
        for (; sets.size() < ranks && used + per_rank <= ids.size(); used += per_rank) {
            const auto first = ids.begin() + static_cast<std::ptrdiff_t>(used);
            sets.emplace_back(first, first + static_cast<std::ptrdiff_t>(per_rank));
        }
        left.insert(left.end(), ids.begin() + static_cast<std::ptrdiff_t>(used), ids.end());
    }
    // No NUMA node has room for a whole rank any more: the rest straddle.
    std::sort(left.begin(), left.end());
    for (std::size_t used = 0; sets.size() < ranks; used += per_rank) {
        const auto first = left.begin() + static_cast<std::ptrdiff_t>(used);
        sets.emplace_back(first, first + static_cast<std::ptrdiff_t>(per_rank));
    }
    std::sort(sets.begin(), sets.end());
    return sets;
}

std::vector<SlotId> take_in_turn(const std::vector<SlotId>& candidates,
                                 std::size_t rank,
                                 std::size_t per_rank) {
    std::vector<SlotId> set;
    for (std::size_t index = 0; index < per_rank; ++index) {
        set.push_back(candidates[(rank * per_rank + index) % candidates.size()]);
    }
    return set;
}

std::vector<RankPlacement> place_on_cores(const Pool& pool, const SlotRequest& request) {
    const auto ranks = static_cast<std::size_t>(request.ranks);
    const auto per_rank = static_cast<std::size_t>(pool.slots_per_rank);
    const bool shared = request.ranks > pool.capacity().free;
    const std::vector<SlotId>& candidates = pool.capacity().free > 0 ? pool.free : pool.eligible;
    const std::vector<std::vector<SlotId>> sets =
        shared ? std::vector<std::vector<SlotId>>() : pack_on_cores(pool, ranks);
    std::vector<RankPlacement> placements;
    for (std::size_t rank = 0; rank < ranks; ++rank) {
        placements.push_back(
            describe(pool, rank, shared ? take_in_turn(candidates, rank, per_rank) : sets[rank]));
    }
    return placements;
}

}  // namespace

Result<std::vector<RankPlacement>> place_ranks(const NodeTopology& node,
                                               const SlotRequest& request,
                                               const std::set<SlotId>& busy) {
    MPITRAIN_TRY(const Pool pool, pool_of(node, request, busy));
    if (request.ranks > pool.capacity().free && !request.oversubscribe) {
        return does_not_fit(pool, request);
    }
    if (pool.kind == SlotKind::gpu) {
        return place_on_gpus(pool, request);
    }
    return place_on_cores(pool, request);
}

Result<RankCapacity> rank_capacity(const NodeTopology& node,
                                   const SlotRequest& request,
                                   const std::set<SlotId>& busy) {
    SlotRequest shape = request;
    shape.ranks = 1;
    MPITRAIN_TRY(const Pool pool, pool_of(node, shape, busy));
    return pool.capacity();
}

}  // namespace mpitrain::scheduler
