#pragma once

#include <string>
#include <vector>

namespace mpitrain::collectives::bench {

// What a slot showed before a job. Higher is better, but for the latency.
struct SlotScore {
    int rank = 0;
    std::string host;
    double memory_gb_s = 0;         // copying its own memory, alone
    std::vector<double> pair_mb_s;  // to each other rank, by rank; 0 for itself
    std::vector<double> pair_us;    // one way, by rank
};

struct Suspect {
    int rank = 0;
    std::string why;  // one line, no full stop
};

// The ranks that are slow beside the median of all, and the pairs that are slow though neither of
// their ranks is: below `share_min` of it. With two ranks there is no telling whose fault a pair
// is, and only memory is compared. Pure.
std::vector<Suspect> find_suspects(const std::vector<SlotScore>& scores, double share_min);

// The pairs of ranks that exchange in a round, of ranks - 1 rounds (one more where it is odd), so
// that each meets each other once; -1 = sits out. Pure.
int partner_in_round(int rank, int round, int ranks);

}  // namespace mpitrain::collectives::bench
