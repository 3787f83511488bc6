#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace mpitrain {

// A number that names one kind of thing, so that a rank is never taken for a slot.
template <typename Tag, typename Value = std::int32_t>
class StrongId {
  public:
    constexpr StrongId() = default;
    constexpr explicit StrongId(Value value) : value_(value) {}
    [[nodiscard]] constexpr Value value() const { return value_; }
    constexpr auto operator<=>(const StrongId&) const = default;

  private:
    Value value_{};
};

using Rank = StrongId<struct RankTag>;            // 0 … world size - 1
using LocalRank = StrongId<struct LocalRankTag>;  // 0 … ranks on this node - 1
using NodeId = StrongId<struct NodeTag>;
using SlotId = StrongId<struct SlotTag>;  // index of a slot within its node, PCI order for GPUs
using JobId = StrongId<struct JobTag, std::int64_t>;

}  // namespace mpitrain

template <typename Tag, typename Value>
struct std::hash<mpitrain::StrongId<Tag, Value>> {
    std::size_t operator()(mpitrain::StrongId<Tag, Value> id) const noexcept {
        return std::hash<Value>{}(id.value());
    }
};
