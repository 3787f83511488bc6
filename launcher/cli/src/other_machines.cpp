#include "other_machines.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>

#include "mpitrain/cli/beside_us.hpp"

namespace mpitrain::cli {

Result<hosts::RemotePrograms> programs_elsewhere(const JobSpec& spec) {
    if (!spec.remote_prefix.empty()) {
        return hosts::below_prefix(spec.remote_prefix);
    }
    std::array<char, PATH_MAX> buffer{};
    const ssize_t length = readlink("/proc/self/exe", buffer.data(), buffer.size());
    if (length <= 0) {
        return system_error(errno, "read", "/proc/self/exe");
    }
    hosts::RemotePrograms programs;
    programs.mpitrain.assign(buffer.data(), static_cast<std::size_t>(length));
    MPITRAIN_TRY(const std::string agent, find_program_beside_us("mpitrain-rank"));
    programs.agent = std::filesystem::path(agent).lexically_normal();
    programs.client_library = find_library_beside_us("libmpitrain_client.so");
    return programs;
}

}  // namespace mpitrain::cli
