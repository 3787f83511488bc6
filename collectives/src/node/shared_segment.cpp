#include "node/shared_segment.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace mpitrain::collectives {

namespace {

constexpr std::string_view what = "memory shared by the ranks of a node";

struct flock lock_of(int seat, short type) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = seat;
    lock.l_len = 1;
    return lock;
}

}  // namespace

Result<SharedSegment> SharedSegment::map(int fd, std::size_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        const int why = errno;
        ::close(fd);
        return system_error(why, "map", what);
    }
    return SharedSegment(fd, {static_cast<std::byte*>(memory), bytes});
}

Result<SharedSegment> SharedSegment::create(std::size_t bytes) {
    std::array<std::uint64_t, 2> nonce{};
    if (getrandom(nonce.data(), sizeof nonce, 0) != sizeof nonce) {
        return system_error(errno, "draw a random number for", what);
    }
    const int fd = memfd_create("mpitrain", MFD_CLOEXEC);
    if (fd < 0) {
        return system_error(errno, "create", what);
    }
    if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
        const int why = errno;
        ::close(fd);
        return system_error(why, "size", what);
    }
    MPITRAIN_TRY(auto segment, map(fd, bytes));
    std::memcpy(segment.bytes_.data(), nonce.data(), sizeof nonce);
    return segment;
}

Result<SharedSegment> SharedSegment::attach(const SegmentAddress& address, std::size_t bytes) {
    const auto path = fmt::format("/proc/{}/fd/{}", address.pid, address.fd);
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return system_error(errno, "open", path);
    }
    struct stat status {};
    const bool fits = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                      status.st_size == static_cast<off_t>(bytes);
    if (!fits) {
        ::close(fd);
        return Error(ErrorCode::invalid_argument, "is not the segment that was meant").at(path);
    }
    MPITRAIN_TRY(auto segment, map(fd, bytes));
    if (std::memcmp(segment.bytes_.data(), address.nonce.data(), sizeof address.nonce) != 0) {
        return Error(ErrorCode::invalid_argument, "is not the segment that was meant").at(path);
    }
    return segment;
}

SharedSegment::SharedSegment(SharedSegment&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), bytes_(std::exchange(other.bytes_, {})) {}

SharedSegment::~SharedSegment() {
    if (fd_ >= 0) {
        munmap(bytes_.data(), bytes_.size());
        ::close(fd_);
    }
}

SegmentAddress SharedSegment::address() const {
    SegmentAddress address{.pid = getpid(), .fd = fd_};
    std::memcpy(address.nonce.data(), bytes_.data(), sizeof address.nonce);
    return address;
}

// Locks of the open file rather than of the process: they go when its last descriptor does, and
// two communicators of one process do not touch each other's.
Result<void> SharedSegment::take_seat(int seat) const {
    struct flock lock = lock_of(seat, F_WRLCK);
    if (fcntl(fd_, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            return Error(ErrorCode::already_exists, fmt::format("seat {} is taken", seat));
        }
        return system_error(errno, "lock", what);
    }
    return {};
}

bool SharedSegment::seat_is_free(int seat) const {
    struct flock lock = lock_of(seat, F_WRLCK);
    return fcntl(fd_, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_UNLCK;
}

}  // namespace mpitrain::collectives
