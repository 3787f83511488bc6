#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "mpitrain/checkpoint/container.hpp"
#include "mpitrain/checkpoint/device_memory.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"

namespace mpitrain::checkpoint {

// Where the bytes of a rank's Contribution are, in its order.
struct Sources {
    std::span<const std::byte* const> tensors;
    std::span<const std::byte* const> blobs;
    // Beside the tensors: 1 where one is in the memory of `device`. Empty: none is.
    std::span<const std::uint8_t> on_device{};
    DeviceMemory* device = nullptr;
};

// A stretch of a file that begins on a block's border, and ends on one or, padded to whole pages,
// at the end of the file.
struct FileRange {
    std::uint64_t offset = 0;
    std::uint64_t size_bytes = 0;
    bool operator==(const FileRange&) const = default;
};

// Bytes in memory that have a place in a share.
struct Placed {
    enum class From : std::uint8_t { container, tensor, blob };
    std::uint64_t at = 0;  // from the share's begin
    std::uint64_t size_bytes = 0;
    From from = From::container;
    std::size_t source = 0;  // in ShardImage::metadata, or in the rank's Contribution
    std::uint64_t source_offset = 0;
    [[nodiscard]] std::uint64_t end() const { return at + size_bytes; }
};

// What one rank writes of a file: ranges, one after the other. Made once for a plan, for finding
// and sorting thousands of pieces would be on the way of every save.
struct Share {
    std::vector<FileRange> ranges;  // ascending, disjoint
    std::vector<Placed> pieces;     // by place; what none of them covers is zero
    [[nodiscard]] std::uint64_t size_bytes() const;
};

// All of a file but its checksum table, which counts as zeros.
Share whole_file(const ShardPlan& plan, const ShardImage& image);

// What `rank` writes of a file of all ranks; no ranges when it has nothing to write.
Share part_of_file(const ShardPlan& plan, const ShardImage& image, int rank);

// All of such a file that no rank writes, the `parts` being those of all of them: the container's
// own bytes, and zeros for the table.
Share rest_of_file(const ShardImage& image, std::span<const std::vector<FileRange>> parts);

// Puts the sums of a share's blocks to their places among those of all blocks of the file.
void place_sums(std::span<const FileRange> ranges,
                std::span<const std::uint32_t> sums,
                std::vector<std::uint32_t>& all);

// Whether a piece is in a device's memory, where only that can read it.
bool is_on_device(const Placed& piece, const Sources& sources);

// The bytes of a piece, wherever they are.
std::span<const std::byte> bytes_of(const Placed& piece,
                                    const ShardImage& image,
                                    const Sources& sources);

}  // namespace mpitrain::checkpoint
