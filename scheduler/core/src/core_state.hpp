#pragma once

#include <map>
#include <optional>
#include <queue>
#include <set>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "cluster_tree.hpp"
#include "mpitrain/scheduler/core.hpp"

namespace mpitrain::scheduler {

// The inside of Core: jobs, the queue, timers. Its functions are split by purpose over core.cpp
// (events), core_pass.cpp (who starts), core_preempt.cpp (victims) and core_backfill.cpp (EASY).
class Core::State {
  public:
    State(const ClusterSpec& cluster, std::unique_ptr<Policy> policy);

    Result<std::vector<Action>> step(const Event& event);
    [[nodiscard]] Result<Explanation> explain(JobId job) const;
    [[nodiscard]] std::size_t pending() const { return pending_count_; }
    [[nodiscard]] std::size_t running() const { return known_.size() - pending_count_; }
    [[nodiscard]] int free_slots() const { return tree_.free_slots(); }
    [[nodiscard]] std::uint64_t digest() const;

  private:
    using JobIndex = std::int32_t;
    static constexpr JobIndex nobody = -1;

    struct Job {
        GangRequest request;
        GangState state = GangState::pending;
        bool over = false;    // stopping, and not to be queued again
        bool queued = false;  // in its class's set
        int attempt = 0;      // the last one started
        int shape_class = 0;
        Nanoseconds submitted{};
        Nanoseconds attained{};  // of attempts that ended
        Nanoseconds started{};   // of the running attempt
        Standing standing;
        std::uint32_t stamp = 0;  // timers with another one are stale
        std::int64_t sequence = 0;
        Allocation held;
        JobIndex claimant = nobody;  // of a preempted job: who waits for it
        int waits_for = 0;           // of a claiming job: victims not gone yet
    };
    using QueueKey = std::tuple<int, double, std::int64_t, JobIndex>;

    // Jobs of one shape: when the first of them cannot start, none behind it can.
    struct ShapeClass {
        GangShape shape;
        std::vector<PoolNeed> needs;
        std::set<QueueKey> pending;
    };
    struct Timer {
        Nanoseconds at;
        JobIndex job;
        std::uint32_t stamp;
        bool operator>(const Timer& other) const {
            return std::tie(at, job, stamp) > std::tie(other.at, other.job, other.stamp);
        }
    };
    struct Plan {
        Allocation where;
        std::vector<JobIndex> victims;
        double cost = 0;
    };
    // Where the first job that waits will start, and what may be used there until then.
    struct Promise {
        Nanoseconds at = never;
        Allocation kept;  // free slots that only those who end before may use
        std::vector<std::pair<NodeId, int>> spare;  // per node: slots the job itself will not need
    };

    // Events
    Result<void> check(const Event& event) const;
    void apply(const Submitted& event);
    void apply(const Ended& event);
    void apply(const Cancelled& event);
    void apply(const NodeLost& event);
    void apply(const NodeDrained& event) { tree_.close(event.node); }
    void apply(const NodeUp& event);
    void apply(const Tick& event) { static_cast<void>(event); }
    void run_timers();
    void tell_wake();

    // One job
    Job& job(JobIndex index) { return jobs_[static_cast<std::size_t>(index)]; }
    [[nodiscard]] const Job& job(JobIndex index) const {
        return jobs_[static_cast<std::size_t>(index)];
    }
    JobIndex admit(const GangRequest& request);
    int class_of(const GangShape& shape);
    void restand(JobIndex index);
    void enqueue(JobIndex index);
    void dequeue(JobIndex index);
    void requeue(JobIndex index);
    void forget(JobIndex index);
    void stop(JobIndex index, StopReason reason);
    void victim_gone(JobIndex claimant);
    [[nodiscard]] JobView view(const Job& job) const;
    [[nodiscard]] QueueKey key(JobIndex index) const;
    [[nodiscard]] int level_of(const Job& job) const;
    [[nodiscard]] int held_level(const Job& job) const;
    [[nodiscard]] Nanoseconds expected_end(const Job& job) const;

    // Who starts
    void schedule();
    void schedule_by_class(bool stop_at_first);
    void schedule_easy();
    bool try_start(JobIndex index);
    void start(JobIndex index, Allocation where);
    void run(JobIndex index);
    void take(JobIndex index, Allocation where);

    // Preemption
    std::optional<Plan> plan_preemption(JobIndex index) const;
    [[nodiscard]] std::optional<Plan> plan_one_node(const PoolNeed& need, int level) const;
    [[nodiscard]] std::optional<Plan> plan_whole_nodes(const PoolNeed& need, int level) const;
    [[nodiscard]] std::vector<JobIndex> victims_on(NodeId node, int level) const;
    [[nodiscard]] std::vector<JobIndex> victims_for(NodeId node, int slots, int level) const;
    [[nodiscard]] double cost(JobIndex victim) const;
    void claim(JobIndex index, Plan plan);

    // EASY
    [[nodiscard]] Promise promise_to(JobIndex head) const;
    [[nodiscard]] std::optional<Promise> promise_in(const PoolNeed& need) const;
    void backfill(JobIndex head, Promise& promise);
    bool fits_now(JobIndex index) const;
    [[nodiscard]] bool ends_before(const Job& job, const Promise& promise) const;
    bool try_start_within(JobIndex index, Promise& promise, bool may_use_kept);
    static void use_up_spare(Promise& promise, const Allocation& taken);
    void keep(Promise& promise);

    std::unique_ptr<Policy> policy_;
    ClusterTree tree_;
    Nanoseconds now_{};
    std::vector<Job> jobs_;
    std::vector<JobIndex> unused_;  // places in jobs_
    std::unordered_map<JobId, JobIndex> known_;
    std::map<GangShape, int> class_numbers_;
    std::vector<ShapeClass> classes_;
    std::size_t pending_count_ = 0;
    std::int64_t sequence_ = 0;
    std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
    Nanoseconds told_wake_ = never;
    std::vector<std::vector<JobIndex>> on_node_;       // by NodeId, in order of arrival
    std::set<std::pair<Nanoseconds, JobIndex>> ends_;  // expected, under EASY only
    bool changed_ = false;  // something may start now that could not before
    // Under EASY: the first job that waits and what it was promised, as long as only submissions
    // happen, and the one submitted last.
    std::optional<std::pair<JobIndex, Promise>> promised_;
    JobIndex newest_ = nobody;
    std::vector<Action> actions_;
};

}  // namespace mpitrain::scheduler
