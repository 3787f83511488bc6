#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "mpitrain/base/result.hpp"

namespace mpitrain::checkpoint::bench {

// Memory of the current GPU. Errors: unavailable (no GPU, built without CUDA), resource_exhausted.
class DeviceSlab {
  public:
    static Result<std::unique_ptr<DeviceSlab>> make(std::size_t size_bytes);
    explicit DeviceSlab(std::span<std::byte> bytes) : bytes_(bytes) {}
    DeviceSlab(const DeviceSlab&) = delete;
    DeviceSlab& operator=(const DeviceSlab&) = delete;
    ~DeviceSlab();

    // Not for the host to touch.
    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
    [[nodiscard]] Result<void> fill_from(std::span<const std::byte> host) const;
    [[nodiscard]] Result<void> copy_to(std::span<std::byte> host) const;

  private:
    std::span<std::byte> bytes_;
};

}  // namespace mpitrain::checkpoint::bench
