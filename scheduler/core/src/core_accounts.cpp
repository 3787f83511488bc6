// Shares and quotas. With them a running gang has a tier: 0 within what is its account's due, 1
// beyond, where any gang of tier 0 may preempt it. A tier is worth all the policy's levels.
#include "core_state.hpp"

namespace mpitrain::scheduler {

int Core::State::asked_tier(const Queue& queue) const {
    if (!accounts_.reclaims()) {
        return 0;
    }
    const int slots = classes_[static_cast<std::size_t>(queue.shape_class)].slots;
    return accounts_.yields(queue.account) || !accounts_.within_quota(queue.account, slots) ? 1 : 0;
}

// As which it asks for slots of others.
int Core::State::asked_level(const Job& one) const {
    const Queue& queue = queues_[static_cast<std::size_t>(one.queue)];
    return asked_tier(queue) * policy_levels_ + one.standing.level;
}

bool Core::State::within_limit(const Queue& queue) const {
    const int slots = classes_[static_cast<std::size_t>(queue.shape_class)].slots;
    return accounts_.within_limit(queue.account, slots);
}

Core::State::HeadKey Core::State::head_key(const Queue& queue, const QueueKey& key) const {
    const auto [level, order, sequence, index] = key;
    return {asked_tier(queue) * policy_levels_ + level,
            accounts_.rank(queue.account),
            order,
            sequence,
            index};
}

// Before its slots are held in the tree, since its tier decides at what level.
void Core::State::charge(JobIndex index, int slots) {
    Job& one = job(index);
    if (!accounts_.any()) {
        return;
    }
    const int account = account_of(one);
    one.charged = slots;
    one.borrowed = !accounts_.within_quota(account, one.charged);
    accounts_.count_slots(account, one.charged, now_);
    if (one.borrowed) {
        borrow_.emplace(one.sequence, index);
    } else {
        accounts_.count_owned(account, one.charged);
    }
    if (accounts_.reclaims()) {
        one.tier = one.borrowed || accounts_.yields(account) ? 1 : 0;
        of_account_[static_cast<std::size_t>(account)].insert(index);
    }
}

void Core::State::discharge(JobIndex index) {
    Job& one = job(index);
    if (one.charged == 0) {
        return;
    }
    const int account = account_of(one);
    accounts_.count_slots(account, -one.charged, now_);
    if (one.borrowed) {
        borrow_.erase({one.sequence, index});
    } else {
        accounts_.count_owned(account, -one.charged);
    }
    if (accounts_.reclaims()) {
        of_account_[static_cast<std::size_t>(account)].erase(index);
    }
    one.charged = 0;
    one.borrowed = false;
    one.tier = 0;
    own_what_was_borrowed();
}

// Quota has come free: the oldest borrowers that fit into theirs own what they have.
void Core::State::own_what_was_borrowed() {
    for (auto entry = borrow_.begin(); entry != borrow_.end();) {
        const JobIndex index = entry->second;
        Job& one = job(index);
        if (!accounts_.within_quota(account_of(one), one.charged)) {
            ++entry;
            continue;
        }
        entry = borrow_.erase(entry);
        one.borrowed = false;
        accounts_.count_owned(account_of(one), one.charged);
        retier(index);
    }
}

void Core::State::retier(JobIndex index) {
    Job& one = job(index);
    const int before = held_level(one);
    one.tier = one.borrowed || accounts_.yields(account_of(one)) ? 1 : 0;
    if (before != held_level(one)) {
        tree_.relevel(one.held, before, held_level(one));
        changed_ = true;
    }
}

void Core::State::settle_shares() {
    if (!accounts_.any()) {
        return;
    }
    for (const int account : accounts_.settle(now_)) {
        for (const JobIndex index : of_account_[static_cast<std::size_t>(account)]) {
            retier(index);
        }
    }
    const Nanoseconds after = accounts_.settle_after();
    settle_at_ = after > never - now_ || pending_count_ == 0 ? never : now_ + after;
}

std::vector<AccountShare> Core::State::shares() const {
    std::vector<AccountShare> found;
    for (std::size_t i = 1; i < accounts_.size(); ++i) {
        const int account = static_cast<int>(i);
        const int running = accounts_.running_slots(account);
        found.push_back({.name = accounts_.name(account),
                         .usage_slot_s = accounts_.usage(account, now_),
                         .running_slots = running,
                         .borrowed_slots = running - accounts_.owned_slots(account),
                         .yields = accounts_.yields(account)});
    }
    return found;
}

}  // namespace mpitrain::scheduler
