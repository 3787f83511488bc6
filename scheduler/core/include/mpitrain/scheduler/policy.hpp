#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/scheduler/gang_request.hpp"

namespace mpitrain::scheduler {

inline constexpr Nanoseconds never = Nanoseconds::max();

// What a policy says of one job at one moment.
struct Standing {
    // Jobs of a lower level go first, and may preempt those of a higher one. 0 <= level < levels().
    int level = 0;
    double order = 0;     // among pending jobs of one level, lowest first; then by submission
    bool marked = false;  // whatever the policy wants to remember of the job; it is told next time
    Nanoseconds changes_at = never;  // ask again then, if nothing else happened to the job before
};

// What a policy may know of a job.
struct JobView {
    const GangRequest& request;
    int nodes = 1;  // how many it spans
    Nanoseconds submitted{};
    Nanoseconds attained{};  // time it has run so far, over all attempts
    bool running = false;
    bool marked = false;  // by its last standing

    // How much longer it has been here than it has run.
    [[nodiscard]] Nanoseconds delay(Nanoseconds now) const { return now - submitted - attained; }
};

// What happens behind a job that must wait.
enum class Backfill : std::uint8_t {
    none,          // nobody passes it
    any,           // whoever fits starts
    easy,          // whoever fits and does not delay the first job that waits, by what is estimated
    conservative,  // nor any of the first 64
};

// Who goes first. A value without state: equal questions get equal answers. The core asks when a
// job is submitted, starts, stops, and when changes_at is reached.
class Policy {
  public:
    virtual ~Policy() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;
    // More than one level makes the policy preempt. At most levels_max.
    [[nodiscard]] virtual int levels() const { return 1; }
    [[nodiscard]] virtual Backfill backfill() const { return Backfill::any; }
    // Whether it plans by estimates, so that without any it is not what its name says.
    [[nodiscard]] bool plans() const {
        return backfill() == Backfill::easy || backfill() == Backfill::conservative;
    }
    [[nodiscard]] virtual Standing standing(const JobView& job, Nanoseconds now) const = 0;
    // Whether the simulator must tell it the true duration as the estimate.
    [[nodiscard]] virtual bool is_oracle() const { return false; }

    static constexpr int levels_max = 128;
};

// The default: least attained service first, sizes made comparable, nobody forgotten. Needs no
// estimate and knows no duration.
//
// A job's service is its run time times the square root of its slots: half-way between counting
// time alone (which lets one large job hold up many small ones) and slots times time (which pushes
// large gangs behind everybody). Levels are steps of `ratio` in service, from `first`; within a
// level jobs go by submission and do not preempt one another. A gang of several nodes stands one
// level better, since it can only ever use places that fall empty together. One point of priority
// is one level.
//
// Nobody is forgotten. A gang of several nodes that has been delayed for `patience` goes before all
// that are not overdue, and gains a level each time that doubles, up to four; others go before all
// but those once they have been delayed for `patience` and `patience_ratio` times their run time.
struct ServiceOptions {
    Nanoseconds first = std::chrono::minutes(10);
    double ratio = 3;
    int steps = 10;
    double size_exponent = 0.5;
    int gang_bonus = 1;
    Nanoseconds patience = std::chrono::hours(12);
    double patience_ratio = 16;
    // A job with a deadline and an estimate becomes overdue this long, and a tenth of what it has
    // still to run, before it must run.
    Nanoseconds deadline_slack = std::chrono::minutes(5);
};
std::unique_ptr<Policy> service_policy(const ServiceOptions& options);

// fair-share: by the share of the account, then by submission; the same bounds on waiting as the
// default. It preempts only for those, and where accounts yield or lend (AccountsSpec).
std::unique_ptr<Policy> fair_share_policy();
// priority: the higher goes first and preempts the lower, by submission among equals. Priorities
// from -50 to 50 are told apart.
std::unique_ptr<Policy> priority_policy();

// Least attained service in GPU-seconds with fixed thresholds and nothing against starvation: the
// published kind, for comparison.
std::unique_ptr<Policy> las_policy(std::string name, std::vector<double> thresholds_gpu_hours);

std::unique_ptr<Policy> fifo_policy();
std::unique_ptr<Policy> easy_policy();
std::unique_ptr<Policy> conservative_policy();
std::unique_ptr<Policy> first_fit_policy();         // submission order, whoever fits starts
std::unique_ptr<Policy> shortest_oracle_policy();   // sjf-oracle: slots * duration, no preemption
std::unique_ptr<Policy> remaining_oracle_policy();  // srsf-oracle: slots * remaining, preempting

// By the names of `--policy`. Errors: not_found, naming them all.
Result<std::unique_ptr<Policy>> make_policy(std::string_view name);
std::vector<std::string_view> policy_names();

}  // namespace mpitrain::scheduler
