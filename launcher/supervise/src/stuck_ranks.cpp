#include "stuck_ranks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include "mpitrain/base/bytes.hpp"
#include "mpitrain/base/duration.hpp"

namespace mpitrain {

namespace {

using wire::Operation;
// What must be equal on all ranks of a group, for one number.
using Shape = std::tuple<std::uint32_t, std::uint64_t, std::uint32_t, std::int32_t>;

Shape shape_of(const Operation& operation) {
    return {operation.kind, operation.bytes, operation.shape, operation.root};
}

std::string name_of(const Operation& operation) {
    constexpr std::array<std::string_view, 11> kinds = {"operation",
                                                        "barrier",
                                                        "broadcast",
                                                        "allreduce",
                                                        "reduce",
                                                        "reduce_scatter",
                                                        "allgather",
                                                        "gather",
                                                        "scatter",
                                                        "all_to_all",
                                                        "scan"};
    const std::string_view kind = kinds[operation.kind < kinds.size() ? operation.kind : 0];
    std::string name(kind);
    if (operation.bytes > 0) {
        name += fmt::format(" of {}", Bytes(operation.bytes).to_string());
    }
    if (operation.root >= 0) {
        name += fmt::format(" from {}", operation.root);
    }
    return name;
}

std::string since(const RankSight& sight, std::uint64_t then_ns) {
    const std::uint64_t now_ns = std::max(sight.seen.now_ns, then_ns);
    return format_duration(Nanoseconds(static_cast<std::int64_t>(now_ns - then_ns)));
}

bool waits(const RankSight& sight) {
    const auto& operations = sight.seen.operations;
    return std::any_of(operations.begin(), operations.end(), [](const Operation& operation) {
        return operation.ended_ns == 0;
    });
}

// The ranks' operations in one group, by number.
struct Group {
    std::map<Rank, std::map<std::uint64_t, const Operation*>> of;
    std::uint32_t size = 0;
};

std::map<std::uint64_t, Group> by_group(std::span<const RankSight> sights) {
    std::map<std::uint64_t, Group> groups;
    for (const RankSight& sight : sights) {
        for (const Operation& operation : sight.seen.operations) {
            if (operation.group != 0) {
                Group& group = groups[operation.group];
                group.of[sight.rank][operation.number] = &operation;
                group.size = operation.ranks;
            }
        }
    }
    return groups;
}

using Made = std::vector<std::pair<Rank, const Operation*>>;  // of one shape

std::map<Shape, Made> shapes_at(const Group& group, std::uint64_t number) {
    std::map<Shape, Made> shapes;
    for (const auto& [rank, operations] : group.of) {
        if (const auto here = operations.find(number); here != operations.end()) {
            shapes[shape_of(*here->second)].emplace_back(rank, here->second);
        }
    }
    return shapes;
}

// Whoever is not of the most frequent shape; all where no shape is more frequent than another.
void blame_the_fewer(const std::map<Shape, Made>& shapes,
                     std::uint64_t number,
                     std::vector<StuckRank>& found) {
    std::vector<const Made*> ordered;
    ordered.reserve(shapes.size());
    for (const auto& [shape, made] : shapes) {
        ordered.push_back(&made);
    }
    std::stable_sort(ordered.begin(), ordered.end(), [](const Made* a, const Made* b) {
        return a->size() > b->size();
    });
    const bool undecided = ordered[0]->size() == ordered[1]->size();
    for (std::size_t i = undecided ? 0 : 1; i < ordered.size(); ++i) {
        const auto& [other_rank, other] = ordered[i == 0 ? 1 : 0]->front();
        for (const auto& [rank, operation] : *ordered[i]) {
            found.push_back({rank,
                             fmt::format("made {} as collective {} where rank {} made {}",
                                         name_of(*operation),
                                         number,
                                         other_rank.value(),
                                         name_of(*other))});
        }
    }
}

// Looks at the lowest number where ranks differ.
void find_mismatched(const Group& group, std::vector<StuckRank>& found) {
    std::set<std::uint64_t> numbers;
    for (const auto& [rank, operations] : group.of) {
        for (const auto& [number, operation] : operations) {
            numbers.insert(number);
        }
    }
    for (const std::uint64_t number : numbers) {
        const auto shapes = shapes_at(group, number);
        if (shapes.size() > 1) {
            blame_the_fewer(shapes, number, found);
            return;
        }
    }
}

struct Front {  // how far a group has got
    std::uint64_t number = 0;
    const Operation* waited_in = nullptr;  // by a rank that has not come back
};

Front front_of(const Group& group) {
    Front front;
    for (const auto& [rank, operations] : group.of) {
        const auto& [number, last] = *operations.rbegin();
        if (number > front.number) {
            front = {.number = number, .waited_in = nullptr};
        }
        if (number == front.number && last->ended_ns == 0) {
            front.waited_in = last;
        }
    }
    return front;
}

void find_missing(const Group& group,
                  std::span<const RankSight> sights,
                  std::vector<StuckRank>& found) {
    const Front front = front_of(group);
    if (front.waited_in == nullptr) {
        return;
    }
    const bool of_all = group.size == sights.size();
    for (const RankSight& sight : sights) {
        const auto known = group.of.find(sight.rank);
        if (!sight.answered || (known == group.of.end() && !of_all)) {
            continue;
        }
        std::string last = "it has made none yet";
        if (known != group.of.end()) {
            const auto& [number, operation] = *known->second.rbegin();
            if (number >= front.number) {
                continue;
            }
            last = operation->ended_ns == 0 ? fmt::format("it is in {} ({}) since {}",
                                                          number,
                                                          name_of(*operation),
                                                          since(sight, operation->begun_ns))
                                            : fmt::format("its last was {} ({}), {} ago",
                                                          number,
                                                          name_of(*operation),
                                                          since(sight, operation->ended_ns));
        }
        found.push_back({sight.rank,
                         fmt::format("did not come to collective {} ({}); {}",
                                     front.number,
                                     name_of(*front.waited_in),
                                     last)});
    }
}

}  // namespace

std::vector<StuckRank> find_stuck(std::span<const RankSight> sights) {
    std::vector<StuckRank> found;
    for (const RankSight& sight : sights) {
        if (sight.seen.state == "T" || sight.seen.state == "t") {
            found.push_back({sight.rank, "is stopped by a signal or a debugger"});
        }
    }
    const auto groups = by_group(sights);
    for (const auto& [id, group] : groups) {
        find_mismatched(group, found);
    }
    std::vector<StuckRank> missing;
    for (const auto& [id, group] : groups) {
        find_missing(group, sights, missing);
    }
    // Who waits in an earlier collective is the victim of one who waits in none, if there is one.
    const auto is_victim = [sights](const StuckRank& stuck) {
        const auto sight = std::find_if(sights.begin(), sights.end(), [&](const RankSight& one) {
            return one.rank == stuck.rank;
        });
        return waits(*sight);
    };
    if (!std::all_of(missing.begin(), missing.end(), is_victim)) {
        std::erase_if(missing, is_victim);
    }
    found.insert(found.end(), missing.begin(), missing.end());
    for (const RankSight& sight : sights) {
        if (!sight.answered) {
            found.push_back({sight.rank, "its agent does not answer"});
        }
    }
    std::set<Rank> named;
    std::erase_if(found, [&](const StuckRank& one) { return !named.insert(one.rank).second; });
    return found;
}

std::string describe(std::span<const RankSight> sights) {
    std::string text;
    for (const RankSight& sight : sights) {
        text += fmt::format("rank {}: {}\n",
                            sight.rank.value(),
                            !sight.answered          ? "its agent did not answer"
                            : sight.seen.state == "" ? "gone"
                                                     : "state " + sight.seen.state);
        constexpr std::size_t operations_max = 5;
        const auto& operations = sight.seen.operations;
        const std::size_t skipped =
            operations.size() > operations_max ? operations.size() - operations_max : 0;
        for (std::size_t i = skipped; i < operations.size(); ++i) {
            const Operation& one = operations[i];
            text +=
                fmt::format("  {} {} of group {:x}: {}\n",
                            name_of(one),
                            one.number,
                            one.group,
                            one.ended_ns == 0
                                ? fmt::format("has not returned for {}", since(sight, one.begun_ns))
                                : fmt::format("returned {} ago", since(sight, one.ended_ns)));
        }
        for (std::size_t at = 0; at < sight.seen.threads.size();) {
            const std::size_t end = sight.seen.threads.find('\n', at);
            text += fmt::format("  thread {}\n", sight.seen.threads.substr(at, end - at));
            at = end == std::string::npos ? end : end + 1;
        }
        for (std::size_t at = 0; at < sight.seen.stacks.size();) {
            const std::size_t end = sight.seen.stacks.find('\n', at);
            text += fmt::format("    {}\n", sight.seen.stacks.substr(at, end - at));
            at = end == std::string::npos ? end : end + 1;
        }
    }
    return text;
}

}  // namespace mpitrain
