#include "device_slab.hpp"

namespace mpitrain::checkpoint::bench {

Result<std::unique_ptr<DeviceSlab>> DeviceSlab::make(std::size_t) {
    return Error(ErrorCode::unavailable, "this build has no CUDA")
        .mend("configure with -DMPITRAIN_CUDA=ON");
}
DeviceSlab::~DeviceSlab() = default;
Result<void> DeviceSlab::fill_from(std::span<const std::byte>) const {
    return {};
}
Result<void> DeviceSlab::copy_to(std::span<std::byte>) const {
    return {};
}

}  // namespace mpitrain::checkpoint::bench
