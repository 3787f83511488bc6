#include "mpitrain/cli/beside_us.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>

namespace mpitrain::cli {

Result<std::string> find_program_beside_us(std::string_view name) {
    std::array<char, PATH_MAX> buffer{};
    const ssize_t length = readlink("/proc/self/exe", buffer.data(), buffer.size());
    if (length <= 0) {
        return system_error(errno, "read", "/proc/self/exe");
    }
    const std::string_view self(buffer.data(), static_cast<std::size_t>(length));
    const std::string_view directory = self.substr(0, self.rfind('/'));
    const std::string installed = fmt::format("{}/../libexec/mpitrain/{}", directory, name);
    const std::string built = fmt::format("{}/{}", directory, name);
    const std::string from_libexec = fmt::format("{}/../../bin/{}", directory, name);
    for (const std::string& path : {installed, built, from_libexec}) {
        if (access(path.c_str(), X_OK) == 0) {
            return path;
        }
    }
    return Error(
               ErrorCode::not_found,
               fmt::format(
                   "{} is neither at {} nor at {} nor at {}", name, installed, built, from_libexec))
        .mend("install all of mpitrain, or build its target too");
}

}  // namespace mpitrain::cli
