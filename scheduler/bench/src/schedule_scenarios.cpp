// T8: on 500 nodes of 8 GPUs, what took another scheduler minutes. Decision time alone: the host
// ends at once whatever it is told to stop.
#include <fmt/format.h>

#include <chrono>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/scheduler/core.hpp"
#include "schedule_bench.hpp"

namespace mpitrain::bench {
namespace {

using namespace scheduler;
using Clock = std::chrono::steady_clock;

constexpr int nodes = 500;
constexpr int gpus = nodes * 8;

class Scenario {
  public:
    explicit Scenario(std::string_view policy, const AccountsSpec& accounts = {})
        : core_(*Core::create(
              uniform_cluster({.nodes = nodes, .nodes_per_leaf = 8, .leaves_per_block = 32}),
              *make_policy(policy),
              {.accounts = accounts})) {}

    // Tells the core, ends what is to stop, and counts what starts.
    void tell(decltype(Event::what) what) {
        std::vector<Event> events = {{now_, std::move(what)}};
        for (std::size_t i = 0; i < events.size(); ++i) {
            const auto before = Clock::now();
            const auto actions = core_.step(events[i]);
            spent_s_ += std::chrono::duration<double>(Clock::now() - before).count();
            MPITRAIN_ASSERT(actions.has_value());
            for (const Action& action : *actions) {
                if (const auto* stop = std::get_if<Stop>(&action)) {
                    events.push_back({now_, Ended{stop->job, stop->attempt, true}});
                }
                started_ += std::holds_alternative<Start>(action) ? 1 : 0;
                rejected_ += std::holds_alternative<Rejected>(action) ? 1 : 0;
            }
        }
    }

    JobId submit(int slots, std::string_view account, bool preemptible = true) {
        const JobId job(++last_);
        tell(Submitted{{.job = job,
                        .shape = {.slots = slots},
                        .preemptible = preemptible,
                        .account = std::string(account)}});
        return job;
    }

    void fill(std::string_view account, bool preemptible = true) {
        for (int i = 0; i < gpus; ++i) {
            submit(1, account, preemptible);
        }
    }

    // From here on it counts.
    void begin() {
        now_ += std::chrono::minutes(1);
        spent_s_ = 0;
        started_ = 0;
    }
    [[nodiscard]] ScheduleRow row(std::string what) const {
        return row_of("T8", gpus, std::move(what), {spent_s_}, {1, "s", 1});
    }
    [[nodiscard]] int started() const { return started_; }
    [[nodiscard]] int rejected() const { return rejected_; }
    [[nodiscard]] Core& core() { return core_; }
    [[nodiscard]] double& spent_s() { return spent_s_; }

  private:
    Core core_;
    Nanoseconds now_{};
    std::int64_t last_ = 0;
    double spent_s_ = 0;
    int started_ = 0;
    int rejected_ = 0;
};

// One account has borrowed everything, all of which is another's.
AccountsSpec lender() {
    return {.accounts = {{.name = "borrower", .quota = 0}, {.name = "owner", .quota = gpus}}};
}

ScheduleRow reclaim(int gangs, int slots, std::string_view what) {
    Scenario scenario("default", lender());
    scenario.fill("borrower");
    scenario.begin();
    for (int i = 0; i < gangs; ++i) {
        scenario.submit(slots, "owner");
    }
    MPITRAIN_ASSERT(scenario.started() == gangs);
    return scenario.row(std::string(what));
}

// One job of one slot on every node: 3,500 slots are free, and not a node is.
ScheduleRow consolidate() {
    Scenario scenario("first-fit");
    for (int i = 0; i < nodes; ++i) {
        scenario.submit(8, "");
    }
    for (int i = 0; i < nodes; ++i) {
        scenario.tell(Ended{JobId(i + 1)});
        scenario.submit(1, "");
        scenario.submit(7, "");
    }
    for (int i = 0; i < nodes; ++i) {
        scenario.tell(Ended{JobId(nodes + 2 * i + 2)});
    }
    scenario.begin();
    for (int i = 0; i < 41; ++i) {
        const JobId gang = scenario.submit(80, "");
        scenario.tell(Consolidated{gang});
    }
    MPITRAIN_ASSERT(scenario.core().pending() == 0);
    return scenario.row("consolidate for 41 gangs of 10 nodes");
}

ScheduleRow unschedulable() {
    Scenario scenario("default");
    scenario.fill("", false);
    scenario.begin();
    scenario.submit(gpus + 8, "");
    MPITRAIN_ASSERT(scenario.rejected() == 1);
    const JobId waits = scenario.submit(gpus, "");
    const auto before = Clock::now();
    MPITRAIN_ASSERT(scenario.core().explain(waits)->cause == Cause::slots);
    scenario.spent_s() += std::chrono::duration<double>(Clock::now() - before).count();
    return scenario.row("the verdict that a gang can never run, and that one cannot now");
}

}  // namespace

std::vector<ScheduleRow> measure_scenarios() {
    Scenario filled("default");
    filled.begin();
    filled.fill("");
    MPITRAIN_ASSERT(filled.started() == gpus);
    return {filled.row("fill with 4000 jobs"),
            reclaim(gpus, 1, "have back 4000 slots for 4000 jobs"),
            reclaim(50, 80, "have back 4000 slots for 50 gangs of 10 nodes"),
            consolidate(),
            reclaim(1, gpus, "have back 4000 slots for one gang"),
            unschedulable()};
}

}  // namespace mpitrain::bench
