#include "snapshot.hpp"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>

#include "mpitrain/base/assert.hpp"

namespace mpitrain::checkpoint {
namespace {

constexpr std::size_t huge_page = 2 * 1024 * 1024;

std::size_t round_up(std::uint64_t value, std::size_t unit) {
    return static_cast<std::size_t>((value + unit - 1) / unit * unit);
}

}  // namespace

Snapshot::~Snapshot() {
    if (memory_ != nullptr) {
        ::munmap(memory_, mapped_bytes_);
    }
}

Result<void> Snapshot::reserve(const ShardImage& image, std::string_view layout_id) {
    if (layout_id_ == layout_id) {
        return {};
    }
    layout_id_.clear();
    const std::size_t wanted = round_up(image.size_bytes, huge_page);
    if (wanted > mapped_bytes_) {
        if (memory_ != nullptr) {
            ::munmap(memory_, mapped_bytes_);
            memory_ = nullptr;
            mapped_bytes_ = 0;
        }
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
    used_bytes_ = round_up(image.size_bytes, File::direct_alignment);
    // Touches the pages, and leaves zeros where no bytes of the layout will be.
    std::memset(memory_, 0, mapped_bytes_);
    layout_id_ = layout_id;
    return {};
}

void Snapshot::take(const ShardPlan& plan, const ShardImage& image, const Sources& sources) {
    MPITRAIN_ASSERT(!layout_id_.empty());
    for (const Segment& segment : segments_of(plan, image, sources)) {
        std::memcpy(memory_ + segment.offset, segment.bytes.data(), segment.bytes.size());
    }
}

}  // namespace mpitrain::checkpoint
