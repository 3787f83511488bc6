#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"

namespace mpitrain::scheduler {

// Who may use how much. Accounts form a tree; jobs name a leaf of it.
struct AccountSpec {
    std::string name = {};
    std::string parent = {};  // empty = at the top
    double weight = 1;        // its part against its siblings', above zero
    // Slots that are its own whenever it asks: within its quota a gang gets back what others have
    // borrowed. Without one on the way to the top, all it has is borrowed, if anyone has a quota.
    std::optional<int> quota = {};
    std::optional<int> limit = {};  // slots that it and those below it may hold at most
    bool operator==(const AccountSpec&) const = default;
};

struct AccountsSpec {
    std::vector<AccountSpec> accounts = {};  // empty = there are none, and jobs' accounts are words
    // Usage counts half after this long.
    Nanoseconds half_life = std::chrono::hours(24 * 7);
    // Above zero: the gangs of one that has had more than its share times (1 + this) may be
    // preempted by those of whoever is below theirs. Zero: shares only order the queue.
    double yield_beyond = 0;
    bool operator==(const AccountsSpec&) const = default;
};

// Errors: invalid_argument, naming the account: a name empty or twice, a parent that does not come
// before it, a weight not above zero, a negative quota or limit, children with more quota than
// their parent, a half-life or yield_beyond out of range.
Result<void> validate(const AccountsSpec& spec);

}  // namespace mpitrain::scheduler
