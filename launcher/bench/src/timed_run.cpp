#include "timed_run.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>

namespace mpitrain::bench {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
    std::vector<char*> pointers;
    pointers.reserve(strings.size() + 1);
    for (std::string& text : strings) {
        pointers.push_back(text.data());
    }
    pointers.push_back(nullptr);
    return pointers;
}

std::string last_line_of(const std::string& path) {
    std::ifstream file(path);
    std::string last;
    for (std::string line; std::getline(file, line);) {
        last = line.empty() ? last : line;
    }
    return last;
}

Result<pid_t> start(const TimedCommand& command) {
    std::vector<std::string> argv = command.argv;
    std::vector<std::string> environment;
    for (const auto& [name, value] : command.environment) {
        environment.push_back(fmt::format("{}={}", name, value));
    }
    constexpr int create = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(
        &actions, STDOUT_FILENO, command.out_path.c_str(), create, 0600);
    posix_spawn_file_actions_addopen(
        &actions, STDERR_FILENO, command.err_path.c_str(), create, 0600);
    pid_t pid = 0;
    const int error = posix_spawnp(&pid,
                                   argv.front().c_str(),
                                   &actions,
                                   nullptr,
                                   pointers_to(argv).data(),
                                   pointers_to(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        return system_error(error, "start", argv.front());
    }
    return pid;
}

// Whether `pid` ended before the deadline; when not, it is killed. Reaped either way.
Result<int> wait_until(pid_t pid, Clock::time_point deadline) {
    const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    const int open_error = errno;
    bool ended = false;
    while (fd >= 0 && !ended && Clock::now() < deadline) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        pollfd watched{fd, POLLIN, 0};
        ended = poll(&watched, 1, static_cast<int>(left)) > 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (!ended) {
        kill(pid, SIGKILL);
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (fd < 0) {
        return system_error(open_error, "watch", fmt::format("process {}", pid));
    }
    if (!ended) {
        return Error(ErrorCode::deadline_exceeded, "it did not end in time");
    }
    return status;
}

}  // namespace

Result<double> run_timed(const TimedCommand& command) {
    const std::string shown = fmt::format("{}", fmt::join(command.argv, " "));
    const auto started = Clock::now();
    MPITRAIN_TRY(const pid_t pid, start(command));
    auto status = wait_until(pid, started + command.deadline);
    const std::chrono::duration<double, std::milli> taken = Clock::now() - started;
    if (!status) {
        return std::move(status).error().at(shown);
    }
    if (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0) {
        const std::string how = WIFEXITED(*status)
                                    ? fmt::format("exit code {}", WEXITSTATUS(*status))
                                    : fmt::format("signal {}", WTERMSIG(*status));
        return Error(ErrorCode::unavailable,
                     fmt::format("failed with {}: {}", how, last_line_of(command.err_path)))
            .at(shown)
            .mend("run it by hand to see all that it says");
    }
    return taken.count();
}

}  // namespace mpitrain::bench
