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
#include "mpitrain/scheduler/forecast.hpp"

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
        case Estimates::learned:
            return "learned";
    }
    return "?";
}

const std::string& account_of(const TraceJob& job) {
    return job.user.empty() ? job.queue : job.user;
}

namespace {

constexpr std::size_t moments_max = 4000;

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
        double pace = 1;
        Nanoseconds expected = never;  // start, as the core said when it came
    };
    enum class What : std::uint8_t { ended, node_up, node_lost, wake };
    struct Happening {
        Nanoseconds at;
        What what;
        std::int64_t number;  // trace index, or node
        int attempt;
        auto operator<=>(const Happening&) const = default;
    };

    GangRequest request_of(const TraceJob& job);
    Result<void> tell(decltype(Event::what) what);
    Result<void> carry_out_orders();
    Result<void> carry_out(const Start& start);
    Result<void> carry_out(const Stop& stop);
    void leave(std::size_t index);
    void finish(std::size_t index);
    void advance(Nanoseconds to);
    Result<void> happen(const Happening& moment);
    Result<void> submit();
    void ask(std::size_t index);
    void note_moment();
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
    std::priority_queue<Happening, std::vector<Happening>, std::greater<>> moments_;
    std::deque<Action> orders_;
    Nanoseconds now_{};
    Nanoseconds wake_ = never;
    std::size_t next_ = 0;  // of the trace
    std::size_t over_ = 0;
    std::int64_t busy_ = 0;
    std::size_t had_to_wait_ = 0;
    LearnedEstimates learned_;
    Nanoseconds first_{};
    Nanoseconds moment_every_ = std::chrono::seconds(1);
    Nanoseconds next_moment_{};
    SimResult result_;
};

GangRequest World::request_of(const TraceJob& job) {
    GangRequest request{.job = job.job,
                        .shape = {.slots = job.gpus, .min_slots = job.gpus_min},
                        .priority = job.priority,
                        .account = account_of(job)};
    for (const JobId other : job.after) {
        const auto known = index_.find(other);
        if (known != index_.end() && known->second < next_ && !jobs_[known->second].over) {
            request.after.push_back({other, AfterKind::ended});  // else it is over, or never was
        }
    }
    if (job.deadline) {
        request.deadline = job.submitted + *job.deadline;
    }
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
        case Estimates::learned:
            request.estimate = job.estimate;
            request.estimate = learned_.estimate(request);
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
    if (job.first_start == never && job.expected != never) {
        const double wait = seconds(now_ - trace_.jobs[index].submitted);
        const double error = std::abs(seconds(job.expected - now_));
        result_.answers.start_error_s.push_back(error);
        result_.answers.start_error.push_back(wait > 0 ? error / wait : error > 0 ? 1 : 0);
    }
    job.first_start = std::min(job.first_start, now_);
    busy_ += job.gpus;
    ++result_.starts;
    // A gang with fewer GPUs than it wants runs so much longer.
    const int wanted = trace_.jobs[index].gpus;
    job.pace = trace_.jobs[index].gpus_min > 0 && job.gpus < wanted
                   ? static_cast<double>(job.gpus) / wanted
                   : 1;
    const auto runs = job.pace < 1 ? Nanoseconds(static_cast<std::int64_t>(
                                         static_cast<double>(job.left.count()) / job.pace))
                                   : job.left;
    moments_.push({now_ + runs, What::ended, static_cast<std::int64_t>(index), job.attempt});
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
    const Nanoseconds wall = now_ - job.started;
    const auto ran =
        job.pace < 1
            ? Nanoseconds(static_cast<std::int64_t>(static_cast<double>(wall.count()) * job.pace))
            : wall;
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
    while (next_moment_ < to) {
        note_moment();
        next_moment_ += moment_every_;
    }
    now_ = to;
}

// As it has been since the step before. When there are too many, every other is let go.
void World::note_moment() {
    auto& moments = result_.moments;
    moments.push_back({seconds(next_moment_ - first_), busy_, core_.pending()});
    if (moments.size() >= moments_max) {
        for (std::size_t i = 0; 2 * i < moments.size(); ++i) {
            moments[i] = moments[2 * i];
        }
        moments.resize((moments.size() + 1) / 2);
        moment_every_ *= 2;
    }
}

void World::finish(std::size_t index) {
    const Running& job = jobs_[index];
    const TraceJob& traced = trace_.jobs[index];
    if (estimates_ == Estimates::learned) {
        GangRequest told{.job = traced.job, .estimate = traced.estimate};
        told.account = account_of(traced);
        learned_.ended(told, traced.duration);
    }
    result_.jobs.push_back({.job = traced.job,
                            .account = account_of(traced),
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

Result<void> World::happen(const Happening& moment) {
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

Result<void> World::submit() {
    const std::size_t index = next_++;
    const TraceJob& job = trace_.jobs[index];
    jobs_[index].left = job.duration;
    const GangRequest request = request_of(job);
    if (options_.check) {
        checker_.submitted(request);
    }
    return tell(Submitted{request});
}

// Why a job that has just come waits, and until when.
void World::ask(std::size_t index) {
    if (jobs_[index].live || jobs_[index].over) {
        return;
    }
    Answers& answers = result_.answers;
    const JobId job = trace_.jobs[index].job;
    const auto before = std::chrono::steady_clock::now();
    const auto why = core_.explain(job);
    const auto explained = std::chrono::steady_clock::now();
    ++answers.asked;
    answers.explain_us.push_back(
        std::chrono::duration<double, std::micro>(explained - before).count());
    if (!why || why->cause == Cause::none || why->text.empty()) {
        ++answers.without_cause;
    } else {
        ++answers.causes[std::string(to_string(why->cause))];
    }
    if (had_to_wait_++ % static_cast<std::size_t>(options_.forecast_every) == 0) {
        const auto starts = forecast(core_);
        answers.forecast_ms.push_back(
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - explained)
                .count());
        const auto start = starts.find(job);
        if (start == starts.end()) {
            ++answers.without_start;
        } else {
            jobs_[index].expected = start->second;
        }
    }
}

Result<SimResult> World::run() {
    if (trace_.jobs.empty()) {
        return std::move(result_);
    }
    now_ = first_ = next_moment_ = trace_.jobs.front().submitted;
    const Nanoseconds last = options_.until > never - first_ ? never : first_ + options_.until;
    for (std::size_t node = 0; node < cluster_.nodes.size(); ++node) {
        plan_loss(NodeId(static_cast<int>(node)));
    }
    while (over_ < trace_.jobs.size()) {
        // At one moment attempts end and timers ring before jobs arrive.
        Happening next{wake_, What::wake, 0, 0};
        if (!moments_.empty() && moments_.top().at <= next.at) {
            next = moments_.top();
        }
        const bool submits = next_ < trace_.jobs.size() && trace_.jobs[next_].submitted < next.at;
        const Nanoseconds at = submits ? trace_.jobs[next_].submitted : next.at;
        if (at == never) {
            return Error(ErrorCode::internal,
                         fmt::format("{} jobs wait and nothing will ever happen",
                                     trace_.jobs.size() - over_));
        }
        if (at > last) {
            advance(last);
            break;
        }
        advance(std::max(at, now_));
        if (submits) {
            MPITRAIN_TRY_VOID(submit());
        } else {
            if (next.what == What::wake) {
                wake_ = never;
            } else {
                moments_.pop();
            }
            MPITRAIN_TRY_VOID(happen(next));
        }
        MPITRAIN_TRY_VOID(carry_out_orders());
        if (submits && options_.forecast_every > 0) {
            ask(next_ - 1);
        }
    }
    MPITRAIN_TRY_VOID(tell(Tick{}));  // so that shares are those of now
    result_.shares = core_.shares();
    result_.unfinished = trace_.jobs.size() - over_;
    result_.span_s = seconds(now_ - first_);
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
    MPITRAIN_TRY(
        Core core,
        Core::create(cluster,
                     std::move(policy),
                     {.accounts = options.accounts, .preemption_cost = options.preemption_cost}));
    return World(cluster, trace, std::move(core), options, estimates).run();
}

}  // namespace mpitrain::sim
