#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "mpitrain/base/result.hpp"

namespace mpitrain::collectives {

// What another process needs to find a segment. Sent between processes as bytes.
struct SegmentAddress {
    std::int64_t pid = 0;  // of its creator, as seen in the pid namespace that both live in
    std::int64_t fd = -1;  // in the creator; -1 = there is none
    std::array<std::uint64_t, 2> nonce{};
};

// Memory that processes of one machine share. It has no name in any file system, so nothing of it
// is left once its last user is gone, however they died. Movable, not thread-safe.
class SharedSegment {
  public:
    // `bytes` of zeros, apart from the nonce in the first 16. Pages belong to the NUMA node of
    // whoever touches them first. Errors: system errors.
    static Result<SharedSegment> create(std::size_t bytes);
    // A segment of another process, or the own one a second time. Errors: system errors (its
    // creator is gone, or of another user), invalid_argument (something else is at this address).
    static Result<SharedSegment> attach(const SegmentAddress& address, std::size_t bytes);

    SharedSegment(SharedSegment&& other) noexcept;
    SharedSegment& operator=(SharedSegment&&) = delete;
    SharedSegment(const SharedSegment&) = delete;
    SharedSegment& operator=(const SharedSegment&) = delete;
    ~SharedSegment();

    [[nodiscard]] SegmentAddress address() const;
    [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

    // Marks a seat as taken for as long as this process (or a child that it forked and that has
    // not started another program) has the segment open; the system itself frees it. Errors:
    // already_exists, system errors.
    Result<void> take_seat(int seat) const;
    // Whether nobody has the seat, or only this process. False where it cannot be told.
    [[nodiscard]] bool seat_is_free(int seat) const;

  private:
    SharedSegment(int fd, std::span<std::byte> bytes) : fd_(fd), bytes_(bytes) {}
    static Result<SharedSegment> map(int fd, std::size_t bytes);

    int fd_;
    std::span<std::byte> bytes_;
};

}  // namespace mpitrain::collectives
