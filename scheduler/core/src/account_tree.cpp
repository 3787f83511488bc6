#include "account_tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace mpitrain::scheduler {
namespace {

constexpr double ln2 = 0.6931471805599453;

double seconds(Nanoseconds time) {
    return std::chrono::duration<double>(time).count();
}

Error wrong(const AccountSpec& account, std::string_view what) {
    return Error(ErrorCode::invalid_argument, fmt::format("account '{}' {}", account.name, what));
}

}  // namespace

Result<void> validate(const AccountsSpec& spec) {
    if (spec.half_life < std::chrono::seconds(1) || !(spec.yield_beyond >= 0) ||
        spec.yield_beyond > 100) {
        return Error(ErrorCode::invalid_argument,
                     "accounts want a half-life of a second or more, and to yield beyond 0 to 100");
    }
    std::map<std::string_view, const AccountSpec*> known;
    std::map<std::string_view, std::int64_t> given;  // quota of the children
    for (const AccountSpec& account : spec.accounts) {
        if (account.name.empty() || !known.emplace(account.name, &account).second) {
            return wrong(account, "has no name, or another has it too");
        }
        if (!account.parent.empty() &&
            (account.parent == account.name || !known.contains(account.parent))) {
            return wrong(account, fmt::format("names the parent '{}'", account.parent))
                .mend("a parent stands before its children");
        }
        if (!(account.weight > 0) || !std::isfinite(account.weight)) {
            return wrong(account, "has a weight that is not above zero");
        }
        if (account.quota.value_or(0) < 0 || account.limit.value_or(0) < 0) {
            return wrong(account, "has a negative quota or limit");
        }
        given[account.parent] += account.quota.value_or(0);
    }
    for (const AccountSpec& account : spec.accounts) {
        if (account.quota && given[account.name] > *account.quota) {
            return wrong(account,
                         fmt::format("has a quota of {}, those below it {} together",
                                     *account.quota,
                                     given[account.name]));
        }
    }
    return {};
}

AccountTree::AccountTree(const AccountsSpec& spec)
    : nodes_(1), half_life_s_(seconds(spec.half_life)), yield_beyond_(spec.yield_beyond) {
    for (const AccountSpec& account : spec.accounts) {
        const int number = static_cast<int>(nodes_.size());
        Node node;
        node.name = account.name;
        node.weight = account.weight;
        node.quota = account.quota;
        node.limit = account.limit;
        node.parent = account.parent.empty() ? 0 : numbers_.at(account.parent);
        quotas_ = quotas_ || account.quota.has_value();
        numbers_.emplace(account.name, number);
        nodes_.push_back(std::move(node));
        at(at(number).parent).children.push_back(number);
    }
}

int AccountTree::find(std::string_view name) const {
    if (!any()) {
        return 0;
    }
    const auto found = numbers_.find(name);
    return found == numbers_.end() || !at(found->second).children.empty() ? -1 : found->second;
}

double AccountTree::usage(int account, Nanoseconds now) const {
    const Node& node = at(account);
    const double elapsed = seconds(now - node.at);
    if (elapsed <= 0) {
        return node.usage;
    }
    const double kept = std::exp2(-elapsed / half_life_s_);
    return node.usage * kept + node.running * (half_life_s_ / ln2) * (1 - kept);
}

void AccountTree::count_jobs(int account, int change) {
    for (int node = account; node != 0; node = at(node).parent) {
        at(node).jobs += change;
    }
}

void AccountTree::count_slots(int account, int change, Nanoseconds now) {
    for (int node = account; node != 0; node = at(node).parent) {
        at(node).usage = usage(node, now);
        at(node).at = now;
        at(node).running += change;
    }
}

void AccountTree::count_owned(int account, int change) {
    for (int node = account; node != 0; node = at(node).parent) {
        at(node).owned += change;
    }
}

bool AccountTree::within_quota(int account, int slots) const {
    if (!quotas_) {
        return true;
    }
    bool any_quota = false;
    for (int node = account; node != 0; node = at(node).parent) {
        any_quota = any_quota || at(node).quota.has_value();
        if (at(node).quota && at(node).owned + slots > *at(node).quota) {
            return false;
        }
    }
    return any_quota;
}

bool AccountTree::within_limit(int account, int slots) const {
    for (int node = account; node != 0; node = at(node).parent) {
        if (at(node).limit && at(node).running + slots > *at(node).limit) {
            return false;
        }
    }
    return true;
}

double AccountTree::weighed(int account, Nanoseconds now) const {
    return (usage(account, now) + at(account).running * half_life_s_ / 20) / at(account).weight;
}

std::vector<int> AccountTree::settle(Nanoseconds now) {
    std::vector<int> changed;
    if (any()) {
        next_rank_ = 0;
        rank_below(0, 0, now, changed);
    }
    return changed;
}

// `excess`: how far beyond its share the account itself is, as the most on its way to the top.
void AccountTree::rank_below(int account,
                             double excess,
                             Nanoseconds now,
                             std::vector<int>& changed) {
    struct Child {
        double order;
        int number;
    };
    std::vector<Child> children;
    double usage_sum = 0;
    double weight_sum = 0;
    for (const int child : at(account).children) {
        if (at(child).jobs > 0) {
            children.push_back({weighed(child, now), child});
            usage_sum += usage(child, now);
            weight_sum += at(child).weight;
        }
    }
    std::sort(children.begin(), children.end(), [](const Child& a, const Child& b) {
        return std::tie(a.order, a.number) < std::tie(b.order, b.number);
    });
    for (const Child& child : children) {
        Node& node = at(child.number);
        const double due = usage_sum * node.weight / weight_sum;
        const double own = due > 0 ? usage(child.number, now) / due - 1 : 0;
        const double most = std::max(excess, own);
        node.rank = next_rank_++;
        if (!node.children.empty()) {
            rank_below(child.number, most, now, changed);
            continue;
        }
        // Between its share and the bound it stays what it was.
        const bool yields =
            yield_beyond_ > 0 && (most > yield_beyond_ || (most > 0 && node.yields));
        if (yields != node.yields) {
            node.yields = yields;
            changed.push_back(child.number);
        }
    }
}

Nanoseconds AccountTree::settle_after() const {
    if (yield_beyond_ <= 0) {
        return Nanoseconds::max();
    }
    const double step_s = half_life_s_ * std::min(yield_beyond_, 1.0) / 4;
    return Nanoseconds(static_cast<std::int64_t>(std::max(step_s, 1.0) * 1e9));
}

}  // namespace mpitrain::scheduler
