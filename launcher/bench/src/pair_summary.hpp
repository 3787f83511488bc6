#pragma once

#include <vector>

namespace mpitrain::bench {

// One round: both sides measured one right after the other.
struct Pair {
    double bare_ms = 0;
    double ours_ms = 0;
};

struct Spread {
    double min = 0;
    double median = 0;
    double max = 0;
};

// Ratio and difference are medians over the rounds of what each pair says. On a machine whose load
// drifts they are steadier than the ratio of the two medians.
struct PairSummary {
    Spread bare_ms;
    Spread ours_ms;
    double ratio = 0;          // ours / bare
    double difference_ms = 0;  // ours - bare
};

// `values` and `pairs` hold at least one.
Spread spread_of(std::vector<double> values);
PairSummary summarize(const std::vector<Pair>& pairs);

}  // namespace mpitrain::bench
