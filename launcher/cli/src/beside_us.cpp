#include "mpitrain/cli/beside_us.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

namespace mpitrain::cli {

namespace {

// Where this program's file is. Errors: io, without /proc.
Result<std::string> own_directory() {
    std::array<char, PATH_MAX> buffer{};
    const ssize_t length = readlink("/proc/self/exe", buffer.data(), buffer.size());
    if (length <= 0) {
        return system_error(errno, "read", "/proc/self/exe");
    }
    const std::string_view self(buffer.data(), static_cast<std::size_t>(length));
    return std::string(self.substr(0, self.rfind('/')));
}

}  // namespace

Result<std::string> find_program_beside_us(std::string_view name) {
    MPITRAIN_TRY(const std::string directory, own_directory());
    const std::array<std::string, 3> places = {
        fmt::format("{}/../libexec/mpitrain/{}", directory, name),  // installed
        fmt::format("{}/{}", directory, name),                      // in a build tree
        fmt::format("{}/../../bin/{}", directory, name)};           // from libexec
    for (const std::string& path : places) {
        if (access(path.c_str(), X_OK) == 0) {
            return path;
        }
    }
    return Error(ErrorCode::not_found,
                 fmt::format("{} is at none of {}", name, fmt::join(places, ", ")))
        .mend("install all of mpitrain, or build its target too");
}

std::string find_library_beside_us(std::string_view name) {
    const auto directory = own_directory();
    if (!directory) {
        return "";
    }
    for (const std::string_view libraries : {MPITRAIN_LIBRARIES, "../lib"}) {
        std::string path = fmt::format("{}/{}/{}", *directory, libraries, name);
        if (access(path.c_str(), R_OK) == 0) {
            return path;
        }
    }
    return "";
}

}  // namespace mpitrain::cli
