#include "straggler_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace mpitrain {

namespace {

constexpr std::int64_t window_ns = 5'000'000'000;
constexpr int windows_to_change = 2;
constexpr std::uint64_t operations_min = 10;  // in a window; fewer say nothing about a habit
constexpr std::uint64_t steps_min = 3;
constexpr double share_min = 0.2;
constexpr double spreads_min = 5;
constexpr double steps_share_max = 2.0 / 3;
constexpr double deviation_of_normal = 1.4826;  // of a median deviation

// What programs write is only ever believed as far as it makes sense.
std::uint64_t grown(std::uint64_t now, std::uint64_t before) {
    return now > before ? now - before : 0;
}

// 0 of none.
double median(std::vector<double> values) {
    if (values.empty()) {
        return 0;
    }
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    if (values.size() % 2 != 0) {
        return *middle;
    }
    return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

std::vector<double> without(const std::vector<double>& values, std::size_t index) {
    std::vector<double> others = values;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(index));
    return others;
}

double spread(const std::vector<double>& values, double middle) {
    std::vector<double> deviations;
    for (const double value : values) {
        deviations.push_back(std::abs(value - middle));
    }
    return deviation_of_normal * median(std::move(deviations));
}

}  // namespace

void StragglerWatch::attempt_started() {
    ranks_.clear();
    begin_ns_.reset();
}

void StragglerWatch::progressed(Rank rank, std::uint64_t step) {
    ranks_[rank].now.steps = step;
}

void StragglerWatch::active(Rank rank, std::uint64_t operations, std::uint64_t spent_ns) {
    ranks_[rank].now.operations = operations;
    ranks_[rank].now.spent_ns = spent_ns;
}

std::map<Rank, double> StragglerWatch::slow_in(double window) const {
    std::vector<Rank> names;
    std::vector<double> waits;
    std::vector<double> steps;
    bool recorded = true;
    bool reported = true;
    for (const auto& [rank, state] : ranks_) {
        const std::uint64_t made = grown(state.now.operations, state.at_begin.operations);
        const std::uint64_t taken = grown(state.now.steps, state.at_begin.steps);
        names.push_back(rank);
        waits.push_back(static_cast<double>(grown(state.now.spent_ns, state.at_begin.spent_ns)));
        steps.push_back(static_cast<double>(taken));
        recorded = recorded && made >= operations_min;
        reported = reported && taken >= steps_min;
    }
    std::map<Rank, double> slow;
    for (std::size_t i = 0; i < names.size() && names.size() > 1 && (recorded || reported); ++i) {
        const std::vector<double> others = without(recorded ? waits : steps, i);
        const double middle = median(others);
        const double lack = middle - (recorded ? waits[i] : steps[i]);
        if (recorded && lack > share_min * window && lack > spreads_min * spread(others, middle)) {
            slow[names[i]] = lack / window;
        } else if (!recorded && steps[i] < steps_share_max * middle) {
            slow[names[i]] = lack / middle;
        }
    }
    return slow;
}

std::vector<StragglerWatch::Change> StragglerWatch::judge(const std::map<Rank, double>& slow) {
    std::vector<Change> changes;
    for (auto& [rank, state] : ranks_) {
        const auto found = slow.find(rank);
        const bool is_slow = found != slow.end();
        state.windows = is_slow == state.slow_by.has_value() ? 0 : state.windows + 1;
        if (is_slow && state.slow_by) {
            state.slow_by = found->second;
        }
        if (state.windows < windows_to_change) {
            continue;
        }
        state.windows = 0;
        state.slow_by = is_slow ? std::optional(found->second) : std::nullopt;
        changes.push_back({rank, is_slow, state.slow_by.value_or(0)});
    }
    return changes;
}

std::vector<StragglerWatch::Change> StragglerWatch::look(std::int64_t now_ns) {
    if (begin_ns_ && now_ns - *begin_ns_ < window_ns) {
        return {};
    }
    std::vector<Change> changes;
    if (begin_ns_) {
        changes = judge(slow_in(static_cast<double>(now_ns - *begin_ns_)));
    }
    begin_ns_ = now_ns;
    for (auto& [rank, state] : ranks_) {
        state.at_begin = state.now;
    }
    return changes;
}

std::string StragglerWatch::text() const {
    const auto worst =
        std::max_element(ranks_.begin(), ranks_.end(), [](const auto& a, const auto& b) {
            return a.second.slow_by.value_or(0) < b.second.slow_by.value_or(0);
        });
    if (worst == ranks_.end() || !worst->second.slow_by) {
        return "";
    }
    return fmt::format(
        "rank {} slow: others wait {:.0f} %", worst->first.value(), *worst->second.slow_by * 100);
}

}  // namespace mpitrain
