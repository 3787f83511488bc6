#include "mpitrain/local/programs.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mpitrain::local {
namespace {

bool is_file(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

bool is_executable(const std::string& path) {
    return is_file(path) && ::access(path.c_str(), X_OK) == 0;
}

Result<void> check_path(const std::string& program, const std::string& workdir) {
    const std::string path = program.front() == '/' ? program : workdir + "/" + program;
    if (is_executable(path)) {
        return {};
    }
    if (is_file(path)) {
        return Error(ErrorCode::permission_denied, "not executable")
            .at(program)
            .mend(fmt::format("chmod +x {}, or name its interpreter first", program));
    }
    return Error(ErrorCode::not_found, "no such program")
        .at(program)
        .mend(fmt::format("check its path, which is taken from {}",
                          workdir == "." ? "the current directory" : workdir));
}

Result<void> check_search(const std::string& program,
                          const std::string& workdir,
                          std::string_view search) {
    bool there = false;
    while (true) {
        const std::size_t colon = search.find(':');
        const std::string directory(search.substr(0, colon));
        const std::string path = (directory.empty() ? workdir : directory) + "/" + program;
        if (is_executable(path)) {
            return {};
        }
        there = there || is_file(path);
        if (colon == std::string_view::npos) {
            break;
        }
        search.remove_prefix(colon + 1);
    }
    const bool here = is_executable(workdir + "/" + program);
    return Error(there ? ErrorCode::permission_denied : ErrorCode::not_found,
                 there ? "not executable" : "not found in PATH")
        .at(program)
        .mend(here ? fmt::format("write ./{} for the one in the working directory", program)
                   : "check the name, or give its path");
}

}  // namespace

Result<void> check_programs(const JobSpec& spec, const EnvironmentMap& environment) {
    const std::string workdir = spec.workdir.empty() ? "." : spec.workdir;
    if (struct stat status{}; ::stat(workdir.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
        return Error(ErrorCode::invalid_argument, "no such directory")
            .at(workdir)
            .mend("make it, or give another one with --workdir");
    }
    for (const CommandGroup& group : spec.groups) {
        const std::string& program = group.command.front();
        std::string search;
        for (const EnvironmentMap* map : {&environment, &spec.env, &group.env}) {
            if (const auto found = map->find("PATH"); found != map->end()) {
                search = found->second;
            }
        }
        MPITRAIN_TRY_VOID(program.find('/') != std::string::npos
                              ? check_path(program, workdir)
                              : check_search(program, workdir, search));
    }
    return {};
}

}  // namespace mpitrain::local
