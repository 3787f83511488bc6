// Policies that are told the truth, as bounds to compare with. Only a simulator can have them.
#include <algorithm>
#include <cmath>

#include "mpitrain/scheduler/policy.hpp"

namespace mpitrain::scheduler {
namespace {

double service_left(const JobView& job) {
    const Nanoseconds whole = job.request.estimate.value_or(Nanoseconds{});
    const double left = std::chrono::duration<double>(whole - job.attained).count();
    return std::max(left, 0.0) * job.request.shape.slots;
}

class ShortestOracle final : public Policy {
  public:
    [[nodiscard]] std::string_view name() const override { return "sjf-oracle"; }
    [[nodiscard]] bool is_oracle() const override { return true; }
    [[nodiscard]] Standing standing(const JobView& job, Nanoseconds now) const override {
        static_cast<void>(now);
        return {.order = service_left(job)};
    }
};

// Preempting needs levels: here steps of 1.2 in GPU-seconds left, from a minute to 100 GPU-years.
class RemainingOracle final : public Policy {
  public:
    [[nodiscard]] std::string_view name() const override { return "srsf-oracle"; }
    [[nodiscard]] bool is_oracle() const override { return true; }
    [[nodiscard]] int levels() const override { return level_count; }
    [[nodiscard]] Standing standing(const JobView& job, Nanoseconds now) const override {
        const double left = service_left(job);
        Standing standing{.level = level_of(left), .order = left};
        if (job.running && standing.level > 0) {
            // When so much is left that the next level is reached.
            const double next = first * std::pow(ratio, standing.level - 1);
            const double after = (left - next) / job.request.shape.slots;
            standing.changes_at =
                now + Nanoseconds(static_cast<std::int64_t>(std::max(after, 0.0) * 1e9) + 1000);
        }
        return standing;
    }

  private:
    static constexpr int level_count = 96;
    static constexpr double first = 60;
    static constexpr double ratio = 1.2;
    static int level_of(double left) {
        if (left <= first) {
            return 0;
        }
        const double level = std::log(left / first) / std::log(ratio);
        return std::min(static_cast<int>(level) + 1, level_count - 1);
    }
};

}  // namespace

std::unique_ptr<Policy> shortest_oracle_policy() {
    return std::make_unique<ShortestOracle>();
}
std::unique_ptr<Policy> remaining_oracle_policy() {
    return std::make_unique<RemainingOracle>();
}

}  // namespace mpitrain::scheduler
