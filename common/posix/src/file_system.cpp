#include "mpitrain/posix/file_system.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <thread>

namespace mpitrain::posix {
namespace {

// Calls `call` until it is not interrupted by a signal.
template <typename Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result < 0 && errno == EINTR) {
        result = call();
    }
    return result;
}

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

class PosixFile final : public File {
  public:
    PosixFile(int fd, std::string path, bool direct)
        : fd_(fd), path_(std::move(path)), direct_(direct) {}

    Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
        while (!bytes.empty()) {
            const ssize_t put = uninterrupted([&] {
                return ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
            });
            if (put < 0) {
                if (errno == EINVAL && leave_direct()) {
                    continue;
                }
                return system_error(errno, "write", path_);
            }
            bytes = bytes.subspan(static_cast<std::size_t>(put));
            offset += static_cast<std::uint64_t>(put);
            if (!bytes.empty()) {
                // After a short transfer the rest need not be aligned any more.
                leave_direct();
            }
        }
        return {};
    }

    Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> bytes) override {
        std::size_t done = 0;
        while (done < bytes.size()) {
            const std::span<std::byte> rest = bytes.subspan(done);
            const ssize_t got = uninterrupted([&] {
                return ::pread(
                    fd_.get(), rest.data(), rest.size(), static_cast<off_t>(offset + done));
            });
            if (got < 0) {
                if (errno == EINVAL && leave_direct()) {
                    continue;
                }
                return system_error(errno, "read", path_);
            }
            if (got == 0) {
                break;
            }
            done += static_cast<std::size_t>(got);
            if (direct_ && done % direct_alignment != 0) {
                break;  // a direct read ends off the grid only at the end of the file
            }
        }
        return done;
    }

    Result<void> allocate(std::uint64_t length) override {
        if (length == 0) {
            return {};
        }
        // Not posix_fallocate: where the file system cannot, that writes zeros to every block.
        if (uninterrupted(
                [&] { return ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(length)); }) == 0) {
            return {};
        }
        if (errno == EOPNOTSUPP || errno == ENOSYS) {
            return truncate(length);
        }
        return system_error(errno, fmt::format("reserve {} bytes", length), path_);
    }

    Result<void> truncate(std::uint64_t length) override {
        if (uninterrupted([&] { return ::ftruncate(fd_.get(), static_cast<off_t>(length)); }) < 0) {
            return system_error(errno, "resize", path_);
        }
        return {};
    }

    // fdatasync: the length is among the metadata it keeps; only the times are not.
    Result<void> sync() override {
        if (uninterrupted([&] { return ::fdatasync(fd_.get()); }) < 0) {
            return system_error(errno, "sync", path_);
        }
        return {};
    }

    Result<std::uint64_t> size_bytes() override {
        struct stat status {};
        if (::fstat(fd_.get(), &status) < 0) {
            return system_error(errno, "inspect", path_);
        }
        return static_cast<std::uint64_t>(status.st_size);
    }

    [[nodiscard]] bool is_direct() const override { return direct_; }

  private:
    // Goes on through the page cache. True when that is a change.
    bool leave_direct() {
        if (!direct_.exchange(false)) {
            return false;
        }
        const int flags = ::fcntl(fd_.get(), F_GETFL);
        return flags >= 0 && ::fcntl(fd_.get(), F_SETFL, flags & ~O_DIRECT) == 0;
    }

    Descriptor fd_;
    std::string path_;
    std::atomic<bool> direct_;
};

class PosixLock final : public FileLock {
  public:
    explicit PosixLock(int fd) : fd_(fd) {}

  private:
    Descriptor fd_;  // an open-file-description lock goes with its descriptor
};

FileKind kind_of(mode_t mode) {
    if (S_ISREG(mode)) {
        return FileKind::file;
    }
    return S_ISDIR(mode) ? FileKind::directory : FileKind::other;
}

class PosixFileSystem final : public FileSystem {
  public:
    Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override {
        const bool create = options.mode != OpenMode::read;
        const bool alone = options.mode == OpenMode::create;
        const int flags = O_CLOEXEC | (create ? O_RDWR | O_CREAT | (alone ? O_EXCL : 0) : O_RDONLY);
        bool direct = options.direct;
        int fd = uninterrupted(
            [&] { return ::open(path.c_str(), direct ? flags | O_DIRECT : flags, 0666); });
        if (fd < 0 && errno == EINVAL && direct) {
            // tmpfs and some others refuse O_DIRECT, after having made the file.
            direct = false;
            fd = uninterrupted([&] { return ::open(path.c_str(), flags & ~O_EXCL, 0666); });
        }
        if (fd < 0) {
            return system_error(errno, create ? "create" : "open", path);
        }
        return std::make_unique<PosixFile>(fd, path, direct);
    }

    Result<void> make_directory(const std::string& path) override {
        return checked(::mkdir(path.c_str(), 0777), "make the directory", path);
    }

    Result<void> rename(const std::string& from, const std::string& to) override {
        return checked(::rename(from.c_str(), to.c_str()), fmt::format("rename to {}", to), from);
    }

    Result<void> remove_file(const std::string& path) override {
        return checked(::unlink(path.c_str()), "remove", path);
    }

    Result<void> remove_directory(const std::string& path) override {
        return checked(::rmdir(path.c_str()), "remove the directory", path);
    }

    Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
        const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
        if (!directory) {
            return system_error(errno, "list", path);
        }
        std::vector<DirectoryEntry> entries;
        errno = 0;
        // NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of this call alone
        while (const dirent* entry = ::readdir(directory.get())) {
            std::string name = entry->d_name;
            if (name != "." && name != "..") {
                struct stat status {};
                const bool known =
                    ::fstatat(
                        ::dirfd(directory.get()), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0;
                entries.push_back(
                    {std::move(name), known ? kind_of(status.st_mode) : FileKind::other});
            }
            errno = 0;
        }
        if (errno != 0) {
            return system_error(errno, "list", path);
        }
        std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
            return a.name < b.name;
        });
        return entries;
    }

    Result<FileStatus> status(const std::string& path) override {
        struct stat status {};
        if (::stat(path.c_str(), &status) < 0) {
            return system_error(errno, "inspect", path);
        }
        const auto since_epoch = std::chrono::seconds(status.st_mtim.tv_sec) +
                                 std::chrono::nanoseconds(status.st_mtim.tv_nsec);
        return FileStatus{kind_of(status.st_mode),
                          static_cast<std::uint64_t>(status.st_size),
                          std::chrono::system_clock::time_point(since_epoch)};
    }

    Result<void> sync_directory(const std::string& path) override {
        const Descriptor fd(uninterrupted(
            [&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
        if (fd.get() < 0) {
            return system_error(errno, "open", path);
        }
        // Some network file systems have no such call for directories and need none.
        if (uninterrupted([&] { return ::fsync(fd.get()); }) < 0 && errno != EINVAL) {
            return system_error(errno, "sync", path);
        }
        return {};
    }

    Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                           std::chrono::milliseconds deadline) override {
        const int fd =
            uninterrupted([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666); });
        if (fd < 0) {
            return system_error(errno, "open the lock", path);
        }
        auto lock = std::make_unique<PosixLock>(fd);
        const auto until = std::chrono::steady_clock::now() + deadline;
        struct flock whole_file {};
        whole_file.l_type = F_WRLCK;
        whole_file.l_whence = SEEK_SET;
        while (::fcntl(fd, F_OFD_SETLK, &whole_file) < 0) {
            if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
                return system_error(errno, "lock", path);
            }
            if (std::chrono::steady_clock::now() >= until) {
                return Error(ErrorCode::deadline_exceeded, "another process holds the lock")
                    .at(path);
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        return lock;
    }

  private:
    static Result<void> checked(int status, std::string_view operation, const std::string& path) {
        if (status < 0) {
            return system_error(errno, operation, path);
        }
        return {};
    }
};

}  // namespace

std::unique_ptr<FileSystem> make_file_system() {
    return std::make_unique<PosixFileSystem>();
}

}  // namespace mpitrain::posix
