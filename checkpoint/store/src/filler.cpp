#include "filler.hpp"

#include <algorithm>
#include <cstring>

#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/manifest.hpp"

namespace mpitrain::checkpoint {

Filler::Filler(const Share& share, const ShardImage& image, const Sources& sources)
    : share_(share), image_(image), sources_(sources) {
    sums_.reserve(static_cast<std::size_t>(share.size_bytes() / default_block_bytes + 1));
}

Result<void> Filler::fill(std::uint64_t at, std::span<std::byte> window, std::uint64_t in_file) {
    if (sources_.device != nullptr) {
        return fill_from_device(at, window, in_file);
    }
    while (!window.empty()) {
        const std::uint64_t done = fill_blocks(at, window.first(std::min(in_file, window.size())));
        if (done > 0) {
            at += done;
            in_file -= done;
            window = window.subspan(done);
            continue;
        }
        const auto block = window.first(std::min<std::size_t>(default_block_bytes, window.size()));
        MPITRAIN_TRY_VOID(assemble(at, block));
        const auto summed = block.first(std::min<std::uint64_t>(in_file, block.size()));
        if (!summed.empty()) {
            sums_.push_back(crc32c(summed));
        }
        at += block.size();
        in_file -= summed.size();
        window = window.subspan(block.size());
    }
    return {};
}

Result<void> Filler::fill_from_device(std::uint64_t at,
                                      std::span<std::byte> window,
                                      std::uint64_t in_file) {
    MPITRAIN_TRY_VOID(assemble(at, window));
    MPITRAIN_TRY_VOID(sources_.device->finish());
    const auto summed = window.first(std::min<std::uint64_t>(in_file, window.size()));
    const std::size_t first = sums_.size();
    sums_.resize(first + (summed.size() + default_block_bytes - 1) / default_block_bytes);
    crc32c_of_blocks(summed, default_block_bytes, std::span(sums_).subspan(first));
    return {};
}

std::size_t Filler::piece_at(std::uint64_t at) {
    while (cursor_ < share_.pieces.size() && share_.pieces[cursor_].end() <= at) {
        ++cursor_;
    }
    return cursor_;
}

std::uint64_t Filler::fill_blocks(std::uint64_t at, std::span<std::byte> window) {
    const std::size_t index = piece_at(at);
    if (index == share_.pieces.size() || share_.pieces[index].at > at) {
        return 0;
    }
    const Placed& piece = share_.pieces[index];
    const std::uint64_t within = at - piece.at;
    const std::uint64_t count = std::min<std::uint64_t>(window.size(), piece.size_bytes - within) /
                                default_block_bytes * default_block_bytes;
    const std::size_t first = sums_.size();
    sums_.resize(first + count / default_block_bytes);
    copy_and_sum_blocks(window.data(),
                        bytes_of(piece, image_, sources_).subspan(within, count),
                        default_block_bytes,
                        std::span(sums_).subspan(first));
    return count;
}

Result<void> Filler::assemble(std::uint64_t at, std::span<std::byte> window) {
    while (!window.empty()) {
        const std::size_t index = piece_at(at);
        std::uint64_t count = window.size();
        if (index < share_.pieces.size() && share_.pieces[index].at <= at) {
            const Placed& piece = share_.pieces[index];
            count = std::min(count, piece.end() - at);
            const auto from = bytes_of(piece, image_, sources_).subspan(at - piece.at, count);
            if (is_on_device(piece, sources_)) {
                MPITRAIN_TRY_VOID(sources_.device->to_host(window.first(from.size()), from.data()));
            } else {
                std::memcpy(window.data(), from.data(), from.size());
            }
        } else {
            if (index < share_.pieces.size()) {
                count = std::min(count, share_.pieces[index].at - at);
            }
            std::memset(window.data(), 0, count);
        }
        at += count;
        window = window.subspan(count);
    }
    return {};
}

}  // namespace mpitrain::checkpoint
