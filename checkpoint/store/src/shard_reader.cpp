#include "mpitrain/checkpoint/shard_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "mpitrain/checkpoint/crc32c.hpp"
#include "pipeline.hpp"

namespace mpitrain::checkpoint {
namespace {

Error damaged(std::string what, const std::string& path) {
    return Error(ErrorCode::data_loss, std::move(what)).at(path);
}

// Summed and copied together: enough for three sums side by side, few enough for a core's cache.
constexpr std::uint32_t blocks_at_once = 6;

std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

}  // namespace

Result<void> ShardReader::open(std::size_t shard) {
    if (opened_.contains(shard)) {
        return {};
    }
    const ShardFile& facts = manifest_.shards[shard];
    const std::string path = join_path(directory_, facts.file);
    auto file = files_.open(path, {.mode = OpenMode::read, .direct = true});
    if (!file) {
        return file.error().code() == ErrorCode::not_found ? damaged("the file is missing", path)
                                                           : Error(std::move(file).error());
    }
    MPITRAIN_TRY(const std::uint64_t size, (*file)->size_bytes());
    if (size != facts.size_bytes) {
        return damaged(fmt::format("the file has {} bytes, not {}", size, facts.size_bytes), path);
    }
    opened_.emplace(shard, Opened{*std::move(file), {}});
    return {};
}

Result<void> ShardReader::read_table(std::size_t shard) {
    Opened& opened = opened_.at(shard);
    const ShardFile& facts = manifest_.shards[shard];
    if (!opened.sums.empty() || facts.table_bytes == 0) {
        return {};
    }
    const std::string path = join_path(directory_, facts.file);
    // The table through the page cache, for it has no alignment; the rest past it.
    MPITRAIN_TRY(const auto table, files_.open(path, {}));
    std::vector<std::uint32_t> sums(facts.table_bytes / sizeof(std::uint32_t));
    MPITRAIN_TRY(const std::size_t got,
                 table->read(facts.table_offset, std::as_writable_bytes(std::span(sums))));
    if (got != facts.table_bytes || crc32c(std::as_bytes(std::span(sums))) != facts.table_crc32c) {
        return damaged("the checksum table does not match the manifest", path);
    }
    opened.sums = std::move(sums);
    return {};
}

Result<void> ShardReader::fetch(const ReadRequest& request, std::span<std::byte> buffer) {
    const Opened& opened = opened_.at(request.shard);
    // A direct read past the end of the file must still ask for whole pages.
    const auto asked = buffer.first(round_up(request.size_bytes, File::direct_alignment));
    MPITRAIN_TRY(const std::size_t got, opened.file->read(request.offset, asked));
    if (got < request.size_bytes) {
        return damaged("the file ends early",
                       join_path(directory_, manifest_.shards[request.shard].file));
    }
    return {};
}

void ShardReader::blank_table(const ReadRequest& request, std::span<std::byte> bytes) const {
    const ShardFile& facts = manifest_.shards[request.shard];
    const std::uint64_t begin = std::max(request.offset, facts.table_offset);
    const std::uint64_t end =
        std::min(request.offset + request.size_bytes, facts.table_offset + facts.table_bytes);
    if (begin < end) {
        std::memset(bytes.data() + (begin - request.offset), 0, end - begin);
    }
}

void ShardReader::verify(std::size_t shard,
                         std::uint64_t offset,
                         std::span<const std::byte> bytes,
                         const OnBad& on_bad) const {
    const std::uint32_t block_bytes = manifest_.block_bytes;
    std::vector<std::uint32_t> sums((bytes.size() + block_bytes - 1) / block_bytes);
    crc32c_of_blocks(bytes, block_bytes, sums);
    const std::uint64_t first = offset / block_bytes;
    const std::vector<std::uint32_t>& wanted = opened_.at(shard).sums;
    for (std::size_t block = 0; block < sums.size(); ++block) {
        if (sums[block] != wanted[first + block]) {
            on_bad(shard, (first + block) * block_bytes);
        }
    }
}

Result<void> Targets::put(std::size_t target,
                          std::uint64_t offset,
                          std::span<const std::byte> bytes) const {
    std::byte* to = memory[target] + offset;
    if (!on_device.empty() && on_device[target] != 0) {
        return device->from_host(to, bytes);
    }
    std::memcpy(to, bytes.data(), bytes.size());
    return {};
}

Result<void> ShardReader::run(const ReadPlan& plan,
                              const OnBad& on_bad,
                              const OnPart& on_part,
                              const OnRequest& on_request) {
    for (const ReadRequest& request : plan.requests) {
        MPITRAIN_TRY_VOID(open(request.shard));
        bytes_read_ += request.size_bytes;
    }
    const auto fetch_stage = [&](std::size_t item, std::span<std::byte> buffer) {
        return fetch(plan.requests[item], buffer);
    };
    const auto use_stage = [&](std::size_t item, std::span<std::byte> buffer) -> Result<void> {
        const ReadRequest& request = plan.requests[item];
        const auto bytes = buffer.first(request.size_bytes);
        // Here and not before the first fetch, so that the two go on side by side.
        MPITRAIN_TRY_VOID(read_table(request.shard));
        blank_table(request, bytes);
        // Copied out while still in the cache from being summed.
        const std::uint64_t stride = std::uint64_t{blocks_at_once} * manifest_.block_bytes;
        for (std::uint64_t at = 0; at < bytes.size(); at += stride) {
            const auto part = bytes.subspan(at, std::min(stride, bytes.size() - at));
            verify(request.shard, request.offset + at, part, on_bad);
            MPITRAIN_TRY_VOID(on_part(request, at, part));
        }
        return on_request();
    };
    return Pipeline(staging_).run(plan.requests.size(), {2, fetch_stage}, {1, use_stage});
}

Result<void> ShardReader::read(const ReadPlan& plan, const Targets& targets) {
    std::optional<Error> bad;
    const auto keep_first = [&](std::size_t shard, std::uint64_t offset) {
        if (!bad) {
            bad = damaged(fmt::format("the {} bytes from {} on do not match their checksum",
                                      manifest_.block_bytes,
                                      offset),
                          join_path(directory_, manifest_.shards[shard].file));
        }
    };
    std::size_t next = 0;  // the first copy that is not wholly done
    const auto copy_out = [&](const ReadRequest& request,
                              std::uint64_t begin,
                              std::span<const std::byte> bytes) -> Result<void> {
        if (bad) {
            return *bad;
        }
        next = std::max(next, request.first_copy);
        const std::size_t last = request.first_copy + request.copy_count;
        const std::uint64_t end = begin + bytes.size();
        for (std::size_t i = next; i < last && plan.copies[i].request_offset < end; ++i) {
            const Copy& copy = plan.copies[i];
            const std::uint64_t from = std::max(copy.request_offset, begin);
            const std::uint64_t to = std::min(copy.request_offset + copy.size_bytes, end);
            if (from < to) {
                MPITRAIN_TRY_VOID(targets.put(copy.target,
                                              copy.target_offset + (from - copy.request_offset),
                                              bytes.subspan(from - begin, to - from)));
            }
        }
        while (next < last &&
               plan.copies[next].request_offset + plan.copies[next].size_bytes <= end) {
            ++next;
        }
        return {};
    };
    return run(plan, keep_first, copy_out, [&targets] {
        return targets.device == nullptr ? Result<void>() : targets.device->finish();
    });
}

Result<void> ShardReader::check(const ReadPlan& plan, const OnBad& on_bad) {
    return run(
        plan,
        on_bad,
        [](const ReadRequest&, std::uint64_t, std::span<const std::byte>) {
            return Result<void>();
        },
        [] { return Result<void>(); });
}

}  // namespace mpitrain::checkpoint
