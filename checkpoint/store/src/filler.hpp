#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "share.hpp"

namespace mpitrain::checkpoint {

// Puts the bytes of a share together, window by window in order, and sums them by blocks.
class Filler {
  public:
    // The arguments must outlive it.
    Filler(const Share& share, const ShardImage& image, const Sources& sources);

    // `at` is where the one before ended. Of the window's bytes, the first `in_file` are of the
    // file and are summed; the rest is padding. Errors: the device's.
    Result<void> fill(std::uint64_t at, std::span<std::byte> window, std::uint64_t in_file);

    // One for each block so far.
    [[nodiscard]] std::vector<std::uint32_t>& sums() { return sums_; }

  private:
    // Whole blocks that lie within one piece, copied and summed in one walk; how many bytes.
    std::uint64_t fill_blocks(std::uint64_t at, std::span<std::byte> window);
    Result<void> assemble(std::uint64_t at, std::span<std::byte> window);
    // All of a window of which parts come from a device, and only then summed.
    Result<void> fill_from_device(std::uint64_t at,
                                  std::span<std::byte> window,
                                  std::uint64_t in_file);
    // The first piece that reaches beyond `at`; the end, when there is none.
    std::size_t piece_at(std::uint64_t at);

    const Share& share_;
    const ShardImage& image_;
    const Sources& sources_;
    std::vector<std::uint32_t> sums_;
    std::size_t cursor_ = 0;  // the first piece that may still matter
};

}  // namespace mpitrain::checkpoint
