#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/engine/engine.hpp"
#include "mpitrain/wire/message.hpp"

namespace mpitrain {

// Why an attempt ended before its time.
enum class Cause : std::uint8_t {
    exited,
    exited_without_finalize,
    signaled,
    oom,
    aborted,
    hung,
    node_lost,
    not_started,
    preempted,
    time_limit,
    cancelled,
    engine_lost,  // mpirun itself died or never brought the gang up
};
std::string_view to_string(Cause cause);

// Who ended the attempt, and of what: the causal rank and never one of its victims.
struct Verdict {
    std::optional<Rank> rank;  // none when no rank is to blame
    std::string host;
    Cause cause = Cause::exited;
    std::optional<int> exit_code;
    std::optional<int> signal;
    bool core_dumped = false;
    std::int64_t first_seen_ns = 0;  // CLOCK_REALTIME
    std::string detail;              // one line more, where there is one
    std::string stderr_tail;
    std::string error_file;  // the torchelastic error file's JSON, when the rank wrote one
    std::vector<Rank> victims;
    bool operator==(const Verdict&) const = default;
};

struct RankEnd {
    Rank rank;
    std::string host;
    wire::Ended ended;
};

// What is known once the dust of the first failure has settled.
struct Evidence {
    std::vector<RankEnd> ends = {};  // every end seen before we began to end ranks ourselves
    EngineReport engine = {};
    bool engine_stopping = false;  // the engine began its own kill sequence
    bool engine_dead = false;
    std::vector<Rank> alive = {};              // ranks that still ran then
    std::vector<std::string> lost_hosts = {};  // all ranks there were lost without a word
    std::int64_t now_ns = 0;
};

// Whether a rank's last words on stderr are of a peer that it lost: then it is likely a victim.
bool blames_a_peer(const wire::Ended& ended);

// Picks the causal rank: the earliest failure. Of failures that came close together, one whose rank
// blames a peer is none, and one that cannot be a reaction (a fault's signal, out of memory, a
// program that was never started) goes before an exit code. Pure. Always gives a verdict: with no
// failure at all, the engine's.
Verdict judge(const Evidence& evidence);

// What `mpitrain run` exits with for this verdict (CONTRACT section 3).
int exit_code(const Verdict& verdict);

// "Killed", "Segmentation fault": a signal by name, in English.
std::string_view describe_signal(int signal);

// "rank 3 on node7 was killed by signal 11 (Segmentation fault), core dumped": one line, no full
// stop.
std::string describe(const Verdict& verdict);

}  // namespace mpitrain
