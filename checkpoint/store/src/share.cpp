#include "share.hpp"

#include <algorithm>
#include <numeric>

#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::checkpoint {

std::uint64_t Share::size_bytes() const {
    return std::accumulate(
        ranges.begin(),
        ranges.end(),
        std::uint64_t{0},
        [](std::uint64_t sum, const FileRange& one) { return sum + one.size_bytes; });
}

Share whole_file(const ShardPlan& plan, const ShardImage& image) {
    constexpr std::uint64_t page = File::direct_alignment;
    Share share{.ranges = {{0, (image.size_bytes + page - 1) / page * page}}, .pieces = {}};
    for (std::size_t i = 0; i < image.metadata.size(); ++i) {
        share.pieces.push_back({.at = image.metadata[i].offset,
                                .size_bytes = image.metadata[i].bytes.size(),
                                .from = Placed::From::container,
                                .source = i});
    }
    for (const Piece& piece : plan.pieces) {
        share.pieces.push_back({.at = image.dataset_offsets[piece.dataset] + piece.dataset_offset,
                                .size_bytes = piece.size_bytes,
                                .from = piece.of_blob ? Placed::From::blob : Placed::From::tensor,
                                .source = piece.source,
                                .source_offset = piece.source_offset});
    }
    std::sort(share.pieces.begin(), share.pieces.end(), [](const Placed& a, const Placed& b) {
        return a.at < b.at;
    });
    return share;
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
