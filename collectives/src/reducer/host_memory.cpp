#include <cstring>

#include "reducer/memory.hpp"

namespace mpitrain::collectives {

namespace {

class HostMemory final : public ReducerMemory {
  public:
    [[nodiscard]] bool is_asynchronous() const override { return false; }
    Result<void> follow_computation() override { return {}; }
    Result<void> copy(void* to, const void* from, std::size_t bytes) override {
        if (bytes > 0) {
            std::memcpy(to, from, bytes);
        }
        return {};
    }
    Result<void> zero(void* data, std::size_t bytes) override {
        if (bytes > 0) {
            std::memset(data, 0, bytes);
        }
        return {};
    }
    Result<std::byte*> scratch(std::size_t bytes) override {
        if (scratch_.size() < bytes) {
            scratch_.resize(bytes);
        }
        return scratch_.data();
    }
    Result<void> any_of(Communicator& ranks,
                        const std::vector<std::uint8_t>& mine,
                        std::vector<std::uint8_t>& any) override {
        return ranks.allreduce(mine, any, ReduceOp::max);
    }

  private:
    std::vector<std::byte> scratch_;
};

}  // namespace

std::unique_ptr<ReducerMemory> host_reducer_memory() {
    return std::make_unique<HostMemory>();
}

}  // namespace mpitrain::collectives
