#include "choose_leaves.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

namespace mpitrain::scheduler {
namespace {

using Rooms = std::vector<LeafRoom>;

void sort_by_room(Rooms& rooms) {
    std::stable_sort(rooms.begin(), rooms.end(), [](const LeafRoom& a, const LeafRoom& b) {
        return a.room > b.room;
    });
}

int total(const Rooms& rooms) {
    return std::accumulate(
        rooms.begin(), rooms.end(), 0, [](int sum, const LeafRoom& r) { return sum + r.room; });
}

// How many of the roomiest leaves together hold `need`; 0 = all do not.
int fewest_leaves(const Rooms& descending, int need) {
    int count = 0;
    for (const LeafRoom& room : descending) {
        ++count;
        need -= room.room;
        if (need <= 0) {
            return count;
        }
    }
    return 0;
}

// One way to serve the gang: the rooms of its leaves, descending, and who gives what.
struct Choice {
    std::vector<int> taken;
    std::vector<LeafShare> shares;
};

// Smaller rooms taken leave larger ones: `taken` lexicographically smaller is criterion 3.
bool better(const Choice& a, const Choice& b) {
    if (a.taken != b.taken) {
        return a.taken < b.taken;
    }
    return std::lexicographical_compare(
        a.shares.begin(),
        a.shares.end(),
        b.shares.begin(),
        b.shares.end(),
        [](const LeafShare& x, const LeafShare& y) { return x.leaf < y.leaf; });
}

// The rooms to take, descending: leaves are left out, roomiest first, as long as `count` of those
// after them still suffice.
std::vector<int> smallest_sufficient(const Rooms& descending, int need, int count) {
    std::vector<int> sums = {0};
    for (const LeafRoom& room : descending) {
        sums.push_back(sums.back() + room.room);
    }
    std::vector<int> taken;
    const std::size_t size = descending.size();
    auto left = static_cast<std::size_t>(count);
    for (std::size_t i = 0; i < size && left > 0; ++i) {
        const bool others_suffice =
            i + 1 + left <= size && sums[i + 1 + left] - sums[i + 1] >= need;
        if (!others_suffice) {
            taken.push_back(descending[i].room);
            need -= descending[i].room;
            --left;
        }
    }
    return taken;
}

// The best choice of exactly `count` leaves out of these, which must suffice.
Choice choose_among(const Rooms& descending, int need, int count) {
    Choice choice;
    choice.taken = smallest_sufficient(descending, need, count);
    std::map<int, int, std::greater<>> wanted;
    for (const int room : choice.taken) {
        ++wanted[room];
    }
    for (const LeafRoom& room : descending) {  // equal rooms stand in cluster order
        const auto entry = wanted.find(room.room);
        if (entry != wanted.end() && entry->second > 0) {
            --entry->second;
            choice.shares.push_back({room.leaf, room.room});
        }
    }
    std::sort(choice.shares.begin(), choice.shares.end(), [](const auto& a, const auto& b) {
        return a.leaf < b.leaf;
    });
    // What is left over stays in one leaf, the last, so that the nodes taken come first.
    const int sum = std::accumulate(choice.taken.begin(), choice.taken.end(), 0);
    choice.shares.back().count -= sum - need;
    return choice;
}

std::vector<Rooms> split_blocks(const Rooms& descending) {
    std::map<int, Rooms> blocks;
    for (const LeafRoom& room : descending) {
        blocks[room.block].push_back(room);
    }
    std::vector<Rooms> found;
    found.reserve(blocks.size());
    for (auto& [block, rooms] : blocks) {
        found.push_back(std::move(rooms));
    }
    return found;
}

std::optional<Choice> choose_in_one_block(const std::vector<Rooms>& blocks, int need, int count) {
    std::optional<Choice> best;
    for (const Rooms& rooms : blocks) {
        const int own = fewest_leaves(rooms, need);
        if (own == 0 || own > count) {
            continue;
        }
        Choice choice = choose_among(rooms, need, count);
        if (!best || better(choice, *best)) {
            best = std::move(choice);
        }
    }
    return best;
}

// The sets of `size` out of `all`, or nothing when there are too many to try.
std::vector<std::vector<std::size_t>> sets_of(std::size_t all, std::size_t size) {
    double number = 1;
    for (std::size_t i = 0; i < size; ++i) {
        number = number * static_cast<double>(all - i) / static_cast<double>(i + 1);
    }
    std::vector<std::vector<std::size_t>> sets;
    if (number > block_sets_max) {
        return sets;
    }
    std::vector<std::size_t> set(size);
    std::iota(set.begin(), set.end(), std::size_t{0});
    while (true) {
        sets.push_back(set);
        std::size_t i = size;
        while (i > 0 && set[i - 1] == all - size + i - 1) {
            --i;
        }
        if (i == 0) {
            return sets;
        }
        ++set[i - 1];
        for (std::size_t j = i; j < size; ++j) {
            set[j] = set[j - 1] + 1;
        }
    }
}

// The leaves of some blocks, descending by room, equal ones in cluster order.
Rooms merged(const std::vector<Rooms>& blocks, std::vector<std::size_t> set) {
    std::sort(set.begin(), set.end());
    Rooms all;
    for (const std::size_t block : set) {
        all.insert(all.end(), blocks[block].begin(), blocks[block].end());
    }
    sort_by_room(all);
    return all;
}

// Blocks in the order of what their `count` roomiest leaves hold, added until they suffice.
Choice choose_in_roomiest_blocks(const std::vector<Rooms>& blocks, int need, int count) {
    std::vector<std::size_t> order(blocks.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::vector<int> holds;
    for (const Rooms& rooms : blocks) {
        const auto first = std::min(rooms.size(), static_cast<std::size_t>(count));
        holds.push_back(total(Rooms(rooms.begin(), rooms.begin() + static_cast<long>(first))));
    }
    std::stable_sort(
        order.begin(), order.end(), [&](auto a, auto b) { return holds[a] > holds[b]; });
    // All blocks suffice, so the number of them can be searched by halves.
    std::size_t low = 1;
    std::size_t high = order.size();
    const auto first = [&](std::size_t size) {
        return merged(blocks, std::vector(order.begin(), order.begin() + static_cast<long>(size)));
    };
    while (low < high) {
        const std::size_t middle = (low + high) / 2;
        const int leaves = fewest_leaves(first(middle), need);
        if (leaves > 0 && leaves <= count) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return choose_among(first(low), need, count);
}

Choice choose_over_blocks(const std::vector<Rooms>& blocks, int need, int count) {
    for (std::size_t size = 2; size < blocks.size(); ++size) {
        const auto sets = sets_of(blocks.size(), size);
        if (sets.empty()) {
            return choose_in_roomiest_blocks(blocks, need, count);
        }
        std::optional<Choice> best;
        for (const auto& set : sets) {
            const Rooms rooms = merged(blocks, set);
            const int own = fewest_leaves(rooms, need);
            if (own == 0 || own > count) {
                continue;
            }
            Choice choice = choose_among(rooms, need, count);
            if (!best || better(choice, *best)) {
                best = std::move(choice);
            }
        }
        if (best) {
            return *best;
        }
    }
    std::vector<std::size_t> every(blocks.size());
    std::iota(every.begin(), every.end(), std::size_t{0});
    return choose_among(merged(blocks, every), need, count);
}

}  // namespace

std::vector<LeafShare> choose_leaves(const std::vector<LeafRoom>& rooms, int need, Level within) {
    Rooms descending = rooms;
    sort_by_room(descending);
    int count = fewest_leaves(descending, need);
    if (count == 0 || (count > 1 && within <= Level::leaf)) {
        return {};
    }
    if (count == 1) {
        return choose_among(descending, need, 1).shares;
    }
    const auto blocks = split_blocks(descending);
    if (within == Level::block) {
        count = 0;
        for (const Rooms& block : blocks) {
            const int own = fewest_leaves(block, need);
            count = own > 0 && (count == 0 || own < count) ? own : count;
        }
        if (count == 0) {
            return {};
        }
    }
    if (auto choice = choose_in_one_block(blocks, need, count)) {
        return choice->shares;
    }
    return choose_over_blocks(blocks, need, count).shares;
}

}  // namespace mpitrain::scheduler
