#include "private_directory.hpp"

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace mpitrain::bench {

Result<PrivateDirectory> PrivateDirectory::make(const std::string& parent) {
    std::string pattern = parent + "/mpitrain-bench-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) {
        return system_error(errno, "make a private directory", pattern);
    }
    return PrivateDirectory(std::move(pattern));
}

PrivateDirectory::~PrivateDirectory() {
    if (!path_.empty()) {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
}

}  // namespace mpitrain::bench
