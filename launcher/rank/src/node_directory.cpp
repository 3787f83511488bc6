#include "node_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <thread>

#include "remove_tree.hpp"

namespace mpitrain::rank {
namespace {

using namespace std::chrono_literals;

constexpr auto enter_limit = 3s;  // while its last user removes an old one of the same name
constexpr auto poll_period = 5ms;

// Opens it and checks that it is ours alone. Errors: not_found when it went away meanwhile.
Result<UniqueFd> open_ours(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        return system_error(errno, "make the directory", path);
    }
    UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!directory || ::fstat(directory.get(), &status) != 0) {
        return system_error(errno, "open the directory", path);
    }
    if (status.st_uid != ::geteuid()) {
        return Error(ErrorCode::permission_denied, "it belongs to another user").at(path);
    }
    return directory;
}

bool is_still_there(const UniqueFd& directory, const std::string& path) {
    struct stat held {};
    struct stat named {};
    return ::fstat(directory.get(), &held) == 0 && ::lstat(path.c_str(), &named) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

}  // namespace

Result<NodeDirectory> NodeDirectory::enter(const std::string& path) {
    const TimePoint deadline = Clock::now() + enter_limit;
    while (Clock::now() < deadline) {
        auto directory = open_ours(path);
        if (!directory && directory.error().code() != ErrorCode::not_found) {
            return std::move(directory).error();
        }
        if (directory && ::flock(directory->get(), LOCK_SH | LOCK_NB) == 0 &&
            is_still_there(*directory, path)) {
            return NodeDirectory(path, *std::move(directory));
        }
        std::this_thread::sleep_for(poll_period);
    }
    return Error(ErrorCode::deadline_exceeded, "somebody else keeps it locked").at(path);
}

void NodeDirectory::leave(TimePoint deadline) {
    if (directory_ && ::flock(directory_.get(), LOCK_EX | LOCK_NB) == 0) {
        remove_tree(path_, deadline);
    }
    directory_.reset();
}

}  // namespace mpitrain::rank
