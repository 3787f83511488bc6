#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

// The one door to the disk. Durability is explicit: bytes survive a crash after File::sync(), names
// after sync_directory() of the directory that holds them, and nothing else does.
namespace mpitrain {

enum class OpenMode : std::uint8_t {
    read,    // must exist
    create,  // read and write; must not exist
    shared,  // read and write; made if missing, for whoever comes first of several
};

struct OpenOptions {
    OpenMode mode = OpenMode::read;
    // Ask for transfers past the page cache. A file system that cannot serves them buffered.
    bool direct = false;
};

// One open file. Reads and writes at different offsets may run concurrently. Closing is the
// destructor's: what must survive has been synced before. Errors: those of system_error(), with the
// path.
class File {
  public:
    // Buffers and offsets of a direct file are multiples of this, lengths too (but at the end of a
    // read).
    static constexpr std::size_t direct_alignment = 4096;

    virtual ~File() = default;
    // Writes all of `bytes`.
    virtual Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
    // Fills `bytes`; fewer only at the end of the file.
    virtual Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> bytes) = 0;
    // Makes the file `length` bytes long and reserves the space, so that a full disk shows now.
    virtual Result<void> allocate(std::uint64_t length) = 0;
    virtual Result<void> truncate(std::uint64_t length) = 0;
    virtual Result<void> sync() = 0;
    virtual Result<std::uint64_t> size_bytes() = 0;
    // Whether transfers go past the page cache and so need direct_alignment.
    [[nodiscard]] virtual bool is_direct() const = 0;
};

enum class FileKind : std::uint8_t { file, directory, other };

struct DirectoryEntry {
    std::string name;
    FileKind kind = FileKind::other;
};

struct FileStatus {
    FileKind kind = FileKind::other;
    std::uint64_t size_bytes = 0;
    std::chrono::system_clock::time_point modified;
};

// Held until destroyed, or until the process dies.
class FileLock {
  public:
    virtual ~FileLock() = default;
};

// Thread-safe.
class FileSystem {
  public:
    virtual ~FileSystem() = default;
    virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) = 0;
    virtual Result<void> make_directory(const std::string& path) = 0;
    // Atomic. Replaces a file; never a directory that holds anything.
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
    virtual Result<void> remove_file(const std::string& path) = 0;
    virtual Result<void> remove_directory(const std::string& path) = 0;
    // Sorted by name; without "." and "..".
    virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;
    virtual Result<FileStatus> status(const std::string& path) = 0;
    virtual Result<void> sync_directory(const std::string& path) = 0;
    // An exclusive advisory lock among processes, on a file that is made if missing. Errors:
    // deadline_exceeded when another holds it throughout.
    virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                                   std::chrono::milliseconds deadline) = 0;
};

std::string join_path(std::string_view directory, std::string_view name);
// "a/b" of "a/b/c", "." of "c", "/" of "/c".
std::string parent_path(std::string_view path);
// "c" of "a/b/c" and of "a/b/c/".
std::string base_name(std::string_view path);

// The whole of a small file. Errors: those of open and read; invalid_argument when it is longer
// than `limit_bytes`.
Result<std::string> read_small_file(FileSystem& files,
                                    const std::string& path,
                                    std::uint64_t limit_bytes);
// A new file with these bytes, synced; its name is not yet.
Result<void> write_new_file(FileSystem& files, const std::string& path, std::string_view text);
// Removes a directory and all in it. What is already gone is no error.
Result<void> remove_tree(FileSystem& files, const std::string& path);

}  // namespace mpitrain
