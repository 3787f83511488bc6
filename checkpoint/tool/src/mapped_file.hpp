#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "mpitrain/base/result.hpp"

namespace mpitrain::checkpoint::tool {

// The bytes of a file, read by the kernel when they are touched, so that a file of any size takes
// no memory of ours. Where one cannot be read any more, because the file has become shorter or its
// disk fails, the process ends with exit code 125 and a line that names the file: one at a time,
// and only where nothing half-done would be seen.
class MappedFile {
  public:
    static Result<MappedFile> open(const std::string& path);
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&&) = delete;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();

    [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  private:
    explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
    std::span<const std::byte> bytes_;
};

}  // namespace mpitrain::checkpoint::tool
