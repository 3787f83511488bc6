#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/container.hpp"
#include "share.hpp"

namespace mpitrain::checkpoint {

// A share in memory: what a save behind the training writes, so that the training may change its
// state meanwhile. The memory is kept from one save to the next, in large pages and touched
// once, for copying into new memory takes many times as long; it holds what this rank writes and no
// more.
class Snapshot {
  public:
    Snapshot() = default;
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;
    ~Snapshot();

    // Makes room for a share of this layout and touches it. Nothing to do when the layout is that
    // of before; `layout_id` tells. Errors: resource_exhausted.
    // With a device, the memory is page-locked for it, which must outlive the snapshot then.
    Result<void> reserve(const Share& share, std::string_view layout_id, DeviceMemory* device);
    // Copies everything to its place: the time the training loses. After reserve(). Errors: the
    // device's.
    Result<void> take(const Share& share, const ShardImage& image, const Sources& sources);
    // The share.
    [[nodiscard]] std::span<std::byte> bytes() const { return {memory_, used_bytes_}; }

  private:
    void release();

    std::byte* memory_ = nullptr;
    std::size_t mapped_bytes_ = 0;
    std::size_t used_bytes_ = 0;
    std::string layout_id_;
    DeviceMemory* pinned_by_ = nullptr;
};

}  // namespace mpitrain::checkpoint
