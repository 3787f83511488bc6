#include "mpitrain/sim/simulate.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <deque>
#include <queue>
#include <random>
#include <unordered_map>

#include "checker.hpp"
#include "mpitrain/base/assert.hpp"

namespace mpitrain::sim {

using namespace scheduler;

std::string_view to_string(Estimates estimates) {
    switch (estimates) {
        case Estimates::automatic:
            return "automatic";
        case Estimates::none:
            return "none";
        case Estimates::exact:
            return "exact";
        case Estimates::column:
            return "column";
        case Estimates::noisy:
            return "noisy";
    }
    return "?";
}

namespace {

double seconds(Nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

Estimates resolve(Estimates asked, const Policy& policy, const Trace& trace) {
    if (asked != Estimates::automatic) {
        return asked;
    }
    if (policy.is_oracle()) {
        return Estimates::exact;
    }
    if (trace.has_estimates) {
        return Estimates::column;
    }
    return policy.plans() ? Estimates::exact : Estimates::none;
}

// One run: the world around the core.
class World {
  public:
    World(const ClusterSpec& cluster,
          const Trace& trace,
          Core core,
          const SimOptions& options,
          Estimates estimates)
        : cluster_(cluster),
          trace_(trace),
          options_(options),
          estimates_(estimates),
          core_(std::move(core)),
          checker_(cluster),
          random_(options.seed),
          jobs_(trace.jobs.size()) {
        for (const NodeSpec& node : cluster.nodes) {
            result_.total_gpus += node.slots;
        }
        result_.estimates = estimates;
        for (std::size_t i = 0; i < trace.jobs.size(); ++i) {
            index_.emplace(trace.jobs[i].job, i);
        }
        lost_.assign(cluster.nodes.size(), 0);
    }

    Result<SimResult> run();

  private:
    struct Running {
        Nanoseconds left{};  // work still to do when it last started
        Nanoseconds started{};
        int attempt = 0;
        bool live = false;
        bool over = false;
        int gpus = 0;  // held
        int preemptions = 0;
        Nanoseconds first_start = never;
    };
    enum class What : std::uint8_t { ended, node_up, node_lost, wake };
    struct Moment {
        Nanoseconds at;
        What what;
        std::int64_t number;  // trace index, or node
        int attempt;
        auto operator<=>(const Moment&) const = default;
    };

    GangRequest request_of(const TraceJob& job);
    Result<void> tell(decltype(Event::what) what);
    Result<void> carry_out_orders();
    Result<void> carry_out(const Start& start);
    Result<void> carry_out(const Stop& stop);
    void leave(std::size_t index);
    void finish(std::size_t index);
    void advance(Nanoseconds to);
    Result<void> happen(const Moment& moment);
    void plan_loss(NodeId node);
    void note(std::int64_t a, std::int64_t b);

    const ClusterSpec& cluster_;
    const Trace& trace_;
    const SimOptions& options_;
    Estimates estimates_;
    Core core_;
    Checker checker_;
    std::mt19937_64 random_;
    std::vector<Running> jobs_;  // by trace index
    std::unordered_map<JobId, std::size_t> index_;
    std::vector<char> lost_;
    std::priority_queue<Moment, std::vector<Moment>, std::greater<>> moments_;
    std::deque<Action> orders_;
    Nanoseconds now_{};
    Nanoseconds wake_ = never;
    std::size_t next_ = 0;  // of the trace
    std::size_t over_ = 0;
    std::int64_t busy_ = 0;
    SimResult result_;
};

GangRequest World::request_of(const TraceJob& job) {
    GangRequest request{.job = job.job,
                        .shape = {.slots = job.gpus},
                        .priority = job.priority,
                        .account = job.user};
    switch (estimates_) {
        case Estimates::automatic:
        case Estimates::none:
            break;
        case Estimates::exact:
            request.estimate = job.duration;
            break;
        case Estimates::column:
            request.estimate = job.estimate;
            break;
        case Estimates::noisy: {
            std::normal_distribution<double> error(0, options_.noise_sigma);
            const double guess = seconds(job.duration) * std::exp(error(random_));
            request.estimate = Nanoseconds(static_cast<std::int64_t>(std::min(guess, 9e9) * 1e9));
            break;
        }
    }
    return request;
}

void World::note(std::int64_t a, std::int64_t b) {
    for (const std::int64_t value : {static_cast<std::int64_t>(now_.count()), a, b}) {
        result_.decisions_digest =
            (result_.decisions_digest ^ static_cast<std::uint64_t>(value)) * 1099511628211ULL + 1;
    }
}

// Hands one event to the core and carries out all that follows from it.
Result<void> World::tell(decltype(Event::what) what) {
    const auto before = std::chrono::steady_clock::now();
    auto actions = core_.step({now_, std::move(what)});
    result_.step_wall_s +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
    ++result_.steps;
    MPITRAIN_TRY(const auto orders, std::move(actions));
    orders_.insert(orders_.end(), orders.begin(), orders.end());
    return {};
}

Result<void> World::carry_out(const Start& start) {
    const std::size_t index = index_.at(start.job);
    Running& job = jobs_[index];
    if (options_.check) {
        checker_.started(start);
    }
    note(start.job.value(), start.where.front().node.value());
    job.live = true;
    job.attempt = start.attempt;
    job.started = now_;
    job.gpus = slot_count(start.where);
    job.first_start = std::min(job.first_start, now_);
    busy_ += job.gpus;
    ++result_.starts;
    moments_.push({now_ + job.left, What::ended, static_cast<std::int64_t>(index), job.attempt});
    return {};
}

// Attempts stop at once here; a lost node also takes the work since the last checkpoint.
Result<void> World::carry_out(const Stop& stop) {
    const std::size_t index = index_.at(stop.job);
    Running& job = jobs_[index];
    if (options_.check) {
        checker_.stopped(stop);
    }
    note(-stop.job.value(), stop.attempt);
    const Nanoseconds ran = now_ - job.started;
    Nanoseconds lost = options_.preemption_cost;
    if (stop.reason == StopReason::node_lost) {
        const Nanoseconds every = options_.faults.checkpoint_every;
        lost += every.count() > 0 ? ran % every : Nanoseconds{};
    } else {
        ++job.preemptions;
        ++result_.preemptions;
    }
    job.left += lost - ran;
    leave(index);
    return tell(Ended{stop.job, stop.attempt, true});
}

void World::leave(std::size_t index) {
    Running& job = jobs_[index];
    job.live = false;
    busy_ -= job.gpus;
    if (options_.check) {
        checker_.ended(trace_.jobs[index].job, job.attempt);
    }
}

Result<void> World::carry_out_orders() {
    while (!orders_.empty()) {
        const Action action = std::move(orders_.front());
        orders_.pop_front();
        if (const auto* start = std::get_if<Start>(&action)) {
            MPITRAIN_TRY_VOID(carry_out(*start));
        } else if (const auto* stop = std::get_if<Stop>(&action)) {
            MPITRAIN_TRY_VOID(carry_out(*stop));
        } else if (const auto* wake = std::get_if<WakeAt>(&action)) {
            wake_ = wake->at;
        } else if (const auto* rejected = std::get_if<Rejected>(&action)) {
            jobs_[index_.at(rejected->job)].over = true;
            ++over_;
            ++result_.rejected;
        }
    }
    return {};
}

void World::advance(Nanoseconds to) {
    const double elapsed = seconds(to - now_);
    if (core_.pending() > 0) {
        result_.idle_while_queued_gpu_s += elapsed * core_.free_slots();
    }
    result_.busy_gpu_s += elapsed * static_cast<double>(busy_);
    now_ = to;
}

void World::finish(std::size_t index) {
    const Running& job = jobs_[index];
    const TraceJob& traced = trace_.jobs[index];
    result_.jobs.push_back({.job = traced.job,
                            .gpus = traced.gpus,
                            .submitted_s = seconds(traced.submitted),
                            .started_s = seconds(job.first_start),
                            .ended_s = seconds(now_),
                            .duration_s = seconds(traced.duration),
                            .preemptions = job.preemptions});
    jobs_[index].over = true;
    ++over_;
    if (options_.progress && over_ % 4096 == 0) {
        options_.progress(static_cast<double>(over_) / static_cast<double>(jobs_.size()));
    }
}

void World::plan_loss(NodeId node) {
    if (options_.faults.node_mtbf.count() > 0) {
        std::exponential_distribution<double> wait(1 / seconds(options_.faults.node_mtbf));
        const auto after =
            Nanoseconds(static_cast<std::int64_t>(std::min(wait(random_), 9e8) * 1e9));
        moments_.push({now_ + after, What::node_lost, node.value(), 0});
    }
}

Result<void> World::happen(const Moment& moment) {
    const NodeId node(static_cast<int>(moment.number));
    switch (moment.what) {
        case What::ended: {
            const auto index = static_cast<std::size_t>(moment.number);
            if (!jobs_[index].live || jobs_[index].attempt != moment.attempt) {
                return {};  // it was stopped before
            }
            leave(index);
            finish(index);
            return tell(Ended{trace_.jobs[index].job, moment.attempt, false});
        }
        case What::node_lost:
            checker_.node(node, false);
            ++result_.nodes_lost;
            moments_.push({now_ + options_.faults.repair, What::node_up, moment.number, 0});
            return tell(NodeLost{node});
        case What::node_up:
            checker_.node(node, true);
            plan_loss(node);
            return tell(NodeUp{node});
        case What::wake:
            return tell(Tick{});
    }
    return {};
}

Result<SimResult> World::run() {
    if (trace_.jobs.empty()) {
        return std::move(result_);
    }
    now_ = trace_.jobs.front().submitted;
    const Nanoseconds first = now_;
    for (std::size_t node = 0; node < cluster_.nodes.size(); ++node) {
        plan_loss(NodeId(static_cast<int>(node)));
    }
    while (over_ < trace_.jobs.size()) {
        // At one moment attempts end and timers ring before jobs arrive.
        Moment next{wake_, What::wake, 0, 0};
        if (!moments_.empty() && moments_.top().at <= next.at) {
            next = moments_.top();
        }
        if (next_ < trace_.jobs.size() && trace_.jobs[next_].submitted < next.at) {
            const TraceJob& job = trace_.jobs[next_];
            advance(job.submitted);
            jobs_[next_].left = job.duration;
            ++next_;
            const GangRequest request = request_of(job);
            if (options_.check) {
                checker_.submitted(request);
            }
            MPITRAIN_TRY_VOID(tell(Submitted{request}));
        } else {
            if (next.at == never) {
                return Error(ErrorCode::internal,
                             fmt::format("{} jobs wait and nothing will ever happen",
                                         trace_.jobs.size() - over_));
            }
            if (next.what == What::wake) {
                wake_ = never;
            } else {
                moments_.pop();
            }
            advance(std::max(next.at, now_));
            MPITRAIN_TRY_VOID(happen(next));
        }
        MPITRAIN_TRY_VOID(carry_out_orders());
    }
    result_.span_s = seconds(now_ - first);
    result_.checker_violations = checker_.violations();
    result_.first_violation = checker_.first();
    return std::move(result_);
}

}  // namespace

Result<SimResult> simulate(const ClusterSpec& cluster,
                           const Trace& trace,
                           std::unique_ptr<Policy> policy,
                           const SimOptions& options) {
    const Estimates estimates = resolve(options.estimates, *policy, trace);
    MPITRAIN_TRY(Core core, Core::create(cluster, std::move(policy)));
    return World(cluster, trace, std::move(core), options, estimates).run();
}

}  // namespace mpitrain::sim
