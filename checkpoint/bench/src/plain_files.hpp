#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"

// Bytes to and from files with nothing around them: the limits to compare with. Transfers are of 8
// MiB, by system calls of its own, so that nothing of ours is in the limit.
namespace mpitrain::checkpoint::bench {

enum class Cache : std::uint8_t { past, through };

// Creates the file, reserves its space, writes and syncs it.
Result<void> write_plain(const std::string& path, std::span<const std::byte> bytes, Cache cache);

// Part of a file.
struct Part {
    std::string path;
    std::uint64_t offset = 0;
    std::uint64_t size_bytes = 0;
};

// Reads the parts one after the other into `bytes`, which holds them all.
Result<void> read_plain(const std::vector<Part>& parts, std::span<std::byte> bytes, Cache cache);

// Drops the cached pages of every file in a directory, and below it.
void evict(const std::string& directory);

// Removes the directory's content and makes that durable.
Result<void> empty_directory(const std::string& directory);
// Waits for all that the directory's file system has still to write.
void settle(const std::string& directory);

}  // namespace mpitrain::checkpoint::bench
