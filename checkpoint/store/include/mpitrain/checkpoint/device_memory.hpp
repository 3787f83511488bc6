#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "mpitrain/base/result.hpp"

namespace mpitrain::checkpoint {

// A GPU's memory as saves and loads need it: copied to and from the host's on a stream of its own,
// beside what the training has under way. Used by one thread at a time. Whoever asks for a copy
// keeps both sides as they are until finish() has returned. Errors: unavailable (the driver's,
// with its words), resource_exhausted.
class DeviceMemory {
  public:
    virtual ~DeviceMemory() = default;
    // Waits, on the stream, for all that the device has been given until now: what is to be saved
    // may still be being computed.
    virtual Result<void> await_training() = 0;
    virtual Result<void> to_host(std::span<std::byte> to, const std::byte* from) = 0;
    virtual Result<void> from_host(std::byte* to, std::span<const std::byte> from) = 0;
    // Waits until every copy that was asked for is done.
    virtual Result<void> finish() = 0;
    // Page-locks host memory, for copies at the bus's speed and beside other work; undone by
    // unpin(), or never where it is refused, which costs speed alone.
    virtual Result<void> pin(std::span<std::byte> memory) = 0;
    virtual void unpin(std::span<std::byte> memory) = 0;
};

}  // namespace mpitrain::checkpoint
