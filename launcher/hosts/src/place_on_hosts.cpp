#include "mpitrain/hosts/place_on_hosts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "mpitrain/scheduler/place_ranks.hpp"

namespace mpitrain::hosts {
namespace {

// How many ranks a machine takes: now, and when nobody else were on it.
struct Room {
    int now = 0;
    int ever = 0;
    int ranks = 0;  // that it was given
};

SlotRequest request_of(const JobSpec& spec) {
    return {.ranks = 1,
            .gpus_per_rank = spec.gpus_per_rank,
            .cpus_per_rank = spec.cpus_per_rank,
            .gpu_type = spec.gpu_type,
            .oversubscribe = spec.oversubscribe,
            .device = spec.device};
}

Error at_host(const Error& error, const std::string& host) {
    return Error(error.code(), error.what()).at(host).mend(error.mend());
}

Result<Room> room_on(const Candidate& candidate, const JobSpec& spec) {
    const auto capacity =
        scheduler::rank_capacity(candidate.facts.topology, request_of(spec), candidate.facts.busy);
    if (!capacity) {
        return at_host(capacity.error(), candidate.entry.host);
    }
    const std::optional<int> slots = candidate.entry.slots;
    if (slots && *slots > capacity->total && !spec.oversubscribe) {
        return Error(ErrorCode::unsatisfiable,
                     fmt::format("{} ranks are to run there, and it has slots for {}",
                                 *slots,
                                 capacity->total))
            .at(candidate.entry.host)
            .mend("name fewer slots, or let ranks share them with --oversubscribe");
    }
    constexpr int unbounded = std::numeric_limits<int>::max();
    const int bound = std::min(slots.value_or(unbounded), spec.ranks_per_node.value_or(unbounded));
    if (spec.oversubscribe && bound != unbounded) {
        return Room{bound, bound, 0};
    }
    return Room{std::min(bound, capacity->free), std::min(bound, capacity->total), 0};
}

int sum(const std::vector<Room>& rooms, int Room::*member) {
    std::int64_t total = 0;
    for (const Room& room : rooms) {
        total += room.*member;
    }
    return static_cast<int>(std::min<std::int64_t>(total, std::numeric_limits<int>::max()));
}

Error too_few(const std::vector<Candidate>& candidates,
              const std::vector<Room>& rooms,
              int wanted) {
    constexpr std::size_t named_max = 8;
    std::string each;
    for (std::size_t i = 0; i < std::min(rooms.size(), named_max); ++i) {
        each += fmt::format("{}{} {}", i == 0 ? "" : ", ", candidates[i].entry.host, rooms[i].now);
    }
    each += rooms.size() > named_max ? ", …" : "";
    const bool later = sum(rooms, &Room::ever) >= wanted;
    return Error(later ? ErrorCode::resource_exhausted : ErrorCode::unsatisfiable,
                 fmt::format("{} ranks, and there is room for {}{}: {}",
                             wanted,
                             sum(rooms, &Room::now),
                             later ? " now" : "",
                             each))
        .mend(later ? "wait for other jobs, or name more hosts"
                    : "name more hosts, or ask for fewer ranks");
}

// As many for each machine as for the others, in turn, where they have room.
void spread(std::vector<Room>& rooms, int wanted) {
    while (wanted > 0) {
        for (Room& room : rooms) {
            if (wanted > 0 && room.ranks < room.now) {
                ++room.ranks;
                --wanted;
            }
        }
    }
}

void pack(std::vector<Room>& rooms, int wanted) {
    for (Room& room : rooms) {
        room.ranks = std::min(room.now, wanted);
        wanted -= room.ranks;
    }
}

// Settles the group that takes all that is left. Returns how many ranks there are.
int fill_open_group(JobSpec& spec, const std::vector<Room>& rooms) {
    int fixed = 0;
    CommandGroup* open = nullptr;
    for (CommandGroup& group : spec.groups) {
        fixed += group.ranks.value_or(0);
        open = group.ranks ? open : &group;
    }
    if (open != nullptr) {
        const int most = spec.max_ranks.value_or(std::numeric_limits<int>::max());
        open->ranks = std::max(1, std::min(sum(rooms, &Room::now), most) - fixed);
    }
    return *total_ranks(spec);
}

Result<std::vector<Candidate>> those_wanted(const JobSpec& spec,
                                            const std::vector<Candidate>& candidates) {
    const auto wanted =
        static_cast<std::size_t>(spec.nodes.value_or(static_cast<int>(candidates.size())));
    if (wanted > candidates.size()) {
        return Error(ErrorCode::unsatisfiable,
                     fmt::format("{} nodes, and {} hosts are there", wanted, candidates.size()))
            .at("--nodes")
            .mend("name more hosts, or ask for fewer nodes");
    }
    return std::vector<Candidate>(candidates.begin(),
                                  candidates.begin() + static_cast<std::ptrdiff_t>(wanted));
}

// With --oversubscribe, what does not fit is shared by all alike.
void widen(std::vector<Room>& rooms, const std::vector<Candidate>& candidates, int wanted) {
    const int missing = wanted - sum(rooms, &Room::now);
    const auto open = std::ranges::count_if(
        candidates, [](const Candidate& one) { return !one.entry.slots.has_value(); });
    if (missing <= 0 || open == 0) {
        return;
    }
    const int more = static_cast<int>((missing + open - 1) / open);
    for (std::size_t i = 0; i < rooms.size(); ++i) {
        if (!candidates[i].entry.slots) {
            rooms[i].now += more;
        }
    }
}

}  // namespace

Result<HostsPlacement> place_on_hosts(const JobSpec& spec,
                                      const std::vector<Candidate>& candidates) {
    MPITRAIN_TRY(const std::vector<Candidate> used, those_wanted(spec, candidates));
    std::vector<Room> rooms;
    for (const Candidate& candidate : used) {
        MPITRAIN_TRY(const Room room, room_on(candidate, spec));
        rooms.push_back(room);
    }
    HostsPlacement placed;
    placed.spec = spec;
    const int wanted = fill_open_group(placed.spec, rooms);
    if (spec.oversubscribe && !spec.ranks_per_node) {
        widen(rooms, used, wanted);
    }
    if (sum(rooms, &Room::now) < wanted) {
        return too_few(used, rooms, wanted);
    }
    // Every node that was asked for takes part.
    spec.placement == "spread" || spec.nodes ? spread(rooms, wanted) : pack(rooms, wanted);
    for (std::size_t i = 0; i < used.size(); ++i) {
        NodeTopology node = used[i].facts.topology;
        node.host = used[i].entry.host;
        if (rooms[i].ranks > 0) {
            SlotRequest request = request_of(spec);
            request.ranks = rooms[i].ranks;
            auto ranks = scheduler::place_ranks(node, request, used[i].facts.busy);
            if (!ranks) {
                return at_host(ranks.error(), node.host);
            }
            for (RankPlacement& rank : *ranks) {
                rank.rank = Rank(static_cast<int>(placed.placements.size()));
                rank.node = NodeId(static_cast<int>(i));
                placed.placements.push_back(std::move(rank));
            }
        }
        placed.nodes.push_back(std::move(node));
    }
    return placed;
}

}  // namespace mpitrain::hosts
