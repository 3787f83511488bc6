#include "job_directory.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "mpitrain/base/number.hpp"

namespace mpitrain {

namespace fs = std::filesystem;

namespace {

std::string value_of(const EnvironmentMap& environment, const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? "" : found->second;
}

// Homes are often shared between machines; ids and runtime state are not.
std::string machine_id() {
    std::ifstream file("/etc/machine-id");
    std::string id;
    std::getline(file, id);
    if (id.empty()) {
        char host[256] = "";
        ::gethostname(host, sizeof host - 1);
        id = host;
    }
    return id;
}

Result<std::string> jobs_base(const JobSpec& spec, const EnvironmentMap& environment) {
    if (!spec.log_dir.empty()) {
        return spec.log_dir;
    }
    std::string state = value_of(environment, "XDG_STATE_HOME");
    if (state.empty()) {
        const std::string home = value_of(environment, "HOME");
        if (home.empty()) {
            return Error(ErrorCode::invalid_argument, "neither XDG_STATE_HOME nor HOME is set")
                .mend("name a place for logs with --log-dir");
        }
        state = home + "/.local/state";
    }
    return fmt::format("{}/mpitrain/{}/jobs", state, machine_id());
}

std::int64_t highest_id(const std::string& base) {
    std::int64_t highest = 0;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(base, ignored)) {
        if (const auto id = parse_integer(entry.path().filename().string(), 1, INT64_MAX - 1)) {
            highest = std::max(highest, *id);
        }
    }
    return highest;
}

Result<std::string> make_private(std::string pattern) {
    if (::mkdtemp(pattern.data()) == nullptr) {
        return system_error(errno, "make a private directory", pattern);
    }
    return pattern;
}

}  // namespace

Result<JobDirectory> make_job_directory(const JobSpec& spec, const EnvironmentMap& environment) {
    MPITRAIN_TRY(const std::string base, jobs_base(spec, environment));
    std::error_code error;
    fs::create_directories(base, error);
    if (error) {
        return system_error(error.value(), "make the log directory", base)
            .mend("choose a writable place with --log-dir");
    }
    constexpr int tries_max = 1000;  // jobs that start at the very same moment
    for (int attempt = 0; attempt < tries_max; ++attempt) {
        JobDirectory job;
        job.id = std::to_string(highest_id(base) + 1);
        job.path = base + "/" + job.id;
        if (::mkdir(job.path.c_str(), 0755) == 0) {
            return job;
        }
        if (errno != EEXIST) {
            return system_error(errno, "make the job's directory", job.path)
                .mend("choose a writable place with --log-dir");
        }
    }
    return Error(ErrorCode::resource_exhausted, "no free job id").at(base);
}

Result<AttemptDirectories> make_attempt_directories(const JobDirectory& job,
                                                    int attempt,
                                                    const EnvironmentMap& environment) {
    AttemptDirectories made;
    made.logs = fmt::format("{}/attempt-{}", job.path, attempt);
    if (::mkdir(made.logs.c_str(), 0755) != 0) {
        return system_error(errno, "make the attempt's log directory", made.logs);
    }
    const std::string runtime = value_of(environment, "XDG_RUNTIME_DIR");
    constexpr std::size_t short_enough = 40;
    const bool usable =
        !runtime.empty() && runtime.size() < short_enough && ::access(runtime.c_str(), W_OK) == 0;
    const std::string name = fmt::format("mpitrain-{}-{}-XXXXXX", job.id, attempt);
    MPITRAIN_TRY(made.runtime, make_private((usable ? runtime : "/tmp") + "/" + name));
    const bool has_shm = ::access("/dev/shm", W_OK) == 0;
    MPITRAIN_TRY(made.shared_memory,
                 make_private((has_shm ? "/dev/shm/" : made.runtime + "/") + name));
    return made;
}

}  // namespace mpitrain
