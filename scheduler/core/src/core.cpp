#include "mpitrain/scheduler/core.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core_state.hpp"
#include "mpitrain/base/assert.hpp"

namespace mpitrain::scheduler {

std::string_view to_string(GangState state) {
    switch (state) {
        case GangState::held:
            return "held";
        case GangState::pending:
            return "pending";
        case GangState::claiming:
            return "claiming";
        case GangState::running:
            return "running";
        case GangState::stopping:
            return "stopping";
    }
    return "?";
}

Result<Core> Core::create(const ClusterSpec& cluster,
                          std::unique_ptr<Policy> policy,
                          const CoreOptions& options) {
    MPITRAIN_TRY_VOID(validate(cluster));
    MPITRAIN_TRY_VOID(validate(options.accounts));
    if (policy->levels() < 1 || policy->levels() > Policy::levels_max) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("policy '{}' has {} levels, allowed are 1 to {}",
                                 policy->name(),
                                 policy->levels(),
                                 Policy::levels_max));
    }
    return Core(std::make_unique<State>(cluster, std::move(policy), options));
}

Core::Core(std::unique_ptr<State> state) : state_(std::move(state)) {}
Core::Core(Core&&) noexcept = default;
Core& Core::operator=(Core&&) noexcept = default;
Core::~Core() = default;

Result<std::vector<Action>> Core::step(const Event& event) {
    return state_->step(event);
}
Core Core::copy() const {
    return Core(std::make_unique<State>(*state_));
}
Result<Explanation> Core::explain(JobId job) const {
    return state_->explain(job);
}
Result<Nanoseconds> Core::earliest_start(JobId job) {
    return state_->earliest_start(job);
}
Result<std::vector<Move>> Core::propose_moves(JobId job) const {
    return state_->propose_moves(job);
}
Nanoseconds Core::now() const {
    return state_->now();
}
Nanoseconds Core::wakes_at() const {
    return state_->wakes_at();
}
std::vector<LiveAttempt> Core::live() const {
    return state_->live();
}
Nanoseconds Core::expected_end(JobId job) const {
    return state_->expected_end(job);
}
std::size_t Core::pending() const {
    return state_->pending();
}
std::size_t Core::held() const {
    return state_->held();
}
std::size_t Core::running() const {
    return state_->running();
}
std::vector<AccountShare> Core::shares() const {
    return state_->shares();
}
int Core::free_slots() const {
    return state_->free_slots();
}
std::uint64_t Core::digest() const {
    return state_->digest();
}

// By NodeId, for a shape that names nodes; empty = all.
std::vector<char> allowed_nodes(const ClusterSpec& cluster, const GangShape& shape) {
    if (shape.nodes.empty() && shape.not_nodes.empty()) {
        return {};
    }
    const std::set<std::string_view> wanted(shape.nodes.begin(), shape.nodes.end());
    const std::set<std::string_view> avoided(shape.not_nodes.begin(), shape.not_nodes.end());
    std::vector<char> allowed;
    allowed.reserve(cluster.nodes.size());
    for (const NodeSpec& node : cluster.nodes) {
        const bool named = wanted.empty() || wanted.contains(node.name);
        allowed.push_back(named && !avoided.contains(node.name) ? 1 : 0);
    }
    return allowed;
}

Core::State::State(const ClusterSpec& cluster,
                   std::unique_ptr<Policy> policy,
                   const CoreOptions& options)
    : policy_(std::move(policy)),
      cluster_(std::make_shared<const ClusterSpec>(cluster)),
      preemption_cost_(std::max(options.preemption_cost, Nanoseconds(1))),
      accounts_(options.accounts),
      policy_levels_(policy_->levels()),
      tree_(cluster, policy_levels_ * (accounts_.reclaims() ? 2 : 1)),
      on_node_(cluster.nodes.size()),
      down_(cluster.nodes.size(), 0),
      set_apart_(cluster.nodes.size(), 0),
      of_account_(accounts_.size()) {}

Result<std::vector<Action>> Core::State::step(const Event& event) {
    MPITRAIN_TRY_VOID(check(event));
    now_ = event.now;
    actions_.clear();
    if (!std::holds_alternative<Submitted>(event.what)) {
        drop_plans();
    }
    run_timers();
    std::visit([this](const auto& what) { apply(what); }, event.what);
    settle_over();
    if (changed_) {
        changed_ = false;
        schedule();
    }
    tell_wake();
    return std::move(actions_);
}

void Core::State::run_timers() {
    while (!timers_.empty() && timers_.top().at <= now_) {
        const Timer timer = timers_.top();
        timers_.pop();
        if (job(timer.job).stamp != timer.stamp) {
            continue;
        }
        if (job(timer.job).state == GangState::held) {
            drop_hold(timer.job, hold_begin);
        } else {
            restand(timer.job);
        }
    }
    run_windows();
    changed_ = changed_ || settle_at_ <= now_ || grow_at_ <= now_;
}

void Core::State::tell_wake() {
    while (!timers_.empty() && job(timers_.top().job).stamp != timers_.top().stamp) {
        timers_.pop();
    }
    const Nanoseconds timer = timers_.empty() ? never : timers_.top().at;
    const Nanoseconds next = std::min({timer, next_window(), settle_at_, grow_at_});
    if (next != told_wake_) {
        told_wake_ = next;
        actions_.emplace_back(WakeAt{next});
    }
}

void Core::State::apply(const Submitted& event) {
    const int number = class_of(event.request.shape);
    const ShapeClass& shape = classes_[static_cast<std::size_t>(number)];
    const int account = accounts_.find(event.request.account);
    if (shape.needs.empty()) {
        reject(event.request, shape);
        return;
    }
    const JobIndex index = admit(event.request);
    job(index).queue = queue_of(number, account);
    accounts_.count_jobs(account, 1);
    hold_back(index);
    if (job(index).holds != 0) {
        job(index).state = GangState::held;
        ++held_count_;
        return;
    }
    restand(index);
    enqueue(index);
    newest_ = index;
}

void Core::State::reject(const GangRequest& request, const ShapeClass& shape) {
    const int largest = tree_.largest(shape.shape, shape.allowed);
    actions_.emplace_back(Rejected{
        request.job,
        Error(
            ErrorCode::unsatisfiable,
            fmt::format("no place here can ever hold {} slots of this shape", request.shape.slots))
            .mend(largest > 0 ? fmt::format("the largest gang that fits has {}", largest)
                              : "no node is of the type, or the name, that was asked for")});
}

void Core::State::apply(const Ended& event) {
    const JobIndex index = known_.at(event.job);
    Job& one = job(index);
    const JobIndex claimant = std::exchange(one.claimant, nobody);
    ends_.erase({expected_end(one), index});
    const Nanoseconds had = attained_since(one);
    leave(index);
    one.attained += had;
    if (event.requeue && !one.over) {
        requeue(index);
    } else {
        forget(index, event.succeeded && !one.over);
    }
    if (claimant != nobody) {
        victim_gone(claimant);
    }
    changed_ = true;
}

// Gives back what it holds.
void Core::State::leave(JobIndex index) {
    Job& one = job(index);
    elastic_.erase(index);
    touch(one.held);
    tree_.release(one.held, held_level(one));
    for (const NodeSlots& piece : one.held) {
        std::erase(on_node_[static_cast<std::size_t>(piece.node.value())], index);
    }
    one.held.clear();
    discharge(index);
}

void Core::State::apply(const Cancelled& event) {
    const JobIndex index = known_.at(event.job);
    Job& one = job(index);
    switch (one.state) {
        case GangState::held:
            --held_count_;
            forget(index, false);
            return;
        case GangState::pending:
            dequeue(index);
            forget(index, false);
            changed_ = true;  // it may have been the one that others waited behind
            return;
        case GangState::claiming:  // its slots are its victims' until they are gone
        case GangState::stopping:
            one.over = true;
            return;
        case GangState::running:
            one.over = true;
            stop(index, StopReason::cancelled);
            return;
    }
}

void Core::State::apply(const NodeDrained& event) {
    down_[static_cast<std::size_t>(event.node.value())] = 1;
    refresh(event.node);
}

void Core::State::apply(const NodeLost& event) {
    down_[static_cast<std::size_t>(event.node.value())] = 1;
    refresh(event.node);
    const auto here = on_node_[static_cast<std::size_t>(event.node.value())];
    for (const JobIndex index : here) {
        if (job(index).state == GangState::running) {
            stop(index, StopReason::node_lost);
        }
    }
    changed_ = true;
}

void Core::State::apply(const NodeUp& event) {
    down_[static_cast<std::size_t>(event.node.value())] = 0;
    refresh(event.node);
}

// The last victim of a claim is gone: the gang starts, unless it was given up or lost a node.
void Core::State::victim_gone(JobIndex index) {
    Job& one = job(index);
    if (--one.waits_for > 0) {
        return;
    }
    const bool whole = std::all_of(one.held.begin(), one.held.end(), [&](const auto& piece) {
        return may_use(one, piece.node);
    });
    if (whole && !one.over) {
        run(index);
        return;
    }
    leave(index);
    if (one.over) {
        forget(index, false);
    } else {
        requeue(index);
    }
}

Core::State::JobIndex Core::State::admit(const GangRequest& request) {
    JobIndex index = 0;
    if (unused_.empty()) {
        index = static_cast<JobIndex>(jobs_.size());
        jobs_.emplace_back();
    } else {
        index = unused_.back();
        unused_.pop_back();
    }
    Job& one = job(index);
    const std::uint32_t stamp = one.stamp + 1;
    one = Job{};
    one.stamp = stamp;
    one.request = request;
    one.submitted = now_;
    one.sequence = ++sequence_;
    known_.emplace(request.job, index);
    return index;
}

int Core::State::class_of(const GangShape& shape) {
    const auto [entry, added] =
        class_numbers_.emplace(shape, static_cast<int>(class_numbers_.size()));
    if (added) {
        ShapeClass made{.shape = shape, .needs = {}, .allowed = allowed_nodes(*cluster_, shape)};
        made.needs = tree_.needs(shape, made.allowed);
        made.sizes = smaller_sizes(shape, made.needs);
        const auto& least = made.sizes.empty() ? made.needs : made.sizes.back();
        made.slots = least.empty() ? 0 : least.front().nodes * least.front().slots;
        classes_.push_back(std::move(made));
    }
    return entry->second;
}

int Core::State::queue_of(int shape_class, int account) {
    const auto [entry, added] = queue_numbers_.emplace(std::pair(shape_class, account),
                                                       static_cast<int>(queue_numbers_.size()));
    if (added) {
        queues_.push_back({shape_class, account, {}});
    }
    return entry->second;
}

JobView Core::State::view(const Job& one) const {
    const bool running = one.state == GangState::running;
    const auto& needs = class_of(one).needs;
    return {.request = one.request,
            .nodes = needs.front().nodes,
            .submitted = one.submitted,
            .attained = one.attained + (running ? attained_since(one) : Nanoseconds{}),
            .running = running,
            .marked = one.standing.marked};
}

// Asks the policy anew, and moves the job where it now belongs.
void Core::State::restand(JobIndex index) {
    Job& one = job(index);
    const int before = level_of(one);
    const bool queued = one.queued;
    if (queued) {
        dequeue(index);
    }
    one.standing = policy_->standing(view(one), now_);
    MPITRAIN_ASSERT(one.standing.level >= 0 && one.standing.level < policy_->levels());
    MPITRAIN_ASSERT(!std::isnan(one.standing.order));  // the queue could not be sorted
    ++one.stamp;
    if (one.standing.changes_at != never) {
        // A moment that has passed would ask again and again.
        const Nanoseconds at = std::max(one.standing.changes_at, now_ + Nanoseconds(1));
        timers_.push({at, index, one.stamp});
    }
    if (queued) {
        enqueue(index);
    } else if (one.state == GangState::running && before != level_of(one)) {
        tree_.relevel(one.held, before, level_of(one));
        changed_ = true;
    }
}

void Core::State::enqueue(JobIndex index) {
    queues_[static_cast<std::size_t>(job(index).queue)].pending.insert(key(index));
    job(index).queued = true;
    ++pending_count_;
    changed_ = true;
}

void Core::State::dequeue(JobIndex index) {
    queues_[static_cast<std::size_t>(job(index).queue)].pending.erase(key(index));
    job(index).queued = false;
    --pending_count_;
}

void Core::State::requeue(JobIndex index) {
    if (job(index).holds != 0) {
        job(index).state = GangState::held;
        ++held_count_;
        return;
    }
    job(index).state = GangState::pending;
    restand(index);
    enqueue(index);
}

void Core::State::forget(JobIndex index, bool succeeded) {
    Job& one = job(index);
    accounts_.count_jobs(account_of(one), -1);
    leave_array(one, index);
    if (const auto waiting = waiting_.find(index); waiting != waiting_.end()) {
        over_.push_back({.who = index,
                         .waiting = std::move(waiting->second),
                         .job = one.request.job,
                         .succeeded = succeeded,
                         .gone = true});
        waiting_.erase(waiting);
    }
    known_.erase(one.request.job);
    ++one.stamp;
    unused_.push_back(index);
}

void Core::State::stop(JobIndex index, StopReason reason) {
    Job& one = job(index);
    tree_.relevel(one.held, held_level(one), pinned_level);
    one.state = GangState::stopping;
    ++one.stamp;  // its standing matters no more
    touch(one.held);
    actions_.emplace_back(Stop{one.request.job, one.attempt, reason});
}

Core::State::QueueKey Core::State::key(JobIndex index) const {
    const Job& one = job(index);
    return {one.standing.level, one.standing.order, one.sequence, index};
}

int Core::State::level_of(const Job& one) const {
    return one.request.preemptible ? one.tier * policy_levels_ + one.standing.level : pinned_level;
}

// Only what runs can be preempted: what stops, or waits for its victims, is out of reach.
int Core::State::held_level(const Job& one) const {
    return one.state == GangState::running ? level_of(one) : pinned_level;
}

Nanoseconds Core::State::expected_end(const Job& one) const {
    if (!one.request.estimate || one.started > never - *one.request.estimate) {
        return never;
    }
    // What ran before counts; an estimate that has run out means "any moment".
    const Nanoseconds left = std::max(*one.request.estimate - one.attained, Nanoseconds{});
    const double longer = static_cast<double>(left.count()) / pace(one);
    return longer > 4e18 ? never : one.started + Nanoseconds(static_cast<std::int64_t>(longer));
}

std::vector<LiveAttempt> Core::State::live() const {
    std::vector<LiveAttempt> found;
    for (const auto& [id, index] : known_) {
        const Job& one = job(index);
        if (one.state == GangState::running) {
            found.push_back({id, one.attempt, std::max(expected_end(one), now_), false});
        } else if (one.state == GangState::stopping) {
            found.push_back({id, one.attempt, now_, !one.over});
        }
    }
    std::sort(found.begin(), found.end(), [](const LiveAttempt& a, const LiveAttempt& b) {
        return a.job < b.job;
    });
    return found;
}

Nanoseconds Core::State::expected_end(JobId id) const {
    const auto found = known_.find(id);
    return found == known_.end() ? never : expected_end(job(found->second));
}

std::uint64_t Core::State::digest() const {
    std::uint64_t hash = 14695981039346656037ULL;
    const auto add = [&hash](std::int64_t value) {
        for (int byte = 0; byte < 8; ++byte) {
            hash = (hash ^ (static_cast<std::uint64_t>(value) >> (8 * byte) & 0xff)) *
                   1099511628211ULL;
        }
    };
    std::map<JobId, JobIndex> ordered(known_.begin(), known_.end());
    add(now_.count());
    for (const auto& [id, index] : ordered) {
        const Job& one = job(index);
        add(id.value());
        add(static_cast<std::int64_t>(one.state) * 2 + (one.over ? 1 : 0));
        add(one.attempt);
        add(one.attained.count());
        add(one.standing.level);
        add(one.holds * 4 + one.tier * 2 + (one.borrowed ? 1 : 0));
        for (const NodeSlots& piece : one.held) {
            add(piece.node.value());
            add(static_cast<std::int64_t>(piece.slots));
        }
    }
    return hash;
}

}  // namespace mpitrain::scheduler
