#include "plain_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace mpitrain::checkpoint::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t transfer_bytes = 8 * 1024 * 1024;

class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

int direct_flag(Cache cache) {
    return cache == Cache::past ? O_DIRECT : 0;
}

}  // namespace

Result<void> write_plain(const std::string& path, std::span<const std::byte> bytes, Cache cache) {
    const Descriptor fd(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | direct_flag(cache), 0666));
    if (fd.get() < 0) {
        return system_error(errno, "create", path);
    }
    if (::fallocate(fd.get(), 0, 0, static_cast<off_t>(bytes.size())) < 0 && errno != EOPNOTSUPP) {
        return system_error(errno, "reserve", path);
    }
    for (std::size_t at = 0; at < bytes.size();) {
        const auto part = bytes.subspan(at, std::min(transfer_bytes, bytes.size() - at));
        const ssize_t put = ::pwrite(fd.get(), part.data(), part.size(), static_cast<off_t>(at));
        if (put <= 0) {
            return system_error(errno, "write", path);
        }
        at += static_cast<std::size_t>(put);
    }
    if (::fsync(fd.get()) < 0) {
        return system_error(errno, "sync", path);
    }
    return {};
}

Result<void> read_plain(const std::vector<Part>& parts, std::span<std::byte> bytes, Cache cache) {
    for (const Part& part : parts) {
        const Descriptor fd(::open(part.path.c_str(), O_RDONLY | O_CLOEXEC | direct_flag(cache)));
        if (fd.get() < 0) {
            return system_error(errno, "open", part.path);
        }
        for (std::uint64_t at = 0; at < part.size_bytes;) {
            const std::size_t count = std::min<std::uint64_t>(transfer_bytes, part.size_bytes - at);
            const ssize_t got =
                ::pread(fd.get(), bytes.data(), count, static_cast<off_t>(part.offset + at));
            if (got <= 0) {
                return system_error(errno, "read", part.path);
            }
            at += static_cast<std::uint64_t>(got);
            bytes = bytes.subspan(static_cast<std::size_t>(got));
        }
    }
    return {};
}

void evict(const std::string& directory) {
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(directory, ignored)) {
        const Descriptor fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
        if (fd.get() >= 0) {
            ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
        }
    }
}

Result<void> empty_directory(const std::string& directory) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(directory, failed)) {
        fs::remove_all(entry.path(), failed);
    }
    if (failed) {
        return system_error(failed.value(), "empty", directory);
    }
    settle(directory);
    return {};
}

void settle(const std::string& directory) {
    const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() >= 0) {
        ::syncfs(fd.get());
    }
}

}  // namespace mpitrain::checkpoint::bench
