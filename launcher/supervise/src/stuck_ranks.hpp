#pragma once

#include <span>
#include <string>
#include <vector>

#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/wire/message.hpp"

namespace mpitrain {

// What was seen of one rank after a stall.
struct RankSight {
    Rank rank;
    bool answered = false;  // its agent did
    wire::Inspected seen;
};

struct StuckRank {
    Rank rank;
    std::string why;  // "did not come to allreduce 17 (4 KiB); …": one line, no full stop
};

// Whom the others wait for, most telling first; none where it cannot be told from this. In this
// order: ranks that are stopped; ranks that made another collective than most at the same place;
// ranks that did not come to the collective that others are in, without those that wait elsewhere
// unless all do; ranks whose agent did not answer. Pure.
std::vector<StuckRank> find_stuck(std::span<const RankSight> sights);

// Everything seen, for people: of each rank its state, its last collectives and its threads.
std::string describe(std::span<const RankSight> sights);

}  // namespace mpitrain
