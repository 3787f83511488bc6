#include "share.hpp"

#include <algorithm>
#include <numeric>

#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::checkpoint {
namespace {

static_assert(rank_border_bytes % default_block_bytes == 0);

std::uint64_t padded(std::uint64_t file_bytes) {
    constexpr std::uint64_t page = File::direct_alignment;
    return (file_bytes + page - 1) / page * page;
}

std::uint64_t end_of(const FileRange& range) {
    return range.offset + range.size_bytes;
}

// With its place in the file.
Placed placed(const Piece& piece, const ShardImage& image) {
    return {.at = image.dataset_offsets[piece.dataset] + piece.dataset_offset,
            .size_bytes = piece.size_bytes,
            .from = piece.of_blob ? Placed::From::blob : Placed::From::tensor,
            .source = piece.source,
            .source_offset = piece.source_offset};
}

}  // namespace

std::uint64_t Share::size_bytes() const {
    return std::accumulate(
        ranges.begin(),
        ranges.end(),
        std::uint64_t{0},
        [](std::uint64_t sum, const FileRange& one) { return sum + one.size_bytes; });
}

Share whole_file(const ShardPlan& plan, const ShardImage& image) {
    Share share{.ranges = {{0, padded(image.size_bytes)}}, .pieces = {}};
    for (std::size_t i = 0; i < image.metadata.size(); ++i) {
        share.pieces.push_back({.at = image.metadata[i].offset,
                                .size_bytes = image.metadata[i].bytes.size(),
                                .from = Placed::From::container,
                                .source = i});
    }
    for (const Piece& piece : plan.pieces) {
        share.pieces.push_back(placed(piece, image));
    }
    std::sort(share.pieces.begin(), share.pieces.end(), [](const Placed& a, const Placed& b) {
        return a.at < b.at;
    });
    return share;
}

Share part_of_file(const ShardPlan& plan, const ShardImage& image, int rank) {
    constexpr std::uint64_t border = rank_border_bytes;
    std::vector<Placed> pieces;  // by place in the file
    for (const Piece& piece : plan.pieces) {
        if (piece.rank == rank) {
            pieces.push_back(placed(piece, image));
        }
    }
    std::sort(
        pieces.begin(), pieces.end(), [](const Placed& a, const Placed& b) { return a.at < b.at; });
    Share share;
    std::uint64_t before = 0;  // bytes of the ranges before the last
    for (Placed& piece : pieces) {
        const std::uint64_t begin = piece.at / border * border;
        const std::uint64_t end = (piece.end() + border - 1) / border * border;
        if (share.ranges.empty() || end_of(share.ranges.back()) < begin) {
            before += share.ranges.empty() ? 0 : share.ranges.back().size_bytes;
            share.ranges.push_back({begin, 0});
        }
        FileRange& range = share.ranges.back();
        range.size_bytes = std::max(end_of(range), end) - range.offset;
        piece.at = before + (piece.at - range.offset);
    }
    share.pieces = std::move(pieces);
    return share;
}

Share rest_of_file(const ShardImage& image, std::span<const std::vector<FileRange>> parts) {
    std::vector<FileRange> taken;
    for (const std::vector<FileRange>& part : parts) {
        taken.insert(taken.end(), part.begin(), part.end());
    }
    std::sort(taken.begin(), taken.end(), [](const FileRange& a, const FileRange& b) {
        return a.offset < b.offset;
    });
    taken.push_back({padded(image.size_bytes), 0});
    Share share;
    std::uint64_t file_at = 0;
    std::uint64_t share_at = 0;
    auto extent = image.metadata.begin();
    for (const FileRange& range : taken) {
        if (range.offset > file_at) {
            share.ranges.push_back({file_at, range.offset - file_at});
            for (; extent != image.metadata.end() && extent->offset < range.offset; ++extent) {
                share.pieces.push_back(
                    {.at = share_at + (extent->offset - file_at),
                     .size_bytes = extent->bytes.size(),
                     .from = Placed::From::container,
                     .source = static_cast<std::size_t>(extent - image.metadata.begin())});
            }
            share_at += range.offset - file_at;
        }
        file_at = end_of(range);
    }
    return share;
}

void place_sums(std::span<const FileRange> ranges,
                std::span<const std::uint32_t> sums,
                std::vector<std::uint32_t>& all) {
    for (const FileRange& range : ranges) {
        const std::uint64_t first = range.offset / default_block_bytes;
        const std::uint64_t blocks =
            (range.size_bytes + default_block_bytes - 1) / default_block_bytes;
        const auto count = std::min<std::uint64_t>({blocks, all.size() - first, sums.size()});
        std::copy_n(sums.begin(), count, all.begin() + static_cast<std::ptrdiff_t>(first));
        sums = sums.subspan(count);
    }
}

bool is_on_device(const Placed& piece, const Sources& sources) {
    return piece.from == Placed::From::tensor && !sources.on_device.empty() &&
           sources.on_device[piece.source] != 0;
}

std::span<const std::byte> bytes_of(const Placed& piece,
                                    const ShardImage& image,
                                    const Sources& sources) {
    switch (piece.from) {
        case Placed::From::container:
            return image.metadata[piece.source].bytes;
        case Placed::From::tensor:
            return {sources.tensors[piece.source] + piece.source_offset, piece.size_bytes};
        case Placed::From::blob:
            return {sources.blobs[piece.source] + piece.source_offset, piece.size_bytes};
    }
    return {};
}

}  // namespace mpitrain::checkpoint
