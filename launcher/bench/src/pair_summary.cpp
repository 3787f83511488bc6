#include "pair_summary.hpp"

#include <algorithm>
#include <functional>

#include "mpitrain/base/assert.hpp"

namespace mpitrain::bench {
namespace {

template <typename Projection>
Spread spread_over(const std::vector<Pair>& pairs, Projection projection) {
    std::vector<double> values;
    values.reserve(pairs.size());
    for (const Pair& pair : pairs) {
        values.push_back(std::invoke(projection, pair));
    }
    return spread_of(std::move(values));
}

}  // namespace

Spread spread_of(std::vector<double> values) {
    MPITRAIN_ASSERT(!values.empty());
    std::ranges::sort(values);
    const std::size_t middle = values.size() / 2;
    const double median =
        values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    return {.min = values.front(), .median = median, .max = values.back()};
}

PairSummary summarize(const std::vector<Pair>& pairs) {
    return {
        .bare_ms = spread_over(pairs, &Pair::bare_ms),
        .ours_ms = spread_over(pairs, &Pair::ours_ms),
        .ratio = spread_over(pairs, [](const Pair& p) { return p.ours_ms / p.bare_ms; }).median,
        .difference_ms =
            spread_over(pairs, [](const Pair& p) { return p.ours_ms - p.bare_ms; }).median,
    };
}

}  // namespace mpitrain::bench
