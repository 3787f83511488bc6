#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"
#include "roll_call.hpp"

namespace mpitrain::collectives {

// How ranks come to know each other before there is a communicator on NCCL. All calls but the first
// two are collective.
class Meeting {
  public:
    virtual ~Meeting() = default;
    [[nodiscard]] virtual int rank() const = 0;
    [[nodiscard]] virtual int size() const = 0;
    // As roll_call().
    virtual Result<Answers> roll_call(std::uint8_t mine, Nanoseconds patience) = 0;
    // As exchange_bytes().
    virtual Result<std::vector<std::string>> exchange(std::string_view mine) = 0;
};

// Of the ranks of a communicator of the mpi backend.
class MpiMeeting final : public Meeting {
  public:
    explicit MpiMeeting(Communicator& ranks) : ranks_(ranks) {}
    [[nodiscard]] int rank() const override { return ranks_.rank(); }
    [[nodiscard]] int size() const override { return ranks_.size(); }
    Result<Answers> roll_call(std::uint8_t mine, Nanoseconds patience) override {
        return collectives::roll_call(ranks_, mine, patience);
    }
    Result<std::vector<std::string>> exchange(std::string_view mine) override {
        return exchange_bytes(ranks_, mine);
    }

  private:
    Communicator& ranks_;
};

}  // namespace mpitrain::collectives
