#include "remove_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string_view>

namespace mpitrain::rank {
namespace {

constexpr int depth_max = 64;
constexpr int passes_max = 4;  // some file systems skip entries while others are being removed
constexpr int open_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

struct Limits {
    dev_t device;
    uid_t owner;
    TimePoint deadline;
};

bool is_ours(const struct stat& status, const Limits& limits) {
    return status.st_uid == limits.owner && status.st_dev == limits.device;
}

bool remove_entry(int parent, const char* name, const Limits& limits, int depth);

// Returns whether the directory is empty now.
bool empty_directory(int directory, const Limits& limits, int depth) {
    for (int pass = 0; pass < passes_max; ++pass) {
        // A stream of its own, so that `directory` stays open and each pass starts at the top.
        UniqueFd again(::openat(directory, ".", open_flags));
        const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(again.get()), &::closedir);
        if (!entries) {
            return false;
        }
        again.release();
        bool left = false;
        bool removed = false;
        // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is our own
        while (const dirent* entry = ::readdir(entries.get())) {
            const std::string_view name = entry->d_name;
            if (name == "." || name == "..") {
                continue;
            }
            const bool gone = Clock::now() < limits.deadline &&
                              remove_entry(directory, entry->d_name, limits, depth);
            left = left || !gone;
            removed = removed || gone;
        }
        if (!removed) {
            return !left;
        }
    }
    return false;
}

bool remove_entry(int parent, const char* name, const Limits& limits, int depth) {
    struct stat status {};
    if (::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT;
    }
    if (!is_ours(status, limits)) {
        return false;
    }
    if (!S_ISDIR(status.st_mode)) {
        return ::unlinkat(parent, name, 0) == 0 || errno == ENOENT;
    }
    const UniqueFd directory(::openat(parent, name, open_flags));
    if (!directory || ::fstat(directory.get(), &status) != 0 || !is_ours(status, limits) ||
        depth >= depth_max) {
        return false;
    }
    empty_directory(directory.get(), limits, depth + 1);
    return ::unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

}  // namespace

bool remove_tree(const std::string& path, TimePoint deadline) {
    if (path.empty() || path.front() != '/' || std::count(path.begin(), path.end(), '/') < 2 ||
        path.back() == '/' || path.find("/../") != std::string::npos) {
        return false;
    }
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        return errno == ENOENT;
    }
    if (!S_ISDIR(status.st_mode)) {
        return false;
    }
    return remove_entry(AT_FDCWD, path.c_str(), {status.st_dev, ::geteuid(), deadline}, 0);
}

}  // namespace mpitrain::rank
