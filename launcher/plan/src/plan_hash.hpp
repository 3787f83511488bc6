#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mpitrain/plan/launch_plan.hpp"

namespace mpitrain {

// FNV-1a, 64 bits, over what makes two plans the same: node ordinals, slots, cpus, stable
// environment. Not the hosts' names, nor the engine.
class PlanHash {
  public:
    void add(int node_ordinal, const RankPlan& rank);
    [[nodiscard]] std::string hex() const;  // 16 digits

  private:
    void mix(std::string_view text);  // with its end, so that "ab","c" differs from "a","bc"
    void mix(std::uint64_t value);
    std::uint64_t state_ = 0xcbf29ce484222325;
};

}  // namespace mpitrain
