// Policies that only order the queue, or preempt by what the user said alone.
#include <algorithm>

#include "mpitrain/scheduler/policy.hpp"

namespace mpitrain::scheduler {
namespace {

// By priority, then by submission.
class SubmissionOrder final : public Policy {
  public:
    SubmissionOrder(std::string_view name, Backfill backfill) : name_(name), backfill_(backfill) {}
    [[nodiscard]] std::string_view name() const override { return name_; }
    [[nodiscard]] Backfill backfill() const override { return backfill_; }
    [[nodiscard]] Standing standing(const JobView& job, Nanoseconds now) const override {
        static_cast<void>(now);
        return {.order = -static_cast<double>(job.request.priority)};
    }

  private:
    std::string_view name_;  // a literal
    Backfill backfill_;
};

class PriorityPolicy final : public Policy {
  public:
    [[nodiscard]] std::string_view name() const override { return "priority"; }
    [[nodiscard]] int levels() const override { return 2 * most + 1; }
    [[nodiscard]] Standing standing(const JobView& job, Nanoseconds now) const override {
        static_cast<void>(now);
        return {.level = most - std::clamp(job.request.priority, -most, most)};
    }

  private:
    static constexpr int most = 50;
};

}  // namespace

std::unique_ptr<Policy> priority_policy() {
    return std::make_unique<PriorityPolicy>();
}
std::unique_ptr<Policy> fifo_policy() {
    return std::make_unique<SubmissionOrder>("fifo", Backfill::none);
}
std::unique_ptr<Policy> easy_policy() {
    return std::make_unique<SubmissionOrder>("easy", Backfill::easy);
}
std::unique_ptr<Policy> conservative_policy() {
    return std::make_unique<SubmissionOrder>("conservative", Backfill::conservative);
}
std::unique_ptr<Policy> first_fit_policy() {
    return std::make_unique<SubmissionOrder>("first-fit", Backfill::any);
}

}  // namespace mpitrain::scheduler
