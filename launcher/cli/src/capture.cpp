#include "capture.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace mpitrain::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t bytes_max = 64U << 10U;

// Starts the program with both outputs on `output`. Gives its pid.
Result<pid_t> start(std::vector<std::string>& command, int output) {
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (std::string& word : command) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    pid_t pid = 0;
    const int error =
        posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        return system_error(error, "start", command.front());
    }
    return pid;
}

// Reads until the end, the limit or the deadline. False when the deadline came first.
bool read_all(int input, Clock::time_point deadline, std::string& text) {
    std::array<char, 4096> buffer{};
    while (text.size() < bytes_max) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        pollfd watched{input, POLLIN, 0};
        const int ready = left.count() > 0 ? poll(&watched, 1, static_cast<int>(left.count())) : 0;
        if (ready == 0) {
            return false;
        }
        const ssize_t count = ready > 0 ? read(input, buffer.data(), buffer.size()) : -1;
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return true;
        }
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace

Result<std::string> capture(std::vector<std::string> command, std::chrono::milliseconds deadline) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        return system_error(errno, "make a pipe for", command.front());
    }
    const auto pid = start(command, ends[1]);
    close(ends[1]);
    std::string text;
    bool in_time = true;
    int status = 0;
    if (pid) {
        in_time = read_all(ends[0], Clock::now() + deadline, text);
        if (!in_time || text.size() >= bytes_max) {
            kill(*pid, SIGKILL);
        }
        while (waitpid(*pid, &status, 0) < 0 && errno == EINTR) {
        }
    }
    close(ends[0]);
    if (!pid) {
        return pid.error();
    }
    if (!in_time) {
        return Error(ErrorCode::deadline_exceeded,
                     fmt::format("no answer within {} ms", deadline.count()))
            .at(command.front());
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return Error(ErrorCode::io,
                     fmt::format(
                         "failed (wait status {:#x}): {}", status, text.substr(0, text.find('\n'))))
            .at(command.front());
    }
    return text;
}

}  // namespace mpitrain::cli
