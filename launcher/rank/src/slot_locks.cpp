#include "slot_locks.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <thread>

namespace mpitrain::rank {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 1500ms;  // the supervisor takes a longer silence for our death
constexpr auto poll_period = 20ms;

void make_sticky_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 01777) == 0) {
        ::chmod(path.c_str(), 01777);  // mkdir(2) is subject to the umask
    }
}

// Without O_CREAT first: in a sticky directory the kernel refuses O_CREAT on another user's file.
UniqueFd open_lock(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd && errno == ENOENT) {
        make_sticky_directory(path.substr(0, path.rfind('/')));
        fd.reset(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444));
        if (!fd && (errno == EACCES || errno == EEXIST)) {  // somebody else made it meanwhile
            fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        }
    }
    return fd;
}

}  // namespace

Result<std::vector<UniqueFd>> take_slot_locks(const std::vector<wire::SlotLock>& locks) {
    const TimePoint deadline = Clock::now() + patience;
    std::vector<UniqueFd> held;
    for (const wire::SlotLock& lock : locks) {
        UniqueFd fd = open_lock(lock.path);
        if (!fd) {
            return system_error(errno, "open the slot lock", lock.path);
        }
        while (::flock(fd.get(), (lock.shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
            if (errno != EWOULDBLOCK) {
                return system_error(errno, "lock", lock.path);
            }
            if (Clock::now() >= deadline) {
                return Error(ErrorCode::resource_exhausted, "another job has taken the slot")
                    .at(lock.path);
            }
            std::this_thread::sleep_for(poll_period);
        }
        held.push_back(std::move(fd));
    }
    return held;
}

}  // namespace mpitrain::rank
