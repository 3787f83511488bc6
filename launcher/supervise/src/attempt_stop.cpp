#include <csignal>

#include "attempt.hpp"
#include "event_log.hpp"

// How an attempt stops on request: agree on a step, tell every rank, wait until the deadline.
namespace mpitrain {

using namespace std::chrono_literals;

namespace {

constexpr auto reply_deadline =
    2s;  // an agent answers StopPrepare at once; one that does not is not waited for
constexpr auto nudge_period = 250ms;
// A program that links the client attaches within milliseconds of its start. One that has not after
// this long never will.
constexpr std::int64_t attach_time_ns = 2'000'000'000;

}  // namespace

void Attempt::stop(Nanoseconds grace) {
    outcome_.stop_requested = true;
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::duration_cast<Timer::duration>(grace);
    switch (phase_) {
        case Phase::launching:
            cut_engine();
            return;
        case Phase::running:
            begin_stop(deadline, grace);
            break;
        case Phase::stopping:
            stop_deadline_ = std::min(stop_deadline_, deadline);
            if (stop_step_) {
                tell_stop();  // again, for what is new is the deadline
            }
            break;
        case Phase::closing:
            if (grace == 0ns && !all_drained_) {
                cut_engine();  // insisted on: what nobody reads stays in the files
            }
            return;
        case Phase::settling:
            // Whoever signals all processes at once, as slurmd does, is heard of first by way of
            // the engine, which then wants to end. No rank has.
            if (!engine_stopping_ || !ends_.empty()) {
                return;
            }
            begin_stop(deadline, grace);
            break;
        case Phase::ending:
        case Phase::finished:
            return;
    }
    deadline_timer_.expires_at(stop_deadline_);
    deadline_timer_.async_wait([this](boost::system::error_code error) {
        if (!error && phase_ == Phase::stopping) {
            phase_ = Phase::ending;
            terminate_all(SIGKILL, 0ns);
            constexpr auto reports = 2s;
            after(phase_timer_, reports, &Attempt::cut_engine);
            end_if_all_ended();
        }
    });
}

void Attempt::begin_stop(std::chrono::steady_clock::time_point deadline, Nanoseconds grace) {
    phase_timer_.cancel();
    phase_ = Phase::stopping;
    stop_asked_ns_ = realtime_ns();
    stop_deadline_ = deadline;
    stop_half_ = deadline - std::chrono::duration_cast<Timer::duration>(grace) / 2;
    ask_ranks_to_stop();
}

void Attempt::ask_ranks_to_stop() {
    for (const Rank rank : alive()) {
        if (member(rank).link) {
            member(rank).link->send(wire::StopPrepare{});
        }
    }
    after(phase_timer_, reply_deadline, &Attempt::decide_stop);
}

void Attempt::handle(Rank rank, const wire::StopPrepared& reply) {
    agreement_.replied(rank, reply);
    const std::vector<Rank> waited_for = alive();
    const bool complete =
        std::ranges::all_of(waited_for, [this](Rank r) { return agreement_.has(r); });
    if (phase_ == Phase::stopping && !stop_step_ && complete) {
        decide_stop();
    }
}

void Attempt::decide_stop() {
    if (phase_ != Phase::stopping || stop_step_) {
        return;
    }
    phase_timer_.cancel();
    stop_step_ = agreement_.stop_step();
    tell_stop();
    nudge();
}

void Attempt::tell_stop() {
    const Nanoseconds left = stop_deadline_ - std::chrono::steady_clock::now();
    for (const Rank rank : alive()) {
        member(rank).link->send(wire::StopDecide{.step = *stop_step_, .left_ns = left.count()});
    }
}

void Attempt::nudge() {
    if (phase_ != Phase::stopping) {
        return;
    }
    const bool past_half = std::chrono::steady_clock::now() >= stop_half_;
    for (const Rank rank : alive()) {
        Member& asked = member(rank);
        const auto reply = agreement_.replies().find(rank);
        const wire::ClientUse use =
            reply == agreement_.replies().end() ? wire::ClientUse::none : reply->second.use;
        const bool old_enough =
            asked.started && monotonic_ns() - asked.started_ns >= attach_time_ns;
        const bool without_client = use == wire::ClientUse::none && (old_enough || past_half);
        const bool never_asks = use == wire::ClientUse::attached && past_half;
        if (!asked.nudged && (without_client || never_asks)) {
            asked.nudged = true;
            asked.link->send(wire::Signal{.signal = SIGTERM});
        } else if (use != wire::ClientUse::polls) {
            asked.link->send(wire::StopPrepare{});  // idempotent: only its answer is wanted
        }
    }
    after(nudge_timer_, nudge_period, &Attempt::nudge);
}

void Attempt::signal_ranks(int signal) {
    for (const Rank rank : alive()) {
        if (member(rank).link) {
            member(rank).link->send(wire::Signal{.signal = signal});
        }
    }
}

void Attempt::grant(Rank rank, std::size_t bytes) {
    if (member(rank).output) {  // its agent has long been granted as much: our files hold it
        member(rank).output->grant(bytes);
        show_output(rank);
    } else if (member(rank).link) {
        member(rank).link->send(wire::Credit{.bytes = bytes});
    }
    if (phase_ == Phase::closing && engine_->running() && !all_drained_) {
        close_when_drained();  // output moves: be patient anew
    }
}

void Attempt::input(std::string bytes, bool end) {
    if (!members_.empty() && members_.front().link) {
        members_.front().link->send(wire::Input{.bytes = std::move(bytes), .end = end});
    }
}

void Attempt::resize(std::uint16_t rows, std::uint16_t columns) {
    for (const Rank rank : alive()) {
        if (member(rank).link) {
            member(rank).link->send(wire::WindowSize{.rows = rows, .columns = columns});
        }
    }
}

}  // namespace mpitrain
