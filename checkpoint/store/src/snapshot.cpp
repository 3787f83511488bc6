#include "snapshot.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/base/stream_copy.hpp"

namespace mpitrain::checkpoint {
namespace {

constexpr std::size_t huge_page = 2 * 1024 * 1024;

std::size_t round_up(std::uint64_t value, std::size_t unit) {
    return static_cast<std::size_t>((value + unit - 1) / unit * unit);
}

}  // namespace

Snapshot::~Snapshot() {
    release();
}

void Snapshot::release() {
    if (memory_ == nullptr) {
        return;
    }
    if (pinned_by_ != nullptr) {
        pinned_by_->unpin({memory_, mapped_bytes_});
        pinned_by_ = nullptr;
    }
    ::munmap(memory_, mapped_bytes_);
    memory_ = nullptr;
    mapped_bytes_ = 0;
}

Result<void> Snapshot::reserve(const Share& share,
                               std::string_view layout_id,
                               DeviceMemory* device) {
    if (layout_id_ == layout_id) {
        return {};
    }
    layout_id_.clear();
    const std::size_t wanted = round_up(share.size_bytes(), huge_page);
    if (wanted > mapped_bytes_) {
        release();
        void* mapped =
            ::mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped == MAP_FAILED) {
            return Error(ErrorCode::resource_exhausted,
                         fmt::format("no memory for a snapshot of {} bytes", wanted))
                .mend("save without async, on more ranks, or with more memory");
        }
        memory_ = static_cast<std::byte*>(mapped);
        mapped_bytes_ = wanted;
        static_cast<void>(::madvise(mapped, wanted, MADV_HUGEPAGE));
    }
    used_bytes_ = static_cast<std::size_t>(share.size_bytes());
    // Touches the pages, and leaves zeros where no bytes of the layout will be.
    std::memset(memory_, 0, mapped_bytes_);
    if (device != nullptr && pinned_by_ == nullptr && device->pin({memory_, mapped_bytes_})) {
        pinned_by_ = device;
    }
    layout_id_ = layout_id;
    return {};
}

Result<void> Snapshot::take(const Share& share, const ShardImage& image, const Sources& sources) {
    MPITRAIN_ASSERT(!layout_id_.empty());
    // Past the cache: neither the training nor the writer would find this there in time, and a line
    // that is written whole need not be read before.
    for (const Placed& piece : share.pieces) {
        if (is_on_device(piece, sources)) {
            MPITRAIN_TRY_VOID(sources.device->to_host({memory_ + piece.at, piece.size_bytes},
                                                      bytes_of(piece, image, sources).data()));
            continue;
        }
        stream_copy(memory_ + piece.at, bytes_of(piece, image, sources).data(), piece.size_bytes);
    }
    stream_fence();
    return sources.device == nullptr ? Result<void>() : sources.device->finish();
}

}  // namespace mpitrain::checkpoint
