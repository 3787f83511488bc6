#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "attempt.hpp"
#include "event_log.hpp"
#include "mpitrain/base/duration.hpp"

// What an attempt does about ranks on other machines: hears whether they live, and keeps their
// output.
namespace mpitrain {

using namespace std::chrono_literals;

namespace {

constexpr auto look_period = 100ms;
constexpr auto gone_deadline = 3s;  // from the last Release to the agents' own ends
constexpr std::int64_t ns_per_ms = 1'000'000;

std::int64_t ping_period_ns(Nanoseconds heartbeat) {
    return std::clamp<std::int64_t>(heartbeat.count() / 5, 50 * ns_per_ms, 1000 * ns_per_ms);
}

}  // namespace

const std::string& Attempt::host_of(Rank rank) const {
    return input_.plan.ranks[static_cast<std::size_t>(rank.value())].host;
}

bool Attempt::is_elsewhere(Rank rank) const {
    if (input_.hosts == nullptr) {
        return false;
    }
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    const auto node = input_.hosts->nodes.find(host_of(rank));
    return node != input_.hosts->nodes.end() && node->second.hostname != name.data();
}

std::string Attempt::master_address() const {
    const std::string& first = host_of(Rank(0));
    const bool alone = std::ranges::all_of(
        input_.plan.ranks, [&first](const RankPlan& rank) { return rank.host == first; });
    return alone ? "127.0.0.1" : input_.hosts->nodes.at(first).address;
}

Result<void> Attempt::open_outputs() {
    if (input_.hosts == nullptr) {
        return {};
    }
    for (const RankPlan& rank : input_.plan.ranks) {
        const std::string prefix =
            fmt::format("{}/rank-{}", input_.directories.logs, rank.rank.value());
        MPITRAIN_TRY(member(rank.rank).output,
                     RankOutput::create(prefix, input_.shown.contains(rank.rank)));
    }
    return {};
}

void Attempt::handle(Rank rank, wire::Output output) {
    Member& from = member(rank);
    if (!from.output) {
        observer_.on_output(rank, output.stream, std::move(output.bytes));
        return;
    }
    from.output->append(output.stream, output.bytes);
    from.link->send(wire::Credit{.bytes = output.bytes.size()});
    show_output(rank);
}

void Attempt::show_output(Rank rank) {
    for (const wire::Stream stream : {wire::Stream::out, wire::Stream::err}) {
        for (std::string lines = member(rank).output->take(stream); !lines.empty();
             lines = member(rank).output->take(stream)) {
            observer_.on_output(rank, stream, std::move(lines));
        }
    }
}

bool Attempt::is_drained(const Member& member) const {
    const bool told = member.drained || !member.link || !member.link->is_open();
    return told && (!member.output || member.output->drained());
}

// --- who is still there ---

void Attempt::beat() {
    const std::int64_t now_ns = monotonic_ns();
    // Stopped for a while ourselves, we have no right to call anybody else silent.
    const std::int64_t late_ns = beat_ns_ == 0 ? 0 : now_ns - beat_ns_ - 1000 * ns_per_ms;
    if (late_ns > 0) {
        for (Member& each : members_) {
            each.heard_ns += late_ns;
        }
    }
    beat_ns_ = now_ns;
    if (now_ns - pinged_ns_ >= ping_period_ns(input_.hosts->launch.heartbeat)) {
        ping_all();
    }
    check_silence();
    if (phase_ != Phase::finished) {
        after(beat_timer_, look_period, &Attempt::beat);
    }
}

void Attempt::ping_all() {
    if (input_.hosts == nullptr) {
        return;
    }
    pinged_ns_ = monotonic_ns();
    for (const Member& each : members_) {
        if (each.link) {
            each.link->send(wire::Ping{.silence_ns = input_.hosts->launch.heartbeat.count(),
                                       .time_ns = realtime_ns()});
        }
    }
}

void Attempt::announce_silence() {
    if (input_.hosts != nullptr) {
        for (const Member& each : members_) {
            if (each.link) {
                each.link->send(wire::Ping{.silence_ns = 0, .time_ns = realtime_ns()});
            }
        }
    }
}

void Attempt::handle(Rank rank, const wire::Ping& ping) {
    Member& from = member(rank);
    const std::int64_t round_trip_ns = monotonic_ns() - pinged_ns_;
    if (round_trip_ns < from.round_trip_ns) {
        from.round_trip_ns = round_trip_ns;
        from.clock_ns = ping.time_ns - (realtime_ns() - round_trip_ns / 2);
        // Nearer than that, two clocks cannot be told apart.
        if (std::abs(from.clock_ns) <= round_trip_ns) {
            from.clock_ns = 0;
        }
    }
}

void Attempt::check_silence() {
    const std::int64_t limit_ns = input_.hosts->launch.heartbeat.count();
    const std::int64_t now_ns = monotonic_ns();
    std::vector<Rank> silent;
    for (const Rank rank : alive()) {
        const Member& each = member(rank);
        if (each.link && each.link->is_open() && now_ns - each.heard_ns > limit_ns) {
            silent.push_back(rank);
        }
    }
    for (const Rank rank : silent) {
        const std::int64_t last_ns = realtime_ns() - (now_ns - member(rank).heard_ns);
        rank_of_.erase(member(rank).link.get());
        member(rank).link->close();
        lose(rank,
             fmt::format("nothing was heard of it for {}",
                         format_duration(input_.hosts->launch.heartbeat)),
             last_ns);
    }
}

// Takes a rank's agent for lost, that was last heard of at `last_ns` (CLOCK_REALTIME).
void Attempt::lose(Rank rank, std::string why, std::int64_t last_ns) {
    Member& lost = member(rank);
    lost.silent = true;
    lost.drained = true;
    if (lost.output) {
        lost.output->end();
        show_output(rank);
    }
    wire::Ended ended;
    ended.how = wire::Ended::How::agent_lost;
    ended.time_ns = last_ns + lost.clock_ns;  // as that machine would have said it
    ended.detail = input_.hosts != nullptr ? std::move(why) : "";
    handle(rank, std::move(ended));
}

// Whether some rank may be lost without our knowing it yet. A failure that we do know may only be
// its echo, so none is judged before every other agent was heard of since.
bool Attempt::awaits_news() const {
    if (input_.hosts == nullptr || phase_ != Phase::settling || launch_failed_) {
        return false;
    }
    const auto patience = input_.hosts->launch.heartbeat + 2s;
    if (monotonic_ns() - settle_began_ns_ > Nanoseconds(patience).count()) {
        return false;
    }
    return std::ranges::any_of(members_, [this](const Member& each) {
        return !each.ended && each.link &&
               (!each.link->is_open() || each.heard_ns < settle_began_ns_);
    });
}

std::vector<std::string> Attempt::lost_hosts() const {
    std::map<std::string, bool> all_silent;
    if (input_.hosts != nullptr) {
        for (const RankPlan& rank : input_.plan.ranks) {
            const bool silent = members_[static_cast<std::size_t>(rank.rank.value())].silent;
            const auto known = all_silent.emplace(rank.host, true).first;
            known->second = known->second && silent;
        }
    }
    std::vector<std::string> lost;
    for (const auto& [host, silent] : all_silent) {
        if (silent) {
            lost.push_back(host);
        }
    }
    return lost;
}

// The last act where agents are on other machines, which no guard of ours ends: they end
// themselves, once released.
void Attempt::finish_when_gone() {
    const auto is_here = [](const Member& each) { return each.link && each.link->is_open(); };
    if (input_.hosts == nullptr || std::ranges::none_of(members_, is_here)) {
        finish();
        return;
    }
    if (leaving_) {
        return;
    }
    leaving_ = true;
    phase_ = Phase::closing;
    for (Member& each : members_) {
        if (is_here(each) && !each.released) {
            each.released = true;
            each.link->send(wire::Release{});
        }
    }
    after(phase_timer_, gone_deadline, &Attempt::finish);
}

}  // namespace mpitrain
