#include "plan_hash.hpp"

#include <fmt/format.h>

namespace mpitrain {
namespace {

constexpr std::uint64_t prime = 0x100000001b3;

}  // namespace

void PlanHash::mix(std::string_view text) {
    mix(text.size());
    for (const char c : text) {
        state_ = (state_ ^ static_cast<unsigned char>(c)) * prime;
    }
}

void PlanHash::mix(std::uint64_t value) {
    for (int byte = 0; byte < 8; ++byte) {
        state_ = (state_ ^ ((value >> (8 * byte)) & 0xffU)) * prime;
    }
}

void PlanHash::add(int node_ordinal, const RankPlan& rank) {
    mix(static_cast<std::uint64_t>(node_ordinal));
    mix(rank.slots.size());
    for (const SlotId slot : rank.slots) {
        mix(static_cast<std::uint64_t>(slot.value()));
    }
    mix(rank.cpus.to_string());
    mix(rank.env.size());
    for (const auto& [name, value] : rank.env) {
        mix(name);
        mix(value);
    }
}

std::string PlanHash::hex() const {
    return fmt::format("{:016x}", state_);
}

}  // namespace mpitrain
