#include "mpitrain/checkpoint/staging.hpp"

#include "mpitrain/base/assert.hpp"

namespace mpitrain::checkpoint {

Staging::Staging() {
    constexpr std::size_t huge_page = 2 * 1024 * 1024;
    void* memory = std::aligned_alloc(huge_page, buffer_count * buffer_bytes);
    MPITRAIN_ASSERT(memory != nullptr);
    memory_.reset(static_cast<std::byte*>(memory));
}

}  // namespace mpitrain::checkpoint
