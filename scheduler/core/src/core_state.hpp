#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "account_tree.hpp"
#include "cluster_tree.hpp"
#include "mpitrain/scheduler/core.hpp"
#include "timeline.hpp"

namespace mpitrain::scheduler {

// By NodeId, for a shape that names nodes; empty = all.
std::vector<char> allowed_nodes(const ClusterSpec& cluster, const GangShape& shape);

// Why a job is not in the queue: bits of Job::holds.
enum Hold : std::uint8_t { hold_user = 1, hold_after = 2, hold_begin = 4, hold_array = 8 };

// The inside of Core: jobs, the queue, timers. Its functions are split by purpose over core.cpp
// (events), core_check.cpp (which are refused), core_wait.cpp (who is not in the queue yet),
// core_pass.cpp (who starts), core_preempt.cpp (victims), core_backfill.cpp (EASY),
// core_conservative.cpp, core_moves.cpp (defragmentation), core_windows.cpp (where),
// core_accounts.cpp (shares) and core_explain.cpp (why not). A copy goes its own way.
class Core::State {
  public:
    State(const ClusterSpec& cluster, std::unique_ptr<Policy> policy, const CoreOptions& options);

    Result<std::vector<Action>> step(const Event& event);
    [[nodiscard]] Result<Explanation> explain(JobId job) const;
    [[nodiscard]] std::size_t pending() const { return pending_count_; }
    [[nodiscard]] std::size_t held() const { return held_count_; }
    [[nodiscard]] std::size_t running() const {
        return known_.size() - pending_count_ - held_count_;
    }
    [[nodiscard]] std::vector<AccountShare> shares() const;
    [[nodiscard]] Nanoseconds now() const { return now_; }
    [[nodiscard]] Nanoseconds wakes_at() const { return told_wake_; }
    [[nodiscard]] std::vector<LiveAttempt> live() const;
    [[nodiscard]] Nanoseconds expected_end(JobId job) const;
    [[nodiscard]] Result<std::vector<Move>> propose_moves(JobId job) const;
    Result<Nanoseconds> earliest_start(JobId job);
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
        std::uint8_t holds = 0;
        int attempt = 0;  // the last one started
        int queue = 0;
        int awaited = 0;        // jobs it runs after that are not there yet
        int tier = 0;           // of what it holds: 1 = any of tier 0 may have it
        bool borrowed = false;  // of its account's slots, beyond the quota
        int charged = 0;        // slots its account is charged for
        Nanoseconds submitted{};
        Nanoseconds attained{};  // of attempts that ended
        Nanoseconds started{};   // of the running attempt
        Nanoseconds durable{};   // when its work was last checkpointed, or it started
        Standing standing;
        std::uint32_t stamp = 0;  // timers with another one are stale
        std::int64_t sequence = 0;
        Allocation held;
        JobIndex claimant = nobody;  // of a preempted job: who waits for it
        int waits_for = 0;           // of a claiming job: victims not gone yet
    };
    using QueueKey = std::tuple<int, double, std::int64_t, JobIndex>;

    struct ShapeClass {
        GangShape shape;
        std::vector<PoolNeed> needs;
        std::vector<char> allowed;  // by NodeId, where it names nodes; empty = all
        int slots = 0;              // that it takes, whole nodes in full; the fewest, if elastic
        std::vector<std::vector<PoolNeed>> sizes =
            {};  // smaller ones of an elastic gang, the largest first
    };
    // Jobs of one shape and account: when the first of them cannot start, none behind it can.
    struct Queue {
        int shape_class = 0;
        int account = 0;
        std::set<QueueKey> pending;
    };
    // Level with its tier, rank of the account, then as in its queue.
    using HeadKey = std::tuple<int, int, double, std::int64_t, JobIndex>;
    struct Waiting {  // for another job
        JobIndex who = nobody;
        std::int64_t sequence = 0;  // a place in jobs_ may be another job's by now
        AfterKind what = AfterKind::ended;
    };
    struct Over {
        JobIndex who = nobody;
        std::vector<Waiting> waiting;
        JobId job;
        bool started = false;
        bool succeeded = false;
        bool gone = false;
    };
    // When and in which domain a gang could first start.
    struct Opening {
        Nanoseconds at{};
        int domain = 0;
    };
    // What a job that waits has been promised, under conservative backfill.
    struct Booking {
        Nanoseconds at{};
        Nanoseconds end{};
        int slots = 0;  // on each node
        std::vector<NodeId> nodes;
    };
    struct Array {
        int active = 0;  // in the queue or running
        std::set<std::pair<std::int64_t, JobIndex>> waiting;
    };
    struct WindowState {
        Window window;
        bool open = false;     // it is between its begin and end
        std::vector<char> in;  // by NodeId
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
    [[nodiscard]] Result<void> check_known(JobId job) const;
    [[nodiscard]] Result<void> check_attempt(JobId job, int attempt) const;
    [[nodiscard]] Result<void> check_node(NodeId node) const;
    [[nodiscard]] Result<void> allows(const Submitted& event) const;
    [[nodiscard]] Result<void> allows(const Ended& event) const;
    [[nodiscard]] Result<void> allows(const Checkpointed& event) const;
    [[nodiscard]] Result<void> allows(const WindowSet& event) const;
    [[nodiscard]] Result<void> allows(const WindowLifted& event) const;
    [[nodiscard]] Result<void> allows(const Cancelled& event) const;
    [[nodiscard]] Result<void> allows(const Held& event) const;
    [[nodiscard]] Result<void> allows(const Consolidated& event) const;
    [[nodiscard]] Result<void> allows(const Released& event) const;
    [[nodiscard]] Result<void> allows(const Reprioritised& event) const;
    [[nodiscard]] Result<void> allows(const NodeLost& event) const;
    [[nodiscard]] Result<void> allows(const NodeDrained& event) const;
    [[nodiscard]] Result<void> allows(const NodeUp& event) const;
    [[nodiscard]] Result<void> allows(const Tick& event) const;
    void apply(const Submitted& event);
    void apply(const Ended& event);
    void apply(const Cancelled& event);
    void apply(const Held& event);
    void apply(const Consolidated& event);
    void apply(const Released& event);
    void apply(const Reprioritised& event);
    void apply(const Checkpointed& event);
    void apply(const NodeLost& event);
    void apply(const NodeDrained& event);
    void apply(const NodeUp& event);
    void apply(const WindowSet& event);
    void apply(const WindowLifted& event);
    void apply(const Tick& event) { static_cast<void>(event); }
    void reject(const GangRequest& request, const ShapeClass& shape);
    void run_timers();
    void tell_wake();

    // One job
    Job& job(JobIndex index) { return jobs_[static_cast<std::size_t>(index)]; }
    [[nodiscard]] const Job& job(JobIndex index) const {
        return jobs_[static_cast<std::size_t>(index)];
    }
    JobIndex admit(const GangRequest& request);
    int class_of(const GangShape& shape);
    int queue_of(int shape_class, int account);
    [[nodiscard]] const ShapeClass& class_of(const Job& one) const {
        return classes_[static_cast<std::size_t>(
            queues_[static_cast<std::size_t>(one.queue)].shape_class)];
    }
    [[nodiscard]] int account_of(const Job& one) const {
        return queues_[static_cast<std::size_t>(one.queue)].account;
    }
    void restand(JobIndex index);
    void enqueue(JobIndex index);
    void dequeue(JobIndex index);
    void requeue(JobIndex index);
    void forget(JobIndex index, bool succeeded);
    void leave(JobIndex index);
    void stop(JobIndex index, StopReason reason);
    void victim_gone(JobIndex claimant);
    [[nodiscard]] JobView view(const Job& job) const;
    [[nodiscard]] QueueKey key(JobIndex index) const;
    [[nodiscard]] int level_of(const Job& job) const;
    [[nodiscard]] int held_level(const Job& job) const;
    [[nodiscard]] Nanoseconds expected_end(const Job& job) const;

    // Who is not in the queue yet
    void hold_back(JobIndex index);
    void add_hold(JobIndex index, Hold why);
    void drop_hold(JobIndex index, Hold why);
    void settle_over();
    void settle_waiting(const Over& over, const Waiting& waiting);
    void leave_array(const Job& one, JobIndex index);
    [[nodiscard]] static bool holds_back(const Over& over, AfterKind what);

    // Where it may run
    [[nodiscard]] bool is_restricted(const Job& one) const;
    [[nodiscard]] bool may_use(const Job& one, NodeId node) const;
    [[nodiscard]] bool runs_into(const Job& one, const WindowState& window) const;
    [[nodiscard]] std::optional<Allocation> find_for(const Job& one, const PoolNeed& need) const;
    void refresh(NodeId node);
    void run_windows();
    void begin(WindowState& window);
    void end(WindowState& window);
    [[nodiscard]] Nanoseconds next_window() const;

    // Accounts
    void charge(JobIndex index, int slots);
    void discharge(JobIndex index);
    void settle_shares();
    void retier(JobIndex index);
    void own_what_was_borrowed();
    [[nodiscard]] int asked_tier(const Queue& queue) const;
    [[nodiscard]] int asked_level(const Job& one) const;
    [[nodiscard]] bool within_limit(const Queue& queue) const;
    [[nodiscard]] HeadKey head_key(const Queue& queue, const QueueKey& key) const;

    // Who starts
    void schedule();
    void schedule_by_class(bool stop_at_first);
    template <typename At>
    void rekey(std::vector<std::pair<HeadKey, int>>& heads, const At& at);
    void schedule_easy();
    bool try_start(JobIndex index);
    bool start_in_free(JobIndex index, const std::vector<PoolNeed>& needs);
    bool start_smaller(JobIndex index);

    // Elastic gangs
    [[nodiscard]] std::vector<std::vector<PoolNeed>> smaller_sizes(
        const GangShape& shape, const std::vector<PoolNeed>& needs) const;
    [[nodiscard]] static double pace(const Job& one);
    [[nodiscard]] Nanoseconds attained_since(const Job& one) const;
    void grow();
    [[nodiscard]] bool could_grow(const Job& one);
    void start(JobIndex index, Allocation where);
    void run(JobIndex index);
    void take(JobIndex index, Allocation where);

    // Preemption
    [[nodiscard]] std::optional<Plan> plan_preemption(JobIndex index) const;
    [[nodiscard]] std::optional<Plan> plan_preemption(JobIndex index,
                                                      const std::vector<PoolNeed>& needs,
                                                      int level) const;
    [[nodiscard]] std::vector<NodeId> reachable(const Job& one,
                                                const PoolNeed& need,
                                                int level) const;
    [[nodiscard]] std::optional<Plan> plan_one_node(const Job& one,
                                                    const PoolNeed& need,
                                                    int level) const;
    [[nodiscard]] std::optional<Plan> plan_whole_nodes(const Job& one,
                                                       const PoolNeed& need,
                                                       int level) const;
    struct Clearing {
        std::vector<NodeId> nodes;  // in cluster order
        std::set<JobIndex> victims;
        double cost = 0;
    };
    [[nodiscard]] Clearing clear_cheapest(const std::vector<NodeId>& nodes,
                                          std::size_t count,
                                          int level) const;
    [[nodiscard]] std::vector<JobIndex> victims_on(NodeId node, int level) const;
    [[nodiscard]] std::vector<JobIndex> victims_for(NodeId node, int slots, int level) const;
    [[nodiscard]] double cost(JobIndex victim) const;
    void claim(JobIndex index, Plan plan);

    // EASY
    [[nodiscard]] Promise promise_to(JobIndex head) const;
    [[nodiscard]] std::optional<Promise> promise_in(const Job& one, const PoolNeed& need) const;
    void backfill(JobIndex head, Promise& promise);
    [[nodiscard]] JobIndex first_of_all() const;
    [[nodiscard]] bool fits_now(JobIndex index) const;
    [[nodiscard]] bool ends_before(const Job& job, const Promise& promise) const;
    bool try_start_within(JobIndex index, Promise& promise, bool may_use_kept);
    static void use_up_spare(Promise& promise, const Allocation& taken);
    void keep(Promise& promise);

    // Conservative backfill
    void touch(NodeId node);
    void touch(const Allocation& allocation);
    void drop_plans();
    void refresh_timeline();
    [[nodiscard]] static Nanoseconds length_of(const Job& one);
    [[nodiscard]] bool is_candidate(const Job& one, const PoolNeed& need, NodeId node) const;
    [[nodiscard]] std::optional<Opening> first_opening(const Job& one, const PoolNeed& need) const;
    [[nodiscard]] std::vector<NodeId> nodes_at(const Job& one,
                                               const PoolNeed& need,
                                               const Opening& opening) const;
    void schedule_conservative();
    void consider(JobIndex index);
    bool start_unbooked(JobIndex index);
    void book(JobIndex index);
    void withdraw(JobIndex index);
    [[nodiscard]] bool is_sound(JobIndex index, const Booking& booking);

    // Defragmentation
    struct Relocation {
        Plan plan;
        std::vector<Move> moves;
    };
    [[nodiscard]] std::optional<Relocation> plan_moves(const Job& one, const PoolNeed& need) const;
    [[nodiscard]] std::vector<std::pair<double, NodeId>> clearable(const Job& one,
                                                                   const PoolNeed& need) const;

    // Why not
    void explain_held(const Job& one, Explanation& why) const;
    void explain_place(const Job& one, Explanation& why) const;
    void explain_promise(JobIndex index, Explanation& why) const;

    std::shared_ptr<const Policy> policy_;
    std::shared_ptr<const ClusterSpec> cluster_;
    Nanoseconds preemption_cost_;
    AccountTree accounts_;
    int policy_levels_;
    ClusterTree tree_;
    Nanoseconds now_{};
    std::vector<Job> jobs_;
    std::vector<JobIndex> unused_;  // places in jobs_
    std::unordered_map<JobId, JobIndex> known_;
    std::map<GangShape, int> class_numbers_;
    std::vector<ShapeClass> classes_;
    std::map<std::pair<int, int>, int> queue_numbers_;  // by class and account
    std::vector<Queue> queues_;
    std::size_t pending_count_ = 0;
    std::size_t held_count_ = 0;
    std::int64_t sequence_ = 0;
    std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
    Nanoseconds told_wake_ = never;
    std::vector<std::vector<JobIndex>> on_node_;                  // by NodeId, in order of arrival
    std::set<std::pair<Nanoseconds, JobIndex>> ends_;             // expected, under EASY only
    std::unordered_map<JobIndex, std::vector<Waiting>> waiting_;  // by whom they wait for
    std::vector<Over> over_;  // ended or started in this step; those that wait are not told yet
    std::unordered_map<JobId, Array> arrays_;
    std::map<std::string, WindowState, std::less<>> windows_;
    std::vector<char> down_;                              // by NodeId
    std::vector<std::int16_t> set_apart_;                 // by NodeId: windows that are open there
    std::vector<std::set<JobIndex>> of_account_;          // that hold slots, where tiers matter
    std::set<std::pair<std::int64_t, JobIndex>> borrow_;  // those of them beyond a quota
    Nanoseconds settle_at_ = never;                       // the shares, though nothing happened
    std::set<JobIndex> elastic_;   // that run with fewer slots than they want
    Nanoseconds grow_at_ = never;  // when the next of them may be stopped for more
    bool changed_ = false;         // something may start now that could not before
    // Under EASY: the first job that waits and what it was promised, as long as only submissions
    // happen, and the one submitted last.
    std::optional<std::pair<JobIndex, Promise>> promised_;
    JobIndex newest_ = nobody;
    // Under conservative backfill, and to say when a job could start.
    std::optional<Timeline> timeline_;
    std::vector<char> stale_;  // by NodeId: the timeline is not up to date there
    std::vector<NodeId> stale_nodes_;
    std::map<JobIndex, Booking> bookings_;
    std::vector<Nanoseconds> shortest_failed_;  // by class: in the last full pass
    bool planned_ = false;                      // nothing but submissions since that pass
    std::vector<Action> actions_;
};

}  // namespace mpitrain::scheduler
