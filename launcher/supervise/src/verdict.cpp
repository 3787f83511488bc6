#include "mpitrain/supervise/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace mpitrain {
namespace {

using wire::Ended;

// How far apart two agents may note two ends that came the other way round: they wait for the same
// cores as the ranks do.
constexpr std::int64_t tie_ns = 5'000'000;
// A rank that says it lost a peer may be noted this long before that peer, where cores are short.
constexpr std::int64_t echo_ns = 250'000'000;

bool clean(const Ended& ended) {
    return ended.how == Ended::How::exited && ended.code == 0;
}

bool failed(const Ended& ended) {
    return !clean(ended) && !ended.by_us;
}

bool missing_library(const Ended& ended) {
    return ended.how == Ended::How::exited && ended.code == 127 &&
           ended.stderr_tail.find("error while loading shared libraries") != std::string::npos;
}

// Lower is more likely the origin: nothing that a peer does kills a process by a fault of its own,
// while many a program turns a peer's death into an exit code or an uncaught exception.
int suspicion(const RankEnd& end, const EngineReport& engine) {
    switch (end.ended.how) {
        case Ended::How::signaled:
            return end.ended.signal == SIGABRT ? 3 : 0;
        case Ended::How::not_started:
            return 1;
        case Ended::How::exited:
            return missing_library(end.ended) ? 1 : (engine.aborted_rank == end.rank ? 2 : 3);
        case Ended::How::agent_lost:
            return 4;
    }
    return 4;
}

// MPI ranks whose engine died end by themselves, by an exit code or abort(), some of them a moment
// before the engine counts as dead. Gives the time from which on such an end is no rank's own
// failure.
std::int64_t engine_died_ns(const Evidence& evidence) {
    std::int64_t first_ns = INT64_MAX;
    for (const RankEnd& end : evidence.ends) {
        if (end.ended.engine_gone) {
            first_ns = std::min(first_ns, end.ended.time_ns - echo_ns);
        }
    }
    return first_ns;
}

bool is_engine_victim(const Ended& ended, std::int64_t engine_ns) {
    return ended.time_ns >= engine_ns &&
           (ended.how == Ended::How::exited || ended.signal == SIGABRT);
}

const RankEnd* first_failure(const Evidence& evidence) {
    const std::int64_t engine_ns = engine_died_ns(evidence);
    std::vector<const RankEnd*> suspects;
    for (const RankEnd& end : evidence.ends) {
        if (failed(end.ended) && !is_engine_victim(end.ended, engine_ns)) {
            suspects.push_back(&end);
        }
    }
    const auto time = [](const RankEnd* end) { return end->ended.time_ns; };
    const auto keep_within = [&](std::int64_t window_ns) {
        const std::int64_t first_ns = time(*std::ranges::min_element(suspects, {}, time));
        std::erase_if(suspects,
                      [&](const RankEnd* end) { return time(end) > first_ns + window_ns; });
    };
    const auto is_echo = [](const RankEnd* end) { return blames_a_peer(end->ended); };
    if (suspects.empty()) {
        return nullptr;
    }
    keep_within(echo_ns);
    if (!std::ranges::all_of(suspects, is_echo)) {
        std::erase_if(suspects, is_echo);
    }
    keep_within(tie_ns);
    return *std::ranges::min_element(suspects, {}, [&](const RankEnd* end) {
        return std::pair(suspicion(*end, evidence.engine), time(end));
    });
}

std::string first_line_with(std::string_view text, std::string_view words) {
    const std::size_t found = text.find(words);
    if (found == std::string_view::npos) {
        return "";
    }
    const std::size_t begin = text.rfind('\n', found) + 1;  // npos + 1 is 0
    return std::string(text.substr(begin, text.find('\n', found) - begin));
}

void fill_from_end(const RankEnd& end, const EngineReport& engine, Verdict& verdict) {
    const Ended& ended = end.ended;
    verdict.rank = end.rank;
    verdict.host = end.host;
    verdict.first_seen_ns = ended.time_ns;
    verdict.core_dumped = ended.core_dumped;
    verdict.stderr_tail = ended.stderr_tail;
    verdict.error_file = ended.error_file;
    verdict.detail = ended.detail;
    switch (ended.how) {
        case Ended::How::exited:
            verdict.exit_code = ended.code;
            verdict.cause = Cause::exited;
            if (engine.aborted_rank == end.rank) {
                verdict.cause = Cause::aborted;
            } else if (missing_library(ended)) {
                verdict.cause = Cause::not_started;
                verdict.detail =
                    first_line_with(ended.stderr_tail, "error while loading shared libraries");
            }
            break;
        case Ended::How::signaled:
            verdict.signal = ended.signal;
            verdict.cause = ended.out_of_memory ? Cause::oom : Cause::signaled;
            break;
        case Ended::How::not_started:
            verdict.cause = Cause::not_started;
            verdict.exit_code = ended.code == ENOENT || ended.code == ENOTDIR ? 127 : 126;
            break;
        case Ended::How::agent_lost:
            verdict.cause = Cause::node_lost;
            break;
    }
}

// No rank failed, yet the engine wants to end: somebody left cleanly without MPI_Finalize, or the
// engine itself broke.
void fill_from_engine(const Evidence& evidence, Verdict& verdict) {
    verdict.first_seen_ns = evidence.now_ns;
    const RankEnd* last_clean = nullptr;
    for (const RankEnd& end : evidence.ends) {
        if (!clean(end.ended)) {
            continue;  // ended by the engine's death, through its agent's hand
        }
        const bool named = evidence.engine.improper_rank == end.rank;
        if (named || last_clean == nullptr || end.ended.time_ns > last_clean->ended.time_ns) {
            last_clean = &end;
        }
        if (named) {
            break;
        }
    }
    if (evidence.engine.aborted_rank) {  // its own end is still to come
        verdict.cause = Cause::aborted;
        verdict.rank = evidence.engine.aborted_rank;
        verdict.exit_code = evidence.engine.abort_code;
        return;
    }
    const bool engine_dead =
        evidence.engine_dead || std::ranges::any_of(evidence.ends, [](const RankEnd& end) {
            return end.ended.engine_gone;
        });
    if (engine_dead || last_clean == nullptr) {
        verdict.cause = Cause::engine_lost;
        verdict.detail = evidence.engine.text;
        return;
    }
    verdict.cause = Cause::exited_without_finalize;
    verdict.rank = last_clean->rank;
    verdict.host = last_clean->host;
    verdict.exit_code = 0;
    verdict.first_seen_ns = last_clean->ended.time_ns;
    verdict.stderr_tail = last_clean->ended.stderr_tail;
}

}  // namespace

bool blames_a_peer(const wire::Ended& ended) {
    // What gloo, NCCL, torch's store, MPI over TCP and the C library say of a connection whose
    // other end has died.
    constexpr std::string_view words[] = {"Connection closed by peer",
                                          "Connection reset by peer",
                                          "remote process exited",
                                          "Connection was likely closed",
                                          "closed the connection",
                                          "Broken pipe"};
    return std::ranges::any_of(words, [&](std::string_view phrase) {
        return ended.stderr_tail.find(phrase) != std::string::npos;
    });
}

std::string_view to_string(Cause cause) {
    switch (cause) {
        case Cause::exited:
            return "exited";
        case Cause::exited_without_finalize:
            return "exited_without_finalize";
        case Cause::signaled:
            return "signaled";
        case Cause::oom:
            return "oom";
        case Cause::aborted:
            return "aborted";
        case Cause::hung:
            return "hung";
        case Cause::node_lost:
            return "node_lost";
        case Cause::not_started:
            return "not_started";
        case Cause::preempted:
            return "preempted";
        case Cause::time_limit:
            return "time_limit";
        case Cause::cancelled:
            return "cancelled";
        case Cause::engine_lost:
            return "engine_lost";
    }
    return "engine_lost";
}

namespace {

// The engine sees no failed rank before we let it, so when it ends a job by itself, and not because
// a rank left cleanly, a rank has called MPI_Abort. mpirun 4.1 sometimes loses the text that names
// it ("ORTE_ERROR_LOG: Data unpack would read past end of buffer in file …/show_help.c").
bool is_unnamed_abort(const RankEnd& end, const Evidence& evidence) {
    const auto left_cleanly = [](const RankEnd& other) { return clean(other.ended); };
    return evidence.engine_stopping && !evidence.engine_dead && !evidence.engine.aborted_rank &&
           end.ended.how == Ended::How::exited && !missing_library(end.ended) &&
           std::ranges::none_of(evidence.ends, left_cleanly);
}

}  // namespace

Verdict judge(const Evidence& evidence) {
    Verdict verdict;
    if (const RankEnd* origin = first_failure(evidence)) {
        fill_from_end(*origin, evidence.engine, verdict);
        if (is_unnamed_abort(*origin, evidence)) {
            verdict.cause = Cause::aborted;
        }
        if (verdict.cause == Cause::node_lost &&
            std::ranges::find(evidence.lost_hosts, verdict.host) != evidence.lost_hosts.end()) {
            verdict.rank.reset();  // none is to blame
        }
        if (verdict.cause == Cause::aborted) {
            verdict.exit_code = evidence.engine.abort_code.value_or(*verdict.exit_code);
        }
    } else {
        fill_from_engine(evidence, verdict);
    }
    for (const RankEnd& end : evidence.ends) {
        if (end.rank != verdict.rank && failed(end.ended)) {
            verdict.victims.push_back(end.rank);
        }
    }
    verdict.victims.insert(verdict.victims.end(), evidence.alive.begin(), evidence.alive.end());
    std::ranges::sort(verdict.victims);
    return verdict;
}

int exit_code(const Verdict& verdict) {
    constexpr int engine_failed = 125;
    constexpr int timed_out = 124;
    switch (verdict.cause) {
        case Cause::exited:
        case Cause::aborted:
        case Cause::not_started: {
            // The low byte is all that a process can exit with; a failure must not come out as
            // success.
            const int code = verdict.exit_code.value_or(1) & 0xff;
            return code == 0 ? 1 : code;
        }
        case Cause::exited_without_finalize:
            return 1;
        case Cause::signaled:
        case Cause::oom:
        case Cause::cancelled:
        case Cause::preempted:
            return 128 + verdict.signal.value_or(SIGKILL);
        case Cause::time_limit:
            return timed_out;
        case Cause::hung:
        case Cause::node_lost:
        case Cause::engine_lost:
            return engine_failed;
    }
    return engine_failed;
}

std::string_view describe_signal(int signal) {
    const char* const known = ::sigdescr_np(signal);  // strsignal(3), but for every thread
    return known != nullptr ? known : "Real-time signal";
}

std::string describe(const Verdict& verdict) {
    std::string who = verdict.rank
                          ? fmt::format("rank {} on {}", verdict.rank->value(), verdict.host)
                          : std::string("the job");
    const std::string core = verdict.core_dumped ? ", core dumped" : "";
    switch (verdict.cause) {
        case Cause::exited:
            return fmt::format("{} exited with code {}", who, verdict.exit_code.value_or(1));
        case Cause::exited_without_finalize:
            return fmt::format("{} exited with code 0 without MPI_Finalize", who);
        case Cause::signaled:
            return fmt::format("{} was killed by signal {} ({}){}",
                               who,
                               verdict.signal.value_or(0),
                               describe_signal(verdict.signal.value_or(0)),
                               core);
        case Cause::oom:
            return fmt::format("{} was killed by the kernel: out of memory", who);
        case Cause::aborted:
            return fmt::format(
                "{} called MPI_Abort with code {}", who, verdict.exit_code.value_or(1));
        case Cause::hung:
            return fmt::format("{} is furthest behind: {}", who, verdict.detail);
        case Cause::node_lost:
            if (!verdict.rank) {
                return fmt::format("node {} was lost: {}", verdict.host, verdict.detail);
            }
            return fmt::format("{}: the rank agent was lost{}{}",
                               who,
                               verdict.detail.empty() ? "" : ": ",
                               verdict.detail);
        case Cause::not_started:
            return fmt::format("{} could not be started: {}", who, verdict.detail);
        case Cause::preempted:
            return "the job was preempted";
        case Cause::time_limit:
            return "the job ran into its time limit";
        case Cause::cancelled:
            return fmt::format("the job was stopped by signal {} ({})",
                               verdict.signal.value_or(0),
                               describe_signal(verdict.signal.value_or(0)));
        case Cause::engine_lost:
            return "mpirun ended before the job did";
    }
    return who;
}

}  // namespace mpitrain
