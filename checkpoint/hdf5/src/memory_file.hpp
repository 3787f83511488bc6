#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "hdf5_call.hpp"
#include "mpitrain/checkpoint/container.hpp"

namespace mpitrain::checkpoint::hdf5 {

// A sparse file in memory: only pages that were written take space, so that HDF5 can lay out a file
// of any size. It has no name and no descriptor, and leaves nothing behind when the process dies.
class MemoryFile {
  public:
    static constexpr std::size_t page_bytes = 4096;

    void write(std::uint64_t offset, std::span<const std::byte> bytes);
    // What was never written is zero.
    void read(std::uint64_t offset, std::span<std::byte> bytes) const;
    void resize(std::uint64_t bytes) { size_bytes_ = bytes; }
    [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
    // The written pages that meet [begin, end), cut to it and joined.
    [[nodiscard]] std::vector<Extent> written(std::uint64_t begin, std::uint64_t end) const;

  private:
    std::map<std::uint64_t, std::array<std::byte, page_bytes>> pages_;  // by page number
    std::uint64_t size_bytes_ = 0;
};

// Creates an HDF5 file in `memory`, which must outlive it, laid out for direct I/O: objects of a
// page or more on multiples of `border_bytes`, the library's own bytes in blocks of about
// `metadata_bytes`. With larger borders than pages, the gaps before them stay empty.
Result<Handle> create_file(MemoryFile& memory,
                           std::uint64_t metadata_bytes,
                           std::uint64_t border_bytes = MemoryFile::page_bytes);

// How links are made: names are UTF-8.
Result<Handle> link_properties();

// Makes the groups on the way to an object, as "/a" and "/a/b" of "/a/b/c", each once. HDF5 would
// make them by itself, but with the time of day in them, and equal plans are to give equal files.
class Groups {
  public:
    Result<void> make(const Handle& file, const Handle& links, const std::string& path);

  private:
    std::set<std::string, std::less<>> made_;
};

Result<void> write_text_attribute(const Handle& object,
                                  const std::string& name,
                                  const std::string& value);

}  // namespace mpitrain::checkpoint::hdf5
