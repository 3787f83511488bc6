#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/scheduler/cluster_spec.hpp"
#include "mpitrain/scheduler/gang_request.hpp"
#include "mpitrain/scheduler/policy.hpp"

namespace mpitrain::scheduler {

// What happened. Times are since the host's epoch and never run backwards.
struct Submitted {
    GangRequest request;
};
// An attempt's processes are gone and its slots free. `requeue`: the job is to run again (it was
// preempted, or lost a node); else it is over, however it ended.
struct Ended {
    JobId job;
    int attempt = 1;
    bool requeue = false;
};
struct Cancelled {
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
struct Tick {};  // a wake-up that was asked for

struct Event {
    Nanoseconds now{};
    std::variant<Submitted, Ended, Cancelled, NodeLost, NodeDrained, NodeUp, Tick> what;
};

// What must now happen.
struct Start {
    JobId job;
    int attempt = 1;
    Allocation where;
};
enum class StopReason : std::uint8_t { preempted, node_lost, cancelled };
// The host ends the attempt and says Ended when it is gone; until then its slots are not given
// away.
struct Stop {
    JobId job;
    int attempt = 1;
    StopReason reason = StopReason::preempted;
};
struct Rejected {  // can never run here; the job is forgotten
    JobId job;
    Error why;
};
struct WakeAt {  // replaces the one before
    Nanoseconds at{};
};
using Action = std::variant<Start, Stop, Rejected, WakeAt>;

enum class GangState : std::uint8_t { pending, claiming, running, stopping };
std::string_view to_string(GangState state);

// Why a job does not run.
struct Explanation {
    GangState state = GangState::pending;
    int level = 0;
    int wanted_slots = 0;
    int free_slots = 0;   // in the whole cluster
    int short_nodes = 0;  // for a gang of whole nodes: how many more must fall empty
    std::string text;     // for people: the first constraint that fails, and how far short
};

// The scheduling core: a pure fold of events. Equal event sequences give equal actions, so a log of
// events is enough to have its state again. One owner; not thread-safe.
//
// A gang starts when all its slots are its own. If others must be preempted for it, their slots are
// claimed for it, they are told to stop, and it starts when the last of them has Ended.
class Core {
  public:
    // Errors: invalid_argument (the cluster; a policy with too many levels).
    static Result<Core> create(const ClusterSpec& cluster, std::unique_ptr<Policy> policy);
    Core(Core&&) noexcept;
    Core& operator=(Core&&) noexcept;
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;
    ~Core();

    // Applies one event. On error the state is unchanged. Errors: invalid_argument (time runs
    // backwards, a job known already, senseless requests), not_found (no such job, attempt or
    // node).
    Result<std::vector<Action>> step(const Event& event);

    // Errors: not_found.
    [[nodiscard]] Result<Explanation> explain(JobId job) const;

    [[nodiscard]] std::size_t pending() const;
    [[nodiscard]] std::size_t running() const;  // starting and stopping ones included
    [[nodiscard]] int free_slots() const;
    // A digest of the whole state, equal for equal histories. O(jobs).
    [[nodiscard]] std::uint64_t digest() const;

  private:
    class State;
    explicit Core(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace mpitrain::scheduler
