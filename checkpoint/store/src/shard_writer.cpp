#include "shard_writer.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>

#include "filler.hpp"
#include "mpitrain/base/assert.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "pipeline.hpp"

namespace mpitrain::checkpoint {
namespace {

// The table as it goes to the file: padded to whole pages, which direct transfers want.
class Table {
  public:
    Table(std::uint64_t size_bytes, std::span<const std::uint32_t> sums)
        : memory_(static_cast<std::size_t>(size_bytes) + File::direct_alignment) {
        const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
        const std::size_t skip =
            (File::direct_alignment - address % File::direct_alignment) % File::direct_alignment;
        bytes_ = {memory_.data() + skip, static_cast<std::size_t>(size_bytes)};
        MPITRAIN_ASSERT(sums.size_bytes() <= bytes_.size());
        std::memcpy(bytes_.data(), sums.data(), sums.size_bytes());
    }
    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  private:
    std::vector<std::byte> memory_;
    std::span<std::byte> bytes_;
};

// A part of a share that is written by one request.
struct Window {
    std::uint64_t at = 0;      // from the share's begin
    std::uint64_t offset = 0;  // in the file
    std::uint64_t size_bytes = 0;
};

// How many of a window's bytes are not padding.
std::uint64_t bytes_in_file(const Window& window, const ShardImage& image) {
    return image.size_bytes > window.offset
               ? std::min(window.size_bytes, image.size_bytes - window.offset)
               : 0;
}

// `first_bytes` grow to a staging buffer's: small ones first, so that the disk need not wait long.
std::vector<Window> windows_of(const Share& share, std::uint64_t first_bytes) {
    std::vector<Window> windows;
    std::uint64_t length = first_bytes;
    std::uint64_t at = 0;
    for (const FileRange& range : share.ranges) {
        for (std::uint64_t done = 0; done < range.size_bytes;) {
            const std::uint64_t count = std::min(length, range.size_bytes - done);
            windows.push_back({at, range.offset + done, count});
            at += count;
            done += count;
            length = std::min<std::uint64_t>(2 * length, Staging::buffer_bytes);
        }
    }
    return windows;
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

}  // namespace

OpenFile new_file(FileSystem& files, const std::string& path, std::uint64_t size_bytes) {
    return [&files, path, size_bytes]() -> Result<std::unique_ptr<File>> {
        MPITRAIN_TRY(auto file, files.open(path, {.mode = OpenMode::create, .direct = true}));
        MPITRAIN_TRY_VOID(file->allocate(size_bytes));
        return file;
    };
}

OpenFile shared_file(FileSystem& files, const std::string& path, std::uint64_t size_bytes) {
    return [&files, path, size_bytes]() -> Result<std::unique_ptr<File>> {
        MPITRAIN_TRY(auto file, files.open(path, {.mode = OpenMode::shared, .direct = true}));
        MPITRAIN_TRY_VOID(file->allocate(size_bytes));
        return file;
    };
}

Result<ShardFile> finish(File& file,
                         const std::string& path,
                         const ShardImage& image,
                         std::span<const std::uint32_t> sums) {
    const Table table(image.table_bytes, sums);
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

Result<WrittenShare> write_share(const OpenFile& open,
                                 const Share& share,
                                 const ShardImage& image,
                                 const Sources& sources,
                                 const Staging& staging) {
    static_assert(Staging::buffer_bytes % default_block_bytes == 0);
    constexpr std::uint64_t first_window = 1024 * 1024;
    const std::vector<Window> windows = windows_of(share, first_window);
    Filler filler(share, image, sources);
    const auto fill = [&](std::size_t item, std::span<std::byte> buffer) -> Result<void> {
        const Window& window = windows[item];
        return filler.fill(
            window.at, buffer.first(window.size_bytes), bytes_in_file(window, image));
    };
    // Opened while the first windows are being filled.
    WrittenShare written;
    std::mutex opening;
    const auto open_once = [&]() -> Result<void> {
        const std::lock_guard lock(opening);
        if (!written.file) {
            MPITRAIN_TRY(written.file, open());
        }
        return {};
    };
    const auto write = [&](std::size_t item, std::span<std::byte> buffer) -> Result<void> {
        MPITRAIN_TRY_VOID(open_once());
        return written.file->write(windows[item].offset, buffer.first(windows[item].size_bytes));
    };
    MPITRAIN_TRY_VOID(Pipeline(staging).run(windows.size(), {1, fill}, {2, write}, open_once));
    written.sums = std::move(filler.sums());
    return written;
}

Result<WrittenShare> write_snapshot(const OpenFile& open,
                                    const Share& share,
                                    const ShardImage& image,
                                    std::span<const std::byte> bytes,
                                    const Pace& pace) {
    WrittenShare written;
    MPITRAIN_TRY(written.file, open());
    const auto since = std::chrono::steady_clock::now();
    for (const Window& window : windows_of(share, Staging::buffer_bytes)) {
        const auto part = bytes.subspan(window.at, window.size_bytes);
        const auto in_file = part.first(bytes_in_file(window, image));
        const std::size_t first = written.sums.size();
        written.sums.resize(first +
                            (in_file.size() + default_block_bytes - 1) / default_block_bytes);
        crc32c_of_blocks(in_file, default_block_bytes, std::span(written.sums).subspan(first));
        MPITRAIN_TRY_VOID(written.file->write(window.offset, part));
        keep_pace(pace, window.at + window.size_bytes, since);
    }
    return written;
}

}  // namespace mpitrain::checkpoint
