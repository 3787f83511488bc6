#include "mpitrain/scheduler/forecast.hpp"

#include <algorithm>
#include <queue>
#include <unordered_set>

namespace mpitrain::scheduler {
namespace {

struct End {
    Nanoseconds at;
    JobId job;
    int attempt;
    bool operator>(const End& other) const {
        return std::tie(at, job) > std::tie(other.at, other.job);
    }
};

// A host without anything behind it.
class Ahead {
  public:
    Ahead(const Core& core, const ForecastOptions& options)
        : core_(core.copy()), now_(core.now()), steps_left_(options.steps_max) {
        until_ = options.span > never - now_ ? never : now_ + options.span;
        for (const LiveAttempt& live : core.live()) {
            ends_.push({live.expected_end, live.job, live.attempt});
            if (live.requeues) {
                stopping_.insert(live.job);
            }
        }
        waiting_ = core.pending();
        wake_ = core.wakes_at();
    }

    std::unordered_map<JobId, Nanoseconds> run() {
        while (waiting_ > 0 && steps_left_-- > 0) {
            const Nanoseconds end = ends_.empty() ? never : ends_.top().at;
            const Nanoseconds next = std::max(std::min(end, wake_), now_);
            if (std::min(end, wake_) == never || next > until_) {
                break;
            }
            now_ = next;
            if (end <= wake_) {
                const End first = ends_.top();
                ends_.pop();
                follow(Ended{first.job, first.attempt, stopping_.erase(first.job) > 0, true});
            } else {
                wake_ = never;
                follow(Tick{});
            }
        }
        return std::move(starts_);
    }

  private:
    void follow(decltype(Event::what) what) {
        std::vector<Event> events = {{now_, std::move(what)}};
        for (std::size_t i = 0; i < events.size(); ++i) {
            const auto actions = core_.step(events[i]);
            if (!actions) {
                continue;  // an attempt that has ended meanwhile
            }
            for (const Action& action : *actions) {
                obey(action, events);
            }
        }
    }

    void obey(const Action& action, std::vector<Event>& events) {
        if (const auto* start = std::get_if<Start>(&action)) {
            if (starts_.emplace(start->job, now_).second && waiting_ > 0) {
                --waiting_;
            }
            ends_.push({core_.expected_end(start->job), start->job, start->attempt});
        } else if (const auto* stop = std::get_if<Stop>(&action)) {
            const bool again = stop->reason != StopReason::cancelled;
            events.push_back({now_, Ended{stop->job, stop->attempt, again, false}});
        } else if (const auto* wake = std::get_if<WakeAt>(&action)) {
            wake_ = wake->at;
        }
    }

    Core core_;
    Nanoseconds now_;
    Nanoseconds until_ = never;
    std::int64_t steps_left_;
    std::size_t waiting_ = 0;
    Nanoseconds wake_ = never;
    std::priority_queue<End, std::vector<End>, std::greater<>> ends_;
    std::unordered_set<JobId> stopping_;  // told to before, and will be queued again
    std::unordered_map<JobId, Nanoseconds> starts_;
};

double seconds(Nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

}  // namespace

std::unordered_map<JobId, Nanoseconds> forecast(const Core& core, const ForecastOptions& options) {
    return Ahead(core, options).run();
}

void LearnedEstimates::add(Runs& runs, double value) {
    runs.before = runs.count == 0 ? value : runs.last;
    runs.last = value;
    ++runs.count;
}

double LearnedEstimates::mean(const Runs& runs) {
    return (runs.last + runs.before) / 2;
}

void LearnedEstimates::ended(const GangRequest& request, Nanoseconds ran) {
    if (request.estimate && request.estimate->count() > 0) {
        add(shares_[request.account], std::min(seconds(ran) / seconds(*request.estimate), 1.0));
    }
    add(run_times_[request.account], seconds(ran));
}

std::optional<Nanoseconds> LearnedEstimates::estimate(const GangRequest& request) const {
    const auto in_time = [](double value) {
        return Nanoseconds(static_cast<std::int64_t>(std::min(value, 9e9) * 1e9));
    };
    if (request.estimate) {
        const auto known = shares_.find(request.account);
        return known == shares_.end() ? request.estimate
                                      : in_time(mean(known->second) * seconds(*request.estimate));
    }
    const auto known = run_times_.find(request.account);
    return known == run_times_.end() ? std::nullopt : std::optional(in_time(mean(known->second)));
}

}  // namespace mpitrain::scheduler
