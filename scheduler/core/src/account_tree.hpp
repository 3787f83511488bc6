#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/scheduler/accounts.hpp"

namespace mpitrain::scheduler {

// The books of the accounts: usage that decays, ranks, quotas. Number 0 is the whole cluster, the
// account of everybody where none are given; account i of the spec is number i + 1.
class AccountTree {
  public:
    explicit AccountTree(const AccountsSpec& spec);

    [[nodiscard]] bool any() const { return nodes_.size() > 1; }
    // Whether a gang may be held at a worse tier than its policy says.
    [[nodiscard]] bool reclaims() const { return quotas_ || yield_beyond_ > 0; }
    [[nodiscard]] std::size_t size() const { return nodes_.size(); }

    // -1: no such account, or one that has others below it.
    [[nodiscard]] int find(std::string_view name) const;
    [[nodiscard]] const std::string& name(int account) const { return at(account).name; }

    // Books. `jobs` are those that wait or run: who has none is left out of the shares.
    void count_jobs(int account, int change);
    void count_slots(int account, int change, Nanoseconds now);
    void count_owned(int account, int change);  // of those slots, within the quota

    // Orders the accounts by what they have had, Fair Tree: siblings by usage over weight, depth
    // first. What they hold now counts as if for a twentieth of the half-life, so that nobody takes
    // all that is free in one go. Returns the leaves that began or ceased to yield.
    std::vector<int> settle(Nanoseconds now);
    [[nodiscard]] int rank(int account) const { return at(account).rank; }
    [[nodiscard]] bool yields(int account) const { return at(account).yields; }

    [[nodiscard]] bool within_quota(int account, int slots) const;
    [[nodiscard]] bool within_limit(int account, int slots) const;
    [[nodiscard]] int running_slots(int account) const { return at(account).running; }
    [[nodiscard]] int owned_slots(int account) const { return at(account).owned; }
    [[nodiscard]] double usage(int account, Nanoseconds now) const;
    // When to settle again though nothing happened.
    [[nodiscard]] Nanoseconds settle_after() const;

  private:
    struct Node {
        std::string name;
        int parent = 0;
        double weight = 1;
        std::optional<int> quota, limit;
        std::vector<int> children;
        double usage = 0;  // slot seconds, as of `at`
        Nanoseconds at{};
        int running = 0;  // slots, those of accounts below included
        int owned = 0;
        int jobs = 0;
        int rank = 0;
        bool yields = false;
    };
    [[nodiscard]] const Node& at(int account) const {
        return nodes_[static_cast<std::size_t>(account)];
    }
    [[nodiscard]] Node& at(int account) { return nodes_[static_cast<std::size_t>(account)]; }
    [[nodiscard]] double weighed(int account, Nanoseconds now) const;
    void rank_below(int account, double excess, Nanoseconds now, std::vector<int>& changed);

    std::vector<Node> nodes_;
    std::map<std::string, int, std::less<>> numbers_;
    double half_life_s_;
    double yield_beyond_;
    bool quotas_ = false;
    int next_rank_ = 0;
};

}  // namespace mpitrain::scheduler
