#include "node/node_map.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <functional>
#include <set>
#include <string>

namespace mpitrain::collectives {

namespace {

// Of each member; two are in use at a time. Large enough that signals cost little beside the
// copying, small enough that what goes through them stays in the cache. Members that share a core
// take turns, and each turn is a switch of processes: fewer and larger steps.
constexpr std::size_t outbox_bytes_alone = std::size_t{512} << 10;
constexpr std::size_t outbox_bytes_crowded = std::size_t{1} << 20;
constexpr std::size_t slice_bytes_min = std::size_t{16} << 10;

std::size_t outbox_bytes(std::size_t members, bool crowded) {
    return std::max(crowded ? outbox_bytes_crowded : outbox_bytes_alone,
                    std::bit_ceil(members * slice_bytes_min));
}

bool is_crowded(std::span<const Seat> seats, const std::vector<int>& members) {
    std::array<std::uint64_t, 16> cpus{};
    for (const int member : members) {
        for (std::size_t i = 0; i < cpus.size(); ++i) {
            cpus[i] |= seats[static_cast<std::size_t>(member)].cpus[i];
        }
    }
    int count = 0;
    for (const std::uint64_t word : cpus) {
        count += std::popcount(word);
    }
    return static_cast<int>(members.size()) > count;
}

bool is_regular(std::span<const Seat> seats, std::size_t each) {
    if (seats.size() % each != 0) {
        return false;
    }
    std::set<std::uint64_t> seen;
    for (std::size_t first = 0; first < seats.size(); first += each) {
        const std::uint64_t node = seats[first].node;
        const auto same = [node](const Seat& seat) { return seat.node == node; };
        const auto block = seats.subspan(first, each);
        if (!seen.insert(node).second || !std::all_of(block.begin(), block.end(), same)) {
            return false;
        }
    }
    return true;
}

}  // namespace

Seat find_seat() {
    std::string boot;
    std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
    std::array<char, 64> space{};
    if (readlink("/proc/self/ns/pid", space.data(), space.size() - 1) < 0) {
        boot += std::to_string(getpid());  // cannot be told: alone on a node
    }
    Seat seat{.node = std::hash<std::string>()(boot + space.data())};
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0) {
        for (std::size_t cpu = 0; cpu < seat.cpus.size() * 64 && cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &cpus)) {
                seat.cpus[cpu / 64] |= std::uint64_t{1} << (cpu % 64);
            }
        }
    }
    return seat;
}

NodeMap map_nodes(std::span<const Seat> seats, int rank, bool in_background) {
    NodeMap map;
    std::set<std::uint64_t> nodes;
    const std::uint64_t own = seats[static_cast<std::size_t>(rank)].node;
    for (std::size_t r = 0; r < seats.size(); ++r) {
        nodes.insert(seats[r].node);
        if (seats[r].node == own) {
            if (static_cast<int>(r) == rank) {
                map.shape.member = static_cast<int>(map.shape.ranks.size());
            }
            map.shape.ranks.push_back(static_cast<int>(r));
        }
    }
    map.nodes = static_cast<int>(nodes.size());
    map.shape.crowded = is_crowded(seats, map.shape.ranks);
    map.shape.gives_way = in_background;
    map.shape.outbox_bytes =
        outbox_bytes(map.shape.ranks.size(), map.shape.crowded || in_background);
    map.regular = is_regular(seats, map.shape.ranks.size());
    return map;
}

}  // namespace mpitrain::collectives
