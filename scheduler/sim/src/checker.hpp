#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "mpitrain/scheduler/core.hpp"

namespace mpitrain::sim {

// Watches what the core orders, with books of its own: it shares no code with the core. Holds that
//   - no slot is in two live attempts, and none on a node that is down,
//   - a gang starts with all it asked for, on distinct nodes alike,
//   - attempts count up by one, and no order names one that is not live.
class Checker {
  public:
    explicit Checker(const scheduler::ClusterSpec& cluster);

    void submitted(const scheduler::GangRequest& request);
    void started(const scheduler::Start& start);
    void stopped(const scheduler::Stop& stop);
    void ended(JobId job, int attempt);
    void node(NodeId node, bool up);

    [[nodiscard]] std::int64_t violations() const { return violations_; }
    [[nodiscard]] const std::string& first() const { return first_; }

  private:
    struct Live {
        scheduler::GangRequest request;
        int attempt = 0;
        bool runs = false;
        scheduler::Allocation held;
    };
    void fail(std::string what);
    void check_shape(const scheduler::Start& start, const Live& live);

    const scheduler::ClusterSpec& cluster_;
    std::vector<std::uint64_t> used_;  // by node
    std::vector<char> up_;
    std::unordered_map<JobId, Live> jobs_;
    std::int64_t violations_ = 0;
    std::string first_;
};

}  // namespace mpitrain::sim
