#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>

#include "mpitrain/base/strong_id.hpp"
#include "mpitrain/wire/message.hpp"

namespace mpitrain {

// The supervisor's half of the agreement on where to stop (control_page.hpp has the program's).
// Pure.
class StopAgreement {
  public:
    void replied(Rank rank, const wire::StopPrepared& reply) { replies_[rank] = reply; }
    [[nodiscard]] bool has(Rank rank) const { return replies_.contains(rank); }
    [[nodiscard]] const std::map<Rank, wire::StopPrepared>& replies() const { return replies_; }

    // The first step that no rank was told to do: one past the highest answered anywhere.
    [[nodiscard]] std::uint64_t stop_step() const {
        std::uint64_t step = 0;
        for (const auto& [rank, reply] : replies_) {
            if (reply.last_answered) {
                step = std::max(step, *reply.last_answered + 1);
            }
        }
        return step;
    }

  private:
    std::map<Rank, wire::StopPrepared> replies_;
};

}  // namespace mpitrain
