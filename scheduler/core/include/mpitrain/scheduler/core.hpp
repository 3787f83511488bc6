#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/scheduler/accounts.hpp"
#include "mpitrain/scheduler/cluster_spec.hpp"
#include "mpitrain/scheduler/gang_request.hpp"
#include "mpitrain/scheduler/policy.hpp"

namespace mpitrain::scheduler {

// What happened. Times are since the host's epoch and never run backwards.
struct Submitted {
    GangRequest request;
};
// An attempt's processes are gone and its slots free. `requeue`: the job is to run again (it was
// preempted, or lost a node); else it is over, and `succeeded` says for those after it how it went.
struct Ended {
    JobId job;
    int attempt = 1;
    bool requeue = false;
    bool succeeded = true;
};
struct Cancelled {
    JobId job;
};
struct Held {  // is not started until Released; what runs goes on, but not again
    JobId job;
};
struct Released {
    JobId job;
};
struct Reprioritised {
    JobId job;
    int priority = 0;
};
// The running attempt has made its work durable: a preemption now loses only what comes after.
struct Checkpointed {
    JobId job;
    int attempt = 1;
};
// What propose_moves says for this job is to be done now: those in its way are stopped, and start
// again where there is room.
struct Consolidated {
    JobId job;
};
struct NodeLost {  // nothing on it runs any more; it takes nobody until NodeUp
    NodeId node;
};
struct NodeDrained {  // what runs there goes on; it takes nobody until NodeUp
    NodeId node;
};
struct NodeUp {
    NodeId node;
};
// Nodes set apart from `begin` to `end`: for maintenance, or, when `reserved`, for the jobs that
// name the window. Whoever is expected to run into it is not started there; one that says no
// estimate is, if it may be preempted. Whoever is still there at `begin` is stopped.
struct Window {
    std::string name;
    Nanoseconds begin{};
    Nanoseconds end{};
    std::vector<NodeId> nodes;
    bool reserved = false;
    bool operator==(const Window&) const = default;
};
struct WindowSet {  // a new one, or another in the place of the one of that name
    Window window;
};
struct WindowLifted {
    std::string name;
};
struct Tick {};  // a wake-up that was asked for

struct Event {
    Nanoseconds now{};
    std::variant<Submitted,
                 Ended,
                 Cancelled,
                 Held,
                 Released,
                 Reprioritised,
                 Checkpointed,
                 Consolidated,
                 NodeLost,
                 NodeDrained,
                 NodeUp,
                 WindowSet,
                 WindowLifted,
                 Tick>
        what;
};

// What must now happen.
struct Start {
    JobId job;
    int attempt = 1;
    Allocation where;
};
// `grown`: to start again with more slots; the host ends it when its work is durable.
enum class StopReason : std::uint8_t { preempted, node_lost, cancelled, window, grown };
// The host ends the attempt and says Ended when it is gone; until then its slots are not given
// away.
struct Stop {
    JobId job;
    int attempt = 1;
    StopReason reason = StopReason::preempted;
};
struct Rejected {  // can never run: too large, or after one that failed; the job is forgotten
    JobId job;
    Error why;
};
struct WakeAt {  // replaces the one before
    Nanoseconds at{};
};
using Action = std::variant<Start, Stop, Rejected, WakeAt>;

enum class GangState : std::uint8_t { held, pending, claiming, running, stopping };
std::string_view to_string(GangState state);

// The first thing that keeps a job from running.
enum class Cause : std::uint8_t {
    none,         // it runs
    held,         // by its user
    dependency,   // waits for other jobs
    begin_time,   // its not_before
    array_limit,  // enough of its array are at it
    account_limit,
    window,     // reserved for later, or kept off one that is coming
    slots,      // too few are free
    nodes,      // enough slots, but not enough whole nodes or none with enough of them
    domain,     // enough nodes, but not within one domain or slice
    promise,    // what is free is promised to others
    stopping,   // its slots are being cleared
    place_off,  // the nodes it may use are closed
};
std::string_view to_string(Cause cause);

// Why a job does not run.
struct Explanation {
    GangState state = GangState::pending;
    Cause cause = Cause::none;
    int level = 0;
    int wanted_slots = 0;
    int free_slots = 0;   // in the whole cluster
    int short_nodes = 0;  // for a gang of whole nodes: how many more must fall empty
    int would_start = 0;  // with so many slots, of the same shape otherwise, it would start now
    std::optional<Nanoseconds> promised = {};  // by backfill: no later than that
    std::optional<JobId> behind = {};          // to whom what is free is promised
    std::string text;  // for people: the first constraint that fails, how far short, what helps
};

struct CoreOptions {
    AccountsSpec accounts = {};
    // What stopping and starting again costs a job, in lost run time, besides its work since its
    // last checkpoint. Victims are weighed by it.
    Nanoseconds preemption_cost = std::chrono::seconds(60);
};

// An attempt that has not ended.
struct LiveAttempt {
    JobId job;
    int attempt = 1;
    Nanoseconds expected_end = never;  // by its estimate; never = nobody said
    bool requeues = false;             // told to stop, to be queued again
};

// A running job that would make room elsewhere.
struct Move {
    JobId job;
    Allocation from;
    Allocation to;  // where it fits now; it may start elsewhere
};

// What an account has had and may have.
struct AccountShare {
    std::string name;
    double usage_slot_s = 0;  // slot seconds, decayed
    int running_slots = 0;
    int borrowed_slots = 0;  // of those, beyond its quota
    bool yields = false;     // it has had more than its share: others may preempt its gangs
};

// The scheduling core: a pure fold of events. Equal event sequences give equal actions, so a log of
// events is enough to have its state again. One owner; not thread-safe.
//
// A gang starts when all its slots are its own. If others must be preempted for it, their slots are
// claimed for it, they are told to stop, and it starts when the last of them has Ended.
class Core {
  public:
    // Errors: invalid_argument (the cluster, the accounts; a policy with too many levels).
    static Result<Core> create(const ClusterSpec& cluster,
                               std::unique_ptr<Policy> policy,
                               const CoreOptions& options = {});
    Core(Core&&) noexcept;
    Core& operator=(Core&&) noexcept;
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;
    ~Core();

    // Applies one event. On error the state is unchanged. Errors: invalid_argument (time runs
    // backwards, a job known already, senseless requests), not_found (no such job, attempt, node,
    // window or account; a job to run after that is over: the host drops what has come true).
    Result<std::vector<Action>> step(const Event& event);

    // Errors: not_found.
    [[nodiscard]] Result<Explanation> explain(JobId job) const;

    // When it would first fit if nobody stood before it: by what is expected of those that run, and
    // by what backfill has promised. A running job's start; never = no estimate tells. What it has
    // to look up is kept, so the first call is the dear one: O(nodes + what changed since).
    // Errors: not_found.
    [[nodiscard]] Result<Nanoseconds> earliest_start(JobId job);

    // Which jobs of one node to move so that a gang of whole nodes that waits fits: the cheapest by
    // what stopping them loses, and each has somewhere to go. Orders nothing (see Consolidated).
    // Errors: not_found; unsatisfiable when no such moves help. Cost: of a copy of the tree.
    [[nodiscard]] Result<std::vector<Move>> propose_moves(JobId job) const;

    // Another core in the same state, with a life of its own: for "what if".
    [[nodiscard]] Core copy() const;

    [[nodiscard]] Nanoseconds now() const;
    [[nodiscard]] Nanoseconds wakes_at() const;           // the last WakeAt
    [[nodiscard]] std::vector<LiveAttempt> live() const;  // by job
    [[nodiscard]] Nanoseconds expected_end(JobId) const;  // of its attempt; never = not known
    [[nodiscard]] std::size_t pending() const;            // held ones left out
    [[nodiscard]] std::size_t held() const;
    [[nodiscard]] std::size_t running() const;  // starting and stopping ones included
    [[nodiscard]] int free_slots() const;
    // By account, in the order they were given. O(accounts).
    [[nodiscard]] std::vector<AccountShare> shares() const;
    // A digest of the whole state, equal for equal histories. O(jobs).
    [[nodiscard]] std::uint64_t digest() const;

  private:
    class State;
    explicit Core(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace mpitrain::scheduler
