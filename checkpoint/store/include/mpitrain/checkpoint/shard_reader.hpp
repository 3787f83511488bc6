#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mpitrain/checkpoint/device_memory.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/read_plan.hpp"
#include "mpitrain/checkpoint/staging.hpp"
#include "mpitrain/seam/file_system.hpp"

namespace mpitrain::checkpoint {

// Where copies go, in the order of what was wanted.
struct Targets {
    std::span<std::byte* const> memory;
    // Beside them: 1 where one is in the memory of `device`. Empty: none is.
    std::span<const std::uint8_t> on_device{};
    DeviceMemory* device = nullptr;

    // Errors: the device's.
    [[nodiscard]] Result<void> put(std::size_t target,
                                   std::uint64_t offset,
                                   std::span<const std::byte> bytes) const;
};

// Reads parts of one commit's shards and checks every byte it reads. Errors: data_loss (a file that
// is missing, of another length, or whose bytes do not match), io, permission_denied.
class ShardReader {
  public:
    ShardReader(FileSystem& files,
                std::string directory,
                const Manifest& manifest,
                const Staging& staging)
        : files_(files), directory_(std::move(directory)), manifest_(manifest), staging_(staging) {}

    // Reads all requests and puts their copies into `targets`.
    Result<void> read(const ReadPlan& plan, const Targets& targets);

    // Reads all requests and reports each block of a wrong checksum by its offset in the file; goes
    // on after one. Other errors end it.
    using OnBad = std::function<void(std::size_t shard, std::uint64_t offset)>;
    Result<void> check(const ReadPlan& plan, const OnBad& on_bad);

    [[nodiscard]] std::uint64_t bytes_read() const { return bytes_read_; }

  private:
    struct Opened {
        std::unique_ptr<File> file;
        std::vector<std::uint32_t> sums;  // empty before read_table()
    };
    // Told the bytes of a request from `begin` on, in order, once they are known to be right.
    using OnPart = std::function<Result<void>(
        const ReadRequest& request, std::uint64_t begin, std::span<const std::byte> bytes)>;

    // Called when all parts of a request have been told, before its buffer is used again.
    using OnRequest = std::function<Result<void>()>;

    Result<void> run(const ReadPlan& plan,
                     const OnBad& on_bad,
                     const OnPart& on_part,
                     const OnRequest& on_request);
    Result<void> open(std::size_t shard);
    // In the thread that verifies, before the first of a shard's bytes.
    Result<void> read_table(std::size_t shard);
    Result<void> fetch(const ReadRequest& request, std::span<std::byte> buffer);
    // The table counts as zeros in the blocks it lies in.
    void blank_table(const ReadRequest& request, std::span<std::byte> bytes) const;
    void verify(std::size_t shard,
                std::uint64_t offset,
                std::span<const std::byte> bytes,
                const OnBad& on_bad) const;

    FileSystem& files_;
    std::string directory_;
    const Manifest& manifest_;
    const Staging& staging_;
    std::map<std::size_t, Opened> opened_;
    std::uint64_t bytes_read_ = 0;
};

}  // namespace mpitrain::checkpoint
