#include "hang_monitor.hpp"

#include <algorithm>

namespace mpitrain {

void HangMonitor::attempt_started() {
    steps_.clear();
    operations_.clear();
    moves_ = 0;
}

void HangMonitor::progressed(Rank rank, std::uint64_t step, std::int64_t now_ns) {
    moved(steps_, rank, step, now_ns);
}

void HangMonitor::active(Rank rank, std::uint64_t operations, std::int64_t now_ns) {
    moved(operations_, rank, operations, now_ns);
}

void HangMonitor::moved(Counts& counts, Rank rank, std::uint64_t count, std::int64_t now_ns) {
    const auto [known, first] = counts.try_emplace(rank, count);
    if (!first && count == known->second) {
        return;
    }
    known->second = count;
    if (moves_ > 0) {
        longest_pause_ns_ = std::max(longest_pause_ns_, now_ns - moved_ns_);
    }
    moved_ns_ = now_ns;
    ++moves_;
}

std::int64_t HangMonitor::limit_ns() const {
    constexpr std::int64_t shortest_ns = 60'000'000'000;
    constexpr std::int64_t pauses = 20;
    return mode_ == HangTimeoutMode::fixed ? timeout_ns_
                                           : std::max(shortest_ns, pauses * longest_pause_ns_);
}

std::optional<Rank> HangMonitor::stuck(std::int64_t now_ns) const {
    const Counts& counts = steps_.empty() ? operations_ : steps_;
    if (mode_ == HangTimeoutMode::off || counts.empty() || now_ns - moved_ns_ <= limit_ns()) {
        return std::nullopt;
    }
    return std::ranges::min_element(counts, {}, [](const auto& entry) { return entry.second; })
        ->first;
}

}  // namespace mpitrain
