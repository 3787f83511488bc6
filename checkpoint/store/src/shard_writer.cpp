#include "shard_writer.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "pipeline.hpp"

namespace mpitrain::checkpoint {
namespace {

// Bytes in memory that have a place in the file.
struct Segment {
    std::uint64_t offset = 0;
    std::span<const std::byte> bytes;
    [[nodiscard]] std::uint64_t end() const { return offset + bytes.size(); }
};

// All of the file but the table, by offset. What no segment covers is zero.
std::vector<Segment> segments_of(const ShardPlan& plan,
                                 const ShardImage& image,
                                 const Sources& sources) {
    std::vector<Segment> segments;
    for (const Extent& extent : image.metadata) {
        segments.push_back({extent.offset, extent.bytes});
    }
    for (const Piece& piece : plan.pieces) {
        const std::byte* base = (piece.of_blob ? sources.blobs : sources.tensors)[piece.source];
        segments.push_back({image.dataset_offsets[piece.dataset] + piece.dataset_offset,
                            {base + piece.source_offset, piece.size_bytes}});
    }
    std::sort(segments.begin(), segments.end(), [](const Segment& a, const Segment& b) {
        return a.offset < b.offset;
    });
    return segments;
}

// Fills `window`, which begins at `offset` of the file, from the segments; `cursor` is the first
// segment that may still matter, for windows come in order.
void assemble(const std::vector<Segment>& segments,
              std::size_t& cursor,
              std::uint64_t offset,
              std::span<std::byte> window) {
    const std::uint64_t end = offset + window.size();
    std::uint64_t at = offset;
    while (at < end) {
        while (cursor < segments.size() && segments[cursor].end() <= at) {
            ++cursor;
        }
        const bool covered = cursor < segments.size() && segments[cursor].offset <= at;
        std::byte* to = window.data() + (at - offset);
        if (covered) {
            const Segment& segment = segments[cursor];
            const std::uint64_t count = std::min(segment.end(), end) - at;
            std::memcpy(to, segment.bytes.data() + (at - segment.offset), count);
            at += count;
        } else {
            const std::uint64_t next =
                cursor < segments.size() ? std::min(segments[cursor].offset, end) : end;
            std::memset(to, 0, next - at);
            at = next;
        }
    }
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

// The table as it goes to the file: padded to whole pages, which direct transfers want.
class Table {
  public:
    explicit Table(std::uint64_t size_bytes)
        : memory_(static_cast<std::size_t>(size_bytes) + File::direct_alignment) {
        const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
        const std::uintptr_t aligned = round_up(address, File::direct_alignment);
        bytes_ = {memory_.data() + (aligned - address), static_cast<std::size_t>(size_bytes)};
    }
    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
    void set(std::size_t first, std::span<const std::uint32_t> sums) {
        std::memcpy(bytes_.data() + first * sizeof(std::uint32_t), sums.data(), sums.size_bytes());
    }

  private:
    std::vector<std::byte> memory_;
    std::span<std::byte> bytes_;
};

}  // namespace

Result<ShardFile> write_shard(FileSystem& files,
                              const std::string& path,
                              const ShardPlan& plan,
                              const ShardImage& image,
                              const Sources& sources,
                              std::uint32_t block_bytes,
                              const Staging& staging) {
    static_assert(Staging::buffer_bytes % default_block_bytes == 0);
    MPITRAIN_ASSERT(block_bytes == default_block_bytes);
    MPITRAIN_TRY(const auto file, files.open(path, {.mode = OpenMode::create, .direct = true}));
    const std::uint64_t padded = round_up(image.size_bytes, File::direct_alignment);
    MPITRAIN_TRY_VOID(file->allocate(padded));
    const std::vector<Segment> segments = segments_of(plan, image, sources);
    Table table(image.table_bytes);
    std::vector<std::uint32_t> sums(Staging::buffer_bytes / block_bytes);
    std::size_t cursor = 0;
    const auto window_bytes = [&](std::size_t item) {
        return std::min<std::uint64_t>(Staging::buffer_bytes,
                                       padded - item * Staging::buffer_bytes);
    };
    const auto fill = [&](std::size_t item, std::span<std::byte> buffer) -> Result<void> {
        const std::uint64_t offset = item * Staging::buffer_bytes;
        const auto window = buffer.first(window_bytes(item));
        assemble(segments, cursor, offset, window);
        const auto in_file =
            window.first(std::min<std::uint64_t>(window.size(), image.size_bytes - offset));
        const auto part = std::span(sums).first((in_file.size() + block_bytes - 1) / block_bytes);
        crc32c_of_blocks(in_file, block_bytes, part);
        table.set(offset / block_bytes, part);
        return {};
    };
    const auto write = [&](std::size_t item, std::span<std::byte> buffer) -> Result<void> {
        return file->write(item * Staging::buffer_bytes, buffer.first(window_bytes(item)));
    };
    const std::size_t windows = (padded + Staging::buffer_bytes - 1) / Staging::buffer_bytes;
    MPITRAIN_TRY_VOID(Pipeline(staging).run(windows, fill, write));
    MPITRAIN_TRY_VOID(file->write(image.table_offset, table.bytes()));
    if (padded != image.size_bytes) {
        MPITRAIN_TRY_VOID(file->truncate(image.size_bytes));
    }
    MPITRAIN_TRY_VOID(file->sync());
    return ShardFile{base_name(path),
                     image.size_bytes,
                     image.table_offset,
                     image.table_bytes,
                     crc32c(table.bytes())};
}

}  // namespace mpitrain::checkpoint
