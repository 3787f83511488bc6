#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "attempt.hpp"
#include "event_log.hpp"

// What an attempt does with each message of its agents.
namespace mpitrain {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto reports_in_flight = 40ms;   // a failure's siblings
constexpr auto origin_delay = 400ms;       // the peer that a first failure blames
constexpr auto engine_text_delay = 250ms;  // MPI_Abort's text takes the way through mpirun
constexpr auto guard_report_delay = 1s;  // an agent's guard must first end the agent's descendants

// A rank's own account of its failure, that lay on its machine. Also in the verdict; so where it
// cannot be written, nothing is lost.
void keep_error_file(const std::string& path, const std::string& text) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
}

}  // namespace

void Attempt::on_message(const std::shared_ptr<AgentLink>& link, wire::Message message) {
    if (const auto* greeting = std::get_if<wire::Hello>(&message)) {
        hello(link, *greeting);
        return;
    }
    const auto known = rank_of_.find(link.get());
    if (known == rank_of_.end()) {
        link->close();
        return;
    }
    const Rank rank = known->second;
    member(rank).heard_ns = monotonic_ns();
    std::visit(
        [&](auto&& body) {
            using Body = std::decay_t<decltype(body)>;
            if constexpr (std::is_same_v<Body, wire::Progress>) {
                observer_.on_progress(rank, body);
            } else if constexpr (std::is_same_v<Body, wire::Activity>) {
                observer_.on_activity(rank, body);
            } else if constexpr (std::is_same_v<Body, wire::Credit>) {
                observer_.on_input_taken(body.bytes);
            } else if constexpr (requires { handle(rank, std::forward<decltype(body)>(body)); }) {
                handle(rank, std::forward<decltype(body)>(body));
            }
        },
        std::move(message));
}

// Whether a Hello comes from an agent of this job. Over a network the seal has told that already;
// there mpirun must also have put the rank where the plan has it.
bool Attempt::is_known(const AgentLink& link, const wire::Hello& hello) const {
    const bool in_range = hello.rank >= 0 && static_cast<std::size_t>(hello.rank) < members_.size();
    if (!in_range || hello.version != wire::protocol_version) {
        return false;
    }
    if (input_.hosts == nullptr) {
        const int peer = link.peer_uid();
        return peer == static_cast<int>(::geteuid()) || peer == 0;
    }
    const auto node = input_.hosts->nodes.find(host_of(Rank(hello.rank)));
    return link.is_sealed() && node != input_.hosts->nodes.end() &&
           (hello.guard || hello.host == node->second.hostname);
}

void Attempt::hello(const std::shared_ptr<AgentLink>& link, const wire::Hello& hello) {
    std::erase(strangers_, link);
    if (!is_known(*link, hello)) {
        link->close();
        return;
    }
    const Rank rank(hello.rank);
    Member& known = member(rank);
    if (hello.guard ? known.ended.has_value() : known.link != nullptr) {
        link->close();
        return;
    }
    if (known.link) {
        rank_of_.erase(known.link.get());
        known.link->close();
    }
    known.link = link;
    known.heard_ns = monotonic_ns();
    if (input_.hosts != nullptr) {
        known.host = host_of(rank);
    } else if (!hello.host.empty()) {  // a guard that speaks for its agent does not say
        known.host = hello.host;
    }
    rank_of_[link.get()] = rank;
    if (hello.guard) {
        return;  // speaks for its dead agent: an Ended follows
    }
    if (rank == Rank(0)) {
        master_port_ = hello.held_port;
    }
    if (++hellos_ == static_cast<int>(members_.size()) && phase_ == Phase::launching) {
        start_gang();
    }
}

void Attempt::on_link_closed(const AgentLink& link) {
    const auto known = rank_of_.find(&link);
    if (known == rank_of_.end()) {
        std::erase_if(strangers_, [&](const auto& stranger) { return stranger.get() == &link; });
        return;
    }
    const Rank rank = known->second;
    rank_of_.erase(known);
    if (member(rank).output && !member(rank).drained) {
        member(rank).output->end();  // nothing more of it will come
        show_output(rank);
    }
    if (leaving_) {
        finish_when_gone();
        return;
    }
    if (phase_ == Phase::closing) {
        close_when_drained();
        return;
    }
    if (!member(rank).ended && phase_ != Phase::finished) {
        await_guard(rank);
    }
}

// The agent died. Its guard, or the end of the engine, will tell more; if neither does, the agent
// is lost.
void Attempt::await_guard(Rank rank) {
    const std::int64_t lost_ns = realtime_ns();
    auto timer = std::make_shared<Timer>(loop_, guard_report_delay);
    member(rank).host = member(rank).host.empty() ? "localhost" : member(rank).host;
    timer->async_wait([this, rank, timer, lost_ns, watched = std::weak_ptr(member(rank).link)](
                          boost::system::error_code) {
        const auto still = watched.lock();  // expires with this attempt
        if (still && member(rank).link == still && !member(rank).ended &&
            phase_ != Phase::finished) {
            lose(rank, "its connection was cut", input_.hosts != nullptr ? lost_ns : realtime_ns());
        }
    });
}

void Attempt::handle(Rank rank, const wire::Started& started) {
    member(rank).started = true;
    member(rank).started_ns = monotonic_ns();
    observer_.on_rank_started(rank, started.pid);
    if (++started_ == static_cast<int>(members_.size())) {
        observer_.on_all_running();
    }
}

void Attempt::handle(Rank rank, const wire::Commit& commit) {
    if (!outcome_.commit_step || commit.step >= *outcome_.commit_step) {
        outcome_.commit_step = commit.step;
        commit_ns_ = std::max(commit_ns_, commit.time_ns);
    }
    observer_.on_commit(rank, commit);
}

void Attempt::handle(Rank rank, const wire::SaveFailed& failure) {
    observer_.on_save_failed(rank, failure);
}

void Attempt::handle(Rank /*rank*/, const wire::StopRequested& request) {
    if (request.from_engine) {
        engine_stopping_ = true;
        if (phase_ == Phase::running || phase_ == Phase::launching) {
            settle(engine_text_delay);
        }
        return;
    }
    // What signals a rank's processes is likely to have signalled the engine too.
    engine_stopping_ = true;
    observer_.on_outside_signal(request.signal);
}

void Attempt::handle(Rank rank, wire::Ended ended) {
    Member& ending = member(rank);
    if (ending.ended) {
        return;
    }
    ended.time_ns -= ending.clock_ns;
    const bool clean_end = ended.how == wire::Ended::How::exited && ended.code == 0;
    if (ended.engine_gone && !clean_end && is_elsewhere(rank)) {
        // Not mpirun, but its daemon on that machine: MPI ranks end of it in ways of their own.
        ended.how = wire::Ended::How::agent_lost;
        ended.detail = "mpirun's daemon there died";
        ended.by_us = false;
    }
    if (ending.output && !ended.error_file.empty()) {
        keep_error_file(fmt::format("{}/rank-{}.error.json", input_.directories.logs, rank.value()),
                        ended.error_file);
    }
    const bool clean = ended.how == wire::Ended::How::exited && ended.code == 0;
    const RankEnd end{.rank = rank, .host = ending.host, .ended = ended};
    ending.ended = std::move(ended);
    observer_.on_rank_ended(end);
    if (!terminated_) {
        ends_.push_back(end);
    }
    const bool expected =
        clean || terminated_ || (phase_ == Phase::stopping && (ending.nudged || end.ended.by_us));
    if (!expected) {
        wait_for_origin(end.ended);
    }
    end_if_all_ended();
}

// A rank that blames a peer points at a failure that is still to be heard of.
void Attempt::wait_for_origin(const wire::Ended& failure) {
    const bool echo = blames_a_peer(failure);
    // Only the engine's text tells an exit by MPI_Abort from any other.
    const bool may_be_abort = failure.how == wire::Ended::How::exited && !report_.aborted_rank;
    awaits_engine_text_ = engine_stopping_ || may_be_abort;
    const auto usual = awaits_engine_text_ ? engine_text_delay : reports_in_flight;
    if (phase_ == Phase::settling && only_echoes_ && !echo) {
        after(phase_timer_, usual, &Attempt::conclude);
    }
    only_echoes_ = echo && (only_echoes_ || phase_ != Phase::settling);
    settle(echo ? std::max(usual, origin_delay) : usual);
}

void Attempt::on_engine_text(std::string_view text) {
    const bool knew = report_.aborted_rank.has_value();
    input_.engine.read(text, report_);
    if (phase_ == Phase::settling && report_.aborted_rank && !knew) {
        awaits_engine_text_ = false;
        after(phase_timer_, reports_in_flight, &Attempt::conclude);
    }
    if (phase_ == Phase::launching && report_.gives_up) {
        settle(engine_text_delay);  // an agent died too early to say so itself
    }
}

void Attempt::handle(Rank rank, const wire::Drained& /*drained*/) {
    Member& drained = member(rank);
    drained.drained = true;
    if (drained.output) {
        drained.output->end();
        show_output(rank);
    }
    const bool clean =
        drained.ended && drained.ended->how == wire::Ended::How::exited && drained.ended->code == 0;
    if (clean && !drained.released) {
        // The engine may see this end: only it can tell whether the rank left MPI properly. Every
        // other end it never sees.
        drained.released = true;
        drained.link->send(wire::Release{});
    }
    if (phase_ == Phase::closing) {
        close_when_drained();
    }
}

}  // namespace mpitrain
