#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

namespace mpitrain::checkpoint {

// A few page-aligned buffers for direct transfers. Pages come into being on first use, so a small
// checkpoint takes little, and stay warm for the next.
class Staging {
  public:
    static constexpr std::size_t buffer_bytes = std::size_t{8} << 20U;
    static constexpr std::size_t buffer_count = 4;

    Staging();
    [[nodiscard]] std::span<std::byte> whole() const {
        return {memory_.get(), buffer_count * buffer_bytes};
    }
    [[nodiscard]] std::span<std::byte> buffer(std::size_t index) const {
        return {memory_.get() + index * buffer_bytes, buffer_bytes};
    }

  private:
    struct Free {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace mpitrain::checkpoint
