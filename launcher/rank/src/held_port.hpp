#pragma once

#include <cstdint>

#include "posix.hpp"

namespace mpitrain::rank {

// A TCP port on all addresses that nobody else is given while we hold it: the kernel chooses no
// port that is bound, and a bind by number fails unless, like ours, it asks for SO_REUSEADDR, which
// every rendezvous server does. Two such sockets may share a port until one listens; ours never
// does.
class HeldPort {
  public:
    // Number 0 when there is no free port.
    static HeldPort hold();
    [[nodiscard]] std::uint16_t number() const { return number_; }

  private:
    UniqueFd socket_;
    std::uint16_t number_ = 0;
};

}  // namespace mpitrain::rank
