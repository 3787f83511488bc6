#include "preflight_verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace mpitrain::collectives::bench {

namespace {

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values.empty() ? 0 : values[values.size() / 2];
}

// Of a rank's pairs; one bad partner does not pull it down.
double typical_pair(const SlotScore& score) {
    std::vector<double> others = score.pair_mb_s;
    others.erase(others.begin() + score.rank);
    return median(std::move(others));
}

}  // namespace

int partner_in_round(int rank, int round, int ranks) {
    // The circle method: the last seat is fixed, the others move on by one each round.
    const int seats = ranks + ranks % 2;
    const int moving = seats - 1;
    if (rank == seats - 1) {
        // Of the moving ones, who meets itself: 2 x = round.
        const int half = round % 2 == 0 ? round / 2 : (round + moving) / 2;
        return half < ranks ? half : -1;
    }
    const int other = ((round - rank) % moving + moving) % moving;
    const int partner = other == rank ? seats - 1 : other;
    return partner < ranks ? partner : -1;
}

std::vector<Suspect> find_suspects(const std::vector<SlotScore>& scores, double share_min) {
    std::vector<Suspect> suspects;
    std::vector<double> memory;
    std::vector<double> pairs;
    for (const SlotScore& score : scores) {
        memory.push_back(score.memory_gb_s);
        pairs.push_back(typical_pair(score));
    }
    const double usual_memory = median(memory);
    const double usual_pair = median(pairs);
    std::set<int> slow;
    for (std::size_t i = 0; i < scores.size() && scores.size() > 1; ++i) {
        if (memory[i] < share_min * usual_memory) {
            suspects.push_back(
                {scores[i].rank,
                 fmt::format("copies {:.1f} GB/s of its memory, where {:.1f} are usual",
                             memory[i],
                             usual_memory)});
        }
        if (scores.size() > 2 && pairs[i] < share_min * usual_pair) {
            slow.insert(scores[i].rank);
            suspects.push_back(
                {scores[i].rank,
                 fmt::format("exchanges {:.0f} MB/s with the others, where {:.0f} are usual",
                             pairs[i],
                             usual_pair)});
        }
    }
    for (const SlotScore& score : scores) {
        for (std::size_t other = 0; other < score.pair_mb_s.size() && scores.size() > 2; ++other) {
            const int peer = static_cast<int>(other);
            if (peer > score.rank && slow.count(peer) == 0 && slow.count(score.rank) == 0 &&
                score.pair_mb_s[other] < share_min * usual_pair) {
                suspects.push_back(
                    {score.rank,
                     fmt::format("exchanges only {:.0f} MB/s with rank {}, where {:.0f} are usual",
                                 score.pair_mb_s[other],
                                 peer,
                                 usual_pair)});
            }
        }
    }
    return suspects;
}

}  // namespace mpitrain::collectives::bench
