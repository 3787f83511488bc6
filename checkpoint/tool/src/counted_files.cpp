#include "counted_files.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace mpitrain::checkpoint::tool {
namespace {

// Files are written from several threads; the terminal is told by one at a time.
class Counter {
  public:
    Counter(const Progress& progress, std::uint64_t total) : progress_(progress), total_(total) {}
    void add(std::uint64_t bytes) {
        const std::lock_guard guard(mutex_);
        done_ = std::min(done_ + bytes, total_);
        if (progress_) {
            progress_(done_, total_);
        }
    }

  private:
    const Progress& progress_;
    std::uint64_t total_;
    std::mutex mutex_;
    std::uint64_t done_ = 0;
};

class CountedFile final : public File {
  public:
    CountedFile(std::unique_ptr<File> file, Counter& counter)
        : file_(std::move(file)), counter_(counter) {}
    Result<void> write(std::uint64_t offset, std::span<const std::byte> bytes) override {
        auto written = file_->write(offset, bytes);
        counter_.add(bytes.size());
        return written;
    }
    Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> bytes) override {
        return file_->read(offset, bytes);
    }
    Result<void> allocate(std::uint64_t length) override { return file_->allocate(length); }
    Result<void> truncate(std::uint64_t length) override { return file_->truncate(length); }
    Result<void> sync() override { return file_->sync(); }
    Result<std::uint64_t> size_bytes() override { return file_->size_bytes(); }
    [[nodiscard]] bool is_direct() const override { return file_->is_direct(); }

  private:
    std::unique_ptr<File> file_;
    Counter& counter_;
};

class CountedFiles final : public FileSystem {
  public:
    CountedFiles(FileSystem& files, const Progress& progress, std::uint64_t total)
        : files_(files), counter_(progress, total) {}
    Result<std::unique_ptr<File>> open(const std::string& path, OpenOptions options) override {
        MPITRAIN_TRY(auto file, files_.open(path, options));
        return std::make_unique<CountedFile>(std::move(file), counter_);
    }
    Result<void> make_directory(const std::string& path) override {
        return files_.make_directory(path);
    }
    Result<void> rename(const std::string& from, const std::string& to) override {
        return files_.rename(from, to);
    }
    Result<void> remove_file(const std::string& path) override { return files_.remove_file(path); }
    Result<void> remove_directory(const std::string& path) override {
        return files_.remove_directory(path);
    }
    Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
        return files_.list(path);
    }
    Result<FileStatus> status(const std::string& path) override { return files_.status(path); }
    Result<void> sync_directory(const std::string& path) override {
        return files_.sync_directory(path);
    }
    Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                           std::chrono::milliseconds deadline) override {
        return files_.lock(path, deadline);
    }

  private:
    FileSystem& files_;
    Counter counter_;
};

}  // namespace

std::unique_ptr<FileSystem> count_written(FileSystem& files,
                                          const Progress& progress,
                                          std::uint64_t total) {
    return std::make_unique<CountedFiles>(files, progress, total);
}

}  // namespace mpitrain::checkpoint::tool
