#pragma once

#include <string>
#include <utility>

#include "mpitrain/base/result.hpp"

namespace mpitrain::bench {

// A directory that is gone when this is.
class PrivateDirectory {
  public:
    static Result<PrivateDirectory> make(const std::string& parent);
    PrivateDirectory(PrivateDirectory&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    PrivateDirectory(const PrivateDirectory&) = delete;
    PrivateDirectory& operator=(const PrivateDirectory&) = delete;
    PrivateDirectory& operator=(PrivateDirectory&&) = delete;
    ~PrivateDirectory();
    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    explicit PrivateDirectory(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

}  // namespace mpitrain::bench
