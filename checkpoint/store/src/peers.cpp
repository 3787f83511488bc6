#include "mpitrain/checkpoint/peers.hpp"

#include <utility>

namespace mpitrain::checkpoint {
namespace {

class SinglePeer final : public Peers {
  public:
    [[nodiscard]] int rank() const override { return 0; }
    [[nodiscard]] int size() const override { return 1; }
    Result<std::vector<std::string>> exchange(std::string mine,
                                              std::chrono::milliseconds) override {
        std::vector<std::string> all;
        all.push_back(std::move(mine));
        return all;
    }
};

}  // namespace

std::unique_ptr<Peers> single_peer() {
    return std::make_unique<SinglePeer>();
}

}  // namespace mpitrain::checkpoint
