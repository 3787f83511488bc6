#include <algorithm>
#include <cmath>
#include <tuple>

#include "mpitrain/scheduler/policy.hpp"

namespace mpitrain::scheduler {
namespace {

double seconds(Nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

Nanoseconds nanoseconds(double seconds) {
    constexpr double most = 9e9;  // beyond that it does not matter, and a count could overflow
    return Nanoseconds(static_cast<std::int64_t>(std::min(seconds, most) * 1e9));
}

// Steps of service, and the moment at which a running job reaches the next one.
struct Step {
    int number = 0;
    Nanoseconds next_after = never;  // more run time until the next step
};

Step step_of(double service, double weight, const std::vector<double>& thresholds) {
    // Timers are rounded to nanoseconds: a job that is there within a microsecond is there.
    const double reached = service + 1e-6 * weight;
    const auto next = std::upper_bound(thresholds.begin(), thresholds.end(), reached);
    Step step;
    step.number = static_cast<int>(next - thresholds.begin());
    if (next != thresholds.end()) {
        step.next_after = nanoseconds((*next - service) / weight);
    }
    return step;
}

Nanoseconds later(Nanoseconds now, Nanoseconds after) {
    return after > never - now ? never : now + after;
}

class ServicePolicy final : public Policy {
  public:
    ServicePolicy(std::string name, const ServiceOptions& options)
        : name_(std::move(name)), options_(options) {
        double threshold = seconds(options.first);
        for (int step = 0; step + 1 < options.steps; ++step) {
            thresholds_.push_back(threshold);
            threshold *= options.ratio;
        }
    }
    [[nodiscard]] std::string_view name() const override { return name_; }
    [[nodiscard]] int levels() const override { return first_step + options_.steps; }

    [[nodiscard]] Standing standing(const JobView& job, Nanoseconds now) const override {
        const Standing standing = job.nodes > 1 && job.delay(now) >= options_.patience
                                      ? overdue_gang(job, now)
                                      : ordinary(job, now);
        return with_deadline(job, now, standing);
    }

  private:
    // Levels, the best first: gangs of several nodes that are overdue, by how long; others that
    // are; then the steps of service.
    static constexpr int grades = 4;
    static constexpr int overdue_others = grades;
    static constexpr int first_step = overdue_others + 1;

    // Each doubling of the delay is worth a level, so that a gang that needs the whole cluster gets
    // past smaller ones that are overdue too. While it runs, its delay stands still.
    [[nodiscard]] Standing overdue_gang(const JobView& job, Nanoseconds now) const {
        int grade = 1;
        Nanoseconds next = 2 * options_.patience;
        while (grade < grades && job.delay(now) >= next) {
            ++grade;
            next *= 2;
        }
        Standing standing{.level = grades - grade};
        if (!job.running && grade < grades) {
            standing.changes_at = later(now, next - job.delay(now));
        }
        return standing;
    }

    [[nodiscard]] Standing ordinary(const JobView& job, Nanoseconds now) const {
        const Nanoseconds limit =
            options_.patience +
            (job.nodes > 1 ? Nanoseconds{}
                           : nanoseconds(options_.patience_ratio * seconds(job.attained)));
        // Having run may raise the limit again: who was overdue once remains so.
        if (job.marked || (!job.running && job.delay(now) >= limit)) {
            return {.level = overdue_others, .marked = true};
        }
        const double weight = std::pow(job.request.shape.slots, options_.size_exponent);
        const Step step = step_of(seconds(job.attained) * weight, weight, thresholds_);
        const int bonus = job.request.priority + (job.nodes > 1 ? options_.gang_bonus : 0);
        Standing standing;
        standing.level = first_step + std::clamp(step.number - bonus, 0, options_.steps - 1);
        standing.changes_at = later(now, job.running ? step.next_after : limit - job.delay(now));
        return standing;
    }

    // One that would miss its deadline if it waited any longer goes with those that are overdue, as
    // long as it can still meet it.
    [[nodiscard]] Standing with_deadline(const JobView& job,
                                         Nanoseconds now,
                                         Standing standing) const {
        const auto& [deadline, estimate] = std::tie(job.request.deadline, job.request.estimate);
        if (!deadline || !estimate) {
            return standing;
        }
        const Nanoseconds left = std::max(*estimate - job.attained, Nanoseconds{});
        const Nanoseconds latest = *deadline - left;
        const Nanoseconds urgent = latest - left / 10 - options_.deadline_slack;
        if (now > latest && !job.running) {
            return standing;
        }
        if (now < urgent) {
            standing.changes_at = std::min(standing.changes_at, urgent);
        } else if (standing.level > overdue_others) {
            standing = {.level = overdue_others,
                        .marked = standing.marked,
                        .changes_at = later(latest, Nanoseconds(1))};
        }
        return standing;
    }

    std::string name_;
    ServiceOptions options_;
    std::vector<double> thresholds_;
};

class LasPolicy final : public Policy {
  public:
    LasPolicy(std::string name, std::vector<double> thresholds)
        : name_(std::move(name)), thresholds_(std::move(thresholds)) {}
    [[nodiscard]] std::string_view name() const override { return name_; }
    [[nodiscard]] int levels() const override { return static_cast<int>(thresholds_.size()) + 1; }

    [[nodiscard]] Standing standing(const JobView& job, Nanoseconds now) const override {
        const double weight = job.request.shape.slots;
        const Step step = step_of(seconds(job.attained) * weight, weight, thresholds_);
        return {.level = step.number,
                .changes_at = job.running ? later(now, step.next_after) : never};
    }

  private:
    std::string name_;
    std::vector<double> thresholds_;
};

}  // namespace

std::unique_ptr<Policy> service_policy(const ServiceOptions& options) {
    return std::make_unique<ServicePolicy>("default", options);
}

std::unique_ptr<Policy> fair_share_policy() {
    return std::make_unique<ServicePolicy>("fair-share", ServiceOptions{.steps = 1});
}

std::unique_ptr<Policy> las_policy(std::string name, std::vector<double> thresholds_gpu_hours) {
    for (double& threshold : thresholds_gpu_hours) {
        threshold *= 3600;
    }
    return std::make_unique<LasPolicy>(std::move(name), std::move(thresholds_gpu_hours));
}

}  // namespace mpitrain::scheduler
