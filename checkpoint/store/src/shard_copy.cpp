#include "shard_copy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "mpitrain/checkpoint/crc32c.hpp"

namespace mpitrain::checkpoint {
namespace {

Error damaged(std::string what, const std::string& path) {
    return Error(ErrorCode::data_loss, std::move(what)).at(path);
}

// The checksums of a shard's blocks, and the blocks compared with them.
class Checker {
  public:
    Checker(const ShardFile& shard, std::uint32_t block_bytes, std::string path)
        : shard_(shard), block_bytes_(block_bytes), path_(std::move(path)) {}

    Result<void> read_table(File& file) {
        sums_.resize(shard_.table_bytes / sizeof(std::uint32_t));
        const auto bytes = std::as_writable_bytes(std::span(sums_));
        MPITRAIN_TRY(const std::size_t got, file.read(shard_.table_offset, bytes));
        if (got != bytes.size() || crc32c(bytes) != shard_.table_crc32c) {
            return damaged("the checksum table does not match the manifest", path_);
        }
        if (sums_.size() * block_bytes_ < shard_.size_bytes) {
            return damaged("the checksum table is too short", path_);
        }
        return {};
    }

    // `bytes` are those from `offset` on, which is a multiple of a block.
    Result<void> check(std::uint64_t offset, std::span<const std::byte> bytes) {
        for (std::uint64_t at = 0; at < bytes.size(); at += block_bytes_) {
            const auto block =
                bytes.subspan(at, std::min<std::uint64_t>(block_bytes_, bytes.size() - at));
            if (sum(offset + at, block) != sums_[(offset + at) / block_bytes_]) {
                return damaged(
                    fmt::format("the bytes from {} on do not match their checksum", offset + at),
                    path_);
            }
        }
        return {};
    }

  private:
    // The table counts as zeros in the blocks it lies in.
    std::uint32_t sum(std::uint64_t offset, std::span<const std::byte> block) {
        const std::uint64_t begin = std::max(offset, shard_.table_offset);
        const std::uint64_t end =
            std::min(offset + block.size(), shard_.table_offset + shard_.table_bytes);
        if (begin >= end) {
            return crc32c(block);
        }
        blanked_.assign(block.begin(), block.end());
        std::memset(blanked_.data() + (begin - offset), 0, end - begin);
        return crc32c(blanked_);
    }

    const ShardFile& shard_;
    std::uint32_t block_bytes_;
    std::string path_;
    std::vector<std::uint32_t> sums_;
    std::vector<std::byte> blanked_;
};

// Waits until writing so many bytes was not too fast.
void keep_pace(const Pace& pace,
               std::uint64_t written,
               std::chrono::steady_clock::time_point since) {
    using Seconds = std::chrono::duration<double>;
    constexpr Seconds nap(0.005);
    while (pace.bytes_per_second > 0 && !pace.hurry) {
        const Seconds due(static_cast<double>(written) /
                          static_cast<double>(pace.bytes_per_second));
        const Seconds left = due - (std::chrono::steady_clock::now() - since);
        if (left.count() <= 0) {
            return;
        }
        std::this_thread::sleep_for(std::min(left, nap));
    }
}

Result<std::unique_ptr<File>> open_source(FileSystem& files,
                                          const std::string& path,
                                          const ShardFile& shard) {
    auto file = files.open(path, {});
    if (!file) {
        return file.error().code() == ErrorCode::not_found ? damaged("the file is missing", path)
                                                           : Error(std::move(file).error());
    }
    MPITRAIN_TRY(const std::uint64_t size, (*file)->size_bytes());
    if (size != shard.size_bytes) {
        return damaged(fmt::format("the file has {} bytes, not {}", size, shard.size_bytes), path);
    }
    return file;
}

std::uint64_t whole_pages(std::uint64_t bytes) {
    constexpr std::uint64_t page = File::direct_alignment;
    return (bytes + page - 1) / page * page;
}

}  // namespace

Result<void> copy_shard(FileSystem& files,
                        const std::string& from,
                        const std::string& to,
                        const ShardFile& shard,
                        std::uint32_t block_bytes,
                        const Staging& staging,
                        const Pace& pace) {
    const std::string source_path = join_path(from, shard.file);
    const std::string target_path = join_path(to, shard.file);
    MPITRAIN_TRY(const auto source, open_source(files, source_path, shard));
    Checker checker(shard, block_bytes, source_path);
    MPITRAIN_TRY_VOID(checker.read_table(*source));
    const auto removed = files.remove_file(target_path);
    if (!removed && removed.error().code() != ErrorCode::not_found) {
        return removed;
    }
    MPITRAIN_TRY(const auto target,
                 files.open(target_path, {.mode = OpenMode::create, .direct = true}));
    const std::uint64_t padded = whole_pages(shard.size_bytes);
    MPITRAIN_TRY_VOID(target->allocate(padded));
    const auto since = std::chrono::steady_clock::now();
    for (std::uint64_t at = 0; at < shard.size_bytes; at += Staging::buffer_bytes) {
        const std::uint64_t count =
            std::min<std::uint64_t>(Staging::buffer_bytes, shard.size_bytes - at);
        const auto window = staging.buffer(0).first(whole_pages(count));
        MPITRAIN_TRY(const std::size_t got, source->read(at, window.first(count)));
        if (got < count) {
            return damaged("the file ends early", source_path);
        }
        std::memset(window.data() + count, 0, window.size() - count);
        MPITRAIN_TRY_VOID(checker.check(at, window.first(count)));
        MPITRAIN_TRY_VOID(target->write(at, window));
        keep_pace(pace, at + count, since);
    }
    if (padded != shard.size_bytes) {
        MPITRAIN_TRY_VOID(target->truncate(shard.size_bytes));
    }
    return target->sync();
}

}  // namespace mpitrain::checkpoint
