#include "shard_writer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "pipeline.hpp"

namespace mpitrain::checkpoint {
namespace {

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
    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
    void set(std::size_t first, std::span<const std::uint32_t> sums) {
        std::memcpy(bytes_.data() + first * sizeof(std::uint32_t), sums.data(), sums.size_bytes());
    }

  private:
    std::vector<std::byte> memory_;
    std::span<std::byte> bytes_;
};

// A part of the file that is written by one request.
struct Window {
    std::uint64_t offset = 0;
    std::uint64_t size_bytes = 0;
};

// Small ones first, so that the disk need not wait long for the first of them.
std::vector<Window> windows_of(std::uint64_t size_bytes) {
    constexpr std::uint64_t smallest = 1024 * 1024;
    std::vector<Window> windows;
    std::uint64_t length = smallest;
    for (std::uint64_t at = 0; at < size_bytes;) {
        windows.push_back({at, std::min(length, size_bytes - at)});
        at += windows.back().size_bytes;
        length = std::min<std::uint64_t>(2 * length, Staging::buffer_bytes);
    }
    return windows;
}

// Puts the bytes of windows, which come in order, together, and sums them.
class Filler {
  public:
    Filler(const std::vector<Segment>& segments, std::uint64_t file_bytes, Table& table)
        : segments_(segments), file_bytes_(file_bytes), table_(table) {}

    void fill(std::uint64_t offset, std::span<std::byte> window) {
        // Summed while still in the cache: the memory's speed is what there is least of.
        for (std::size_t at = 0; at < window.size(); at += stride) {
            fill_stride(offset + at, window.subspan(at, std::min(stride, window.size() - at)));
        }
    }

  private:
    // Three blocks are summed at once.
    static constexpr std::size_t stride = std::size_t{6} * default_block_bytes;
    static constexpr std::size_t blocks_max = stride / default_block_bytes;

    void fill_stride(std::uint64_t offset, std::span<std::byte> part) {
        assemble(offset, part);
        if (offset >= file_bytes_) {
            return;
        }
        const auto in_file = part.first(std::min<std::uint64_t>(part.size(), file_bytes_ - offset));
        std::array<std::uint32_t, blocks_max> sums{};
        const auto used =
            std::span(sums).first((in_file.size() + default_block_bytes - 1) / default_block_bytes);
        crc32c_of_blocks(in_file, default_block_bytes, used);
        table_.set(offset / default_block_bytes, used);
    }

    void assemble(std::uint64_t offset, std::span<std::byte> window);

    const std::vector<Segment>& segments_;
    std::uint64_t file_bytes_;
    Table& table_;
    std::size_t cursor_ = 0;  // the first segment that may still matter
};

// Fills `window`, which begins at `offset` of the file, from the segments.
void Filler::assemble(std::uint64_t offset, std::span<std::byte> window) {
    const std::uint64_t end = offset + window.size();
    std::uint64_t at = offset;
    while (at < end) {
        while (cursor_ < segments_.size() && segments_[cursor_].end() <= at) {
            ++cursor_;
        }
        const bool covered = cursor_ < segments_.size() && segments_[cursor_].offset <= at;
        std::byte* to = window.data() + (at - offset);
        if (covered) {
            const Segment& segment = segments_[cursor_];
            const std::uint64_t count = std::min(segment.end(), end) - at;
            std::memcpy(to, segment.bytes.data() + (at - segment.offset), count);
            at += count;
        } else {
            const std::uint64_t next =
                cursor_ < segments_.size() ? std::min(segments_[cursor_].offset, end) : end;
            std::memset(to, 0, next - at);
            at = next;
        }
    }
}

// Waits until writing so many bytes was not too fast.
void keep_pace(const Pace& pace,
               std::uint64_t written,
               std::chrono::steady_clock::time_point since) {
    using Seconds = std::chrono::duration<double>;
    constexpr std::chrono::milliseconds nap(5);
    while (pace.bytes_per_second > 0 && !pace.hurry) {
        const Seconds due(static_cast<double>(written) /
                          static_cast<double>(pace.bytes_per_second));
        const Seconds left = due - (std::chrono::steady_clock::now() - since);
        if (left.count() <= 0) {
            return;
        }
        std::this_thread::sleep_for(std::min<Seconds>(left, nap));
    }
}

// A new file with its space reserved.
Result<std::unique_ptr<File>> open_shard(FileSystem& files,
                                         const std::string& path,
                                         std::uint64_t size_bytes) {
    MPITRAIN_TRY(auto file, files.open(path, {.mode = OpenMode::create, .direct = true}));
    MPITRAIN_TRY_VOID(file->allocate(size_bytes));
    return file;
}

// The table, the file's right length, and its durability.
Result<ShardFile> finish(File& file,
                         const std::string& path,
                         const ShardImage& image,
                         const Table& table) {
    MPITRAIN_TRY_VOID(file.write(image.table_offset, table.bytes()));
    if (image.size_bytes % File::direct_alignment != 0) {
        MPITRAIN_TRY_VOID(file.truncate(image.size_bytes));
    }
    MPITRAIN_TRY_VOID(file.sync());
    return ShardFile{base_name(path),
                     image.size_bytes,
                     image.table_offset,
                     image.table_bytes,
                     crc32c(table.bytes())};
}

}  // namespace

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

Result<ShardFile> write_shard(FileSystem& files,
                              const std::string& path,
                              const ShardPlan& plan,
                              const ShardImage& image,
                              const Sources& sources,
                              std::uint32_t block_bytes,
                              const Staging& staging) {
    static_assert(Staging::buffer_bytes % default_block_bytes == 0);
    MPITRAIN_ASSERT(block_bytes == default_block_bytes);
    const std::uint64_t padded = round_up(image.size_bytes, File::direct_alignment);
    const std::vector<Segment> segments = segments_of(plan, image, sources);
    Table table(image.table_bytes);
    const std::vector<Window> windows = windows_of(padded);
    Filler filler(segments, image.size_bytes, table);
    const auto fill = [&](std::size_t item, std::span<std::byte> buffer) -> Result<void> {
        filler.fill(windows[item].offset, buffer.first(windows[item].size_bytes));
        return {};
    };
    // Opened by who comes first, while the first windows are still being filled.
    std::unique_ptr<File> file;
    std::mutex opening;
    const auto write = [&](std::size_t item, std::span<std::byte> buffer) -> Result<void> {
        {
            const std::lock_guard lock(opening);
            if (!file) {
                MPITRAIN_TRY(file, open_shard(files, path, padded));
            }
        }
        return file->write(windows[item].offset, buffer.first(windows[item].size_bytes));
    };
    MPITRAIN_TRY_VOID(Pipeline(staging).run(windows.size(), {1, fill}, {2, write}));
    return finish(*file, path, image, table);
}

Result<ShardFile> write_shard_image(FileSystem& files,
                                    const std::string& path,
                                    const ShardImage& image,
                                    std::span<const std::byte> whole,
                                    const Pace& pace) {
    MPITRAIN_TRY(const auto file, open_shard(files, path, whole.size()));
    Table table(image.table_bytes);
    std::vector<std::uint32_t> sums(Staging::buffer_bytes / default_block_bytes);
    const auto since = std::chrono::steady_clock::now();
    for (std::uint64_t at = 0; at < whole.size(); at += Staging::buffer_bytes) {
        const auto window =
            whole.subspan(at, std::min<std::uint64_t>(Staging::buffer_bytes, whole.size() - at));
        const auto in_file =
            window.first(std::min<std::uint64_t>(window.size(), image.size_bytes - at));
        const auto used =
            std::span(sums).first((in_file.size() + default_block_bytes - 1) / default_block_bytes);
        crc32c_of_blocks(in_file, default_block_bytes, used);
        table.set(at / default_block_bytes, used);
        MPITRAIN_TRY_VOID(file->write(at, window));
        keep_pace(pace, at + window.size(), since);
    }
    return finish(*file, path, image, table);
}

}  // namespace mpitrain::checkpoint
