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

Result<Core> Core::create(const ClusterSpec& cluster, std::unique_ptr<Policy> policy) {
    MPITRAIN_TRY_VOID(validate(cluster));
    if (policy->levels() < 1 || policy->levels() > Policy::levels_max) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("policy '{}' has {} levels, allowed are 1 to {}",
                                 policy->name(),
                                 policy->levels(),
                                 Policy::levels_max));
    }
    return Core(std::make_unique<State>(cluster, std::move(policy)));
}

Core::Core(std::unique_ptr<State> state) : state_(std::move(state)) {}
Core::Core(Core&&) noexcept = default;
Core& Core::operator=(Core&&) noexcept = default;
Core::~Core() = default;

Result<std::vector<Action>> Core::step(const Event& event) {
    return state_->step(event);
}
Result<Explanation> Core::explain(JobId job) const {
    return state_->explain(job);
}
std::size_t Core::pending() const {
    return state_->pending();
}
std::size_t Core::running() const {
    return state_->running();
}
int Core::free_slots() const {
    return state_->free_slots();
}
std::uint64_t Core::digest() const {
    return state_->digest();
}

Core::State::State(const ClusterSpec& cluster, std::unique_ptr<Policy> policy)
    : policy_(std::move(policy)),
      tree_(cluster, policy_->levels()),
      on_node_(cluster.nodes.size()) {}

Result<std::vector<Action>> Core::State::step(const Event& event) {
    MPITRAIN_TRY_VOID(check(event));
    now_ = event.now;
    actions_.clear();
    if (!std::holds_alternative<Submitted>(event.what)) {
        promised_.reset();
    }
    run_timers();
    std::visit([this](const auto& what) { apply(what); }, event.what);
    if (changed_) {
        changed_ = false;
        schedule();
    }
    tell_wake();
    return std::move(actions_);
}

Result<void> Core::State::check(const Event& event) const {
    if (event.now < now_) {
        return Error(ErrorCode::invalid_argument, "an event is older than the one before it");
    }
    const auto known = [this](JobId id) -> Result<void> {
        if (!known_.contains(id)) {
            return Error(ErrorCode::not_found, fmt::format("no job {}", id.value()));
        }
        return {};
    };
    if (const auto* submitted = std::get_if<Submitted>(&event.what)) {
        const GangRequest& request = submitted->request;
        if (known_.contains(request.job)) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("job {} is known already", request.job.value()));
        }
        if (request.shape.slots < 1 || request.shape.slice_nodes < 0 ||
            request.estimate.value_or(Nanoseconds{}) < Nanoseconds{}) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format(
                             "job {} asks for {} slots", request.job.value(), request.shape.slots))
                .mend("ask for at least one, and for no negative time or slice");
        }
        return {};
    }
    if (const auto* ended = std::get_if<Ended>(&event.what)) {
        MPITRAIN_TRY_VOID(known(ended->job));
        const Job& one = job(known_.at(ended->job));
        const bool runs = one.state == GangState::running || one.state == GangState::stopping;
        if (!runs || one.attempt != ended->attempt) {
            return Error(
                ErrorCode::not_found,
                fmt::format("attempt {}#{} is not running", ended->job.value(), ended->attempt));
        }
        return {};
    }
    if (const auto* cancelled = std::get_if<Cancelled>(&event.what)) {
        return known(cancelled->job);
    }
    const auto check_node = [this](NodeId node) -> Result<void> {
        if (node.value() < 0 || static_cast<std::size_t>(node.value()) >= on_node_.size()) {
            return Error(ErrorCode::not_found, fmt::format("no node {}", node.value()));
        }
        return {};
    };
    if (const auto* lost = std::get_if<NodeLost>(&event.what)) {
        return check_node(lost->node);
    }
    if (const auto* drained = std::get_if<NodeDrained>(&event.what)) {
        return check_node(drained->node);
    }
    if (const auto* up = std::get_if<NodeUp>(&event.what)) {
        return check_node(up->node);
    }
    return {};
}

void Core::State::run_timers() {
    while (!timers_.empty() && timers_.top().at <= now_) {
        const Timer timer = timers_.top();
        timers_.pop();
        if (job(timer.job).stamp == timer.stamp) {
            restand(timer.job);
        }
    }
}

void Core::State::tell_wake() {
    while (!timers_.empty() && job(timers_.top().job).stamp != timers_.top().stamp) {
        timers_.pop();
    }
    const Nanoseconds next = timers_.empty() ? never : timers_.top().at;
    if (next != told_wake_) {
        told_wake_ = next;
        actions_.emplace_back(WakeAt{next});
    }
}

void Core::State::apply(const Submitted& event) {
    const int number = class_of(event.request.shape);
    if (classes_[static_cast<std::size_t>(number)].needs.empty()) {
        const int largest = tree_.largest(event.request.shape);
        actions_.emplace_back(Rejected{
            event.request.job,
            Error(ErrorCode::unsatisfiable,
                  fmt::format("no place here can ever hold {} slots of this shape",
                              event.request.shape.slots))
                .mend(largest > 0 ? fmt::format("the largest gang that fits has {}", largest)
                                  : "no node is of the type that was asked for")});
        return;
    }
    const JobIndex index = admit(event.request);
    job(index).shape_class = number;
    restand(index);
    enqueue(index);
    newest_ = index;
}

void Core::State::apply(const Ended& event) {
    const JobIndex index = known_.at(event.job);
    Job& one = job(index);
    const int level =
        one.state == GangState::stopping && one.claimant != nobody ? pinned_level : level_of(one);
    tree_.release(one.held, level);
    for (const NodeSlots& piece : one.held) {
        std::erase(on_node_[static_cast<std::size_t>(piece.node.value())], index);
    }
    one.held.clear();
    ends_.erase({expected_end(one), index});
    one.attained += now_ - one.started;
    const JobIndex claimant = std::exchange(one.claimant, nobody);
    if (event.requeue && !one.over) {
        requeue(index);
    } else {
        forget(index);
    }
    if (claimant != nobody) {
        victim_gone(claimant);
    }
    changed_ = true;
}

void Core::State::apply(const Cancelled& event) {
    const JobIndex index = known_.at(event.job);
    Job& one = job(index);
    switch (one.state) {
        case GangState::pending:
            dequeue(index);
            forget(index);
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

void Core::State::apply(const NodeLost& event) {
    tree_.close(event.node);
    const auto here = on_node_[static_cast<std::size_t>(event.node.value())];
    for (const JobIndex index : here) {
        if (job(index).state == GangState::running) {
            stop(index, StopReason::node_lost);
        }
    }
    changed_ = true;
}

void Core::State::apply(const NodeUp& event) {
    tree_.open(event.node);
    changed_ = true;
}

// The last victim of a claim is gone: the gang starts, unless it was given up or lost a node.
void Core::State::victim_gone(JobIndex index) {
    Job& one = job(index);
    if (--one.waits_for > 0) {
        return;
    }
    const bool whole = std::all_of(one.held.begin(), one.held.end(), [this](const auto& piece) {
        return tree_.is_open(piece.node);
    });
    if (whole && !one.over) {
        run(index);
        return;
    }
    tree_.release(one.held, held_level(one));
    for (const NodeSlots& piece : one.held) {
        std::erase(on_node_[static_cast<std::size_t>(piece.node.value())], index);
    }
    one.held.clear();
    if (one.over) {
        forget(index);
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
        classes_.push_back({shape, tree_.needs(shape), {}});
    }
    return entry->second;
}

JobView Core::State::view(const Job& one) const {
    const bool running = one.state == GangState::running;
    const auto& needs = classes_[static_cast<std::size_t>(one.shape_class)].needs;
    return {.request = one.request,
            .nodes = needs.front().nodes,
            .submitted = one.submitted,
            .attained = one.attained + (running ? now_ - one.started : Nanoseconds{}),
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
    classes_[static_cast<std::size_t>(job(index).shape_class)].pending.insert(key(index));
    job(index).queued = true;
    ++pending_count_;
    changed_ = true;
}

void Core::State::dequeue(JobIndex index) {
    classes_[static_cast<std::size_t>(job(index).shape_class)].pending.erase(key(index));
    job(index).queued = false;
    --pending_count_;
}

void Core::State::requeue(JobIndex index) {
    job(index).state = GangState::pending;
    restand(index);
    enqueue(index);
}

void Core::State::forget(JobIndex index) {
    Job& one = job(index);
    known_.erase(one.request.job);
    ++one.stamp;
    unused_.push_back(index);
}

void Core::State::stop(JobIndex index, StopReason reason) {
    Job& one = job(index);
    tree_.relevel(one.held, held_level(one), pinned_level);
    one.state = GangState::stopping;
    ++one.stamp;  // its standing matters no more
    actions_.emplace_back(Stop{one.request.job, one.attempt, reason});
}

Core::State::QueueKey Core::State::key(JobIndex index) const {
    const Job& one = job(index);
    return {one.standing.level, one.standing.order, one.sequence, index};
}

int Core::State::level_of(const Job& one) const {
    return one.request.preemptible ? one.standing.level : pinned_level;
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
    return std::max(one.started + *one.request.estimate - one.attained, one.started);
}

Result<Explanation> Core::State::explain(JobId id) const {
    const auto found = known_.find(id);
    if (found == known_.end()) {
        return Error(ErrorCode::not_found, fmt::format("no job {}", id.value()));
    }
    const Job& one = job(found->second);
    const ShapeClass& shape = classes_[static_cast<std::size_t>(one.shape_class)];
    Explanation why{.state = one.state,
                    .level = one.standing.level,
                    .wanted_slots = one.request.shape.slots,
                    .free_slots = tree_.free_slots(),
                    .text = {}};
    if (one.state == GangState::claiming) {
        why.text = fmt::format("starts when {} preempted jobs have stopped", one.waits_for);
        return why;
    }
    if (one.state != GangState::pending) {
        return why;
    }
    int empty = 0;
    int wanted_nodes = std::numeric_limits<int>::max();
    for (const PoolNeed& need : shape.needs) {
        empty = std::max(empty, tree_.empty_nodes(need.pool));
        wanted_nodes = std::min(wanted_nodes, need.nodes);
    }
    if (why.free_slots < why.wanted_slots) {
        why.text =
            fmt::format("needs {} slots, {} are free and nobody of a worse level holds enough",
                        why.wanted_slots,
                        why.free_slots);
    } else if (wanted_nodes > 1 && empty < wanted_nodes) {
        why.short_nodes = wanted_nodes - empty;
        why.text = fmt::format("needs {} whole nodes, {} are empty", wanted_nodes, empty);
    } else if (wanted_nodes > 1) {
        why.text = fmt::format("enough nodes are empty, but not within one {}",
                               to_string(one.request.shape.within));
    } else {
        why.text = fmt::format(
            "{} slots are free, but no node has {} of them", why.free_slots, why.wanted_slots);
    }
    return why;
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
        for (const NodeSlots& piece : one.held) {
            add(piece.node.value());
            add(static_cast<std::int64_t>(piece.slots));
        }
    }
    return hash;
}

}  // namespace mpitrain::scheduler
