#include "mpitrain/checkpoint/staging.hpp"

#include <sys/mman.h>

#include "mpitrain/base/assert.hpp"

namespace mpitrain::checkpoint {

Staging::Staging() {
    constexpr std::size_t huge_page = 2 * 1024 * 1024;
    void* memory = std::aligned_alloc(huge_page, buffer_count * buffer_bytes);
    MPITRAIN_ASSERT(memory != nullptr);
    // One large page is one segment of a request to the disk, a small one is too: of 8 MiB in small
    // pages a disk of 254 segments a request makes nine requests. Only advice: refusing is no harm.
    static_cast<void>(::madvise(memory, buffer_count * buffer_bytes, MADV_HUGEPAGE));
    memory_.reset(static_cast<std::byte*>(memory));
}

}  // namespace mpitrain::checkpoint
