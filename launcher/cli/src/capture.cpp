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
constexpr std::size_t input_max = 64U << 10U;  // what a pipe takes without a reader

// Starts the program with its outputs on `output`, or standard error on /dev/null. Gives its pid.
Result<pid_t> start(std::vector<std::string>& command, int input, int output, bool with_errors) {
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (std::string& word : command) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (with_errors) {
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    } else {
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    }
    pid_t pid = 0;
    const int error =
        posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        return system_error(error, "start", command.front());
    }
    return pid;
}

// A descriptor from which `text` can be read to its end.
Result<int> readable(const std::string& text) {
    if (text.empty()) {
        const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return null < 0 ? Result<int>(system_error(errno, "open", "/dev/null")) : null;
    }
    if (text.size() > input_max) {
        return Error(ErrorCode::resource_exhausted,
                     fmt::format("{} bytes are too many to be passed on", text.size()));
    }
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        return system_error(errno, "make a pipe", "");
    }
    const ssize_t wrote = write(ends[1], text.data(), text.size());
    const int reason = errno;
    close(ends[1]);
    if (wrote != static_cast<ssize_t>(text.size())) {
        close(ends[0]);
        return system_error(reason, "write into a pipe", "");
    }
    return ends[0];
}

// Reads until the end, the limit or the deadline. False when the deadline came first.
bool read_all(int input, Clock::time_point deadline, std::size_t bytes_max, std::string& text) {
    std::array<char, 4096> buffer{};
    while (text.size() <= bytes_max) {
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

Error failure(int status, const std::string& text) {
    const std::string how = WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                                              : fmt::format("signal {}", WTERMSIG(status));
    return {ErrorCode::io, fmt::format("failed ({}): {}", how, text.substr(0, text.find('\n')))};
}

}  // namespace

Result<std::string> capture(std::vector<std::string> command,
                            std::chrono::milliseconds deadline,
                            const Capture& options) {
    MPITRAIN_TRY(const int input, readable(options.input));
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        close(input);
        return system_error(errno, "make a pipe for", command.front());
    }
    const auto pid = start(command, input, ends[1], options.with_errors);
    close(input);
    close(ends[1]);
    std::string text;
    bool in_time = true;
    int status = 0;
    if (pid) {
        in_time = read_all(ends[0], Clock::now() + deadline, options.bytes_max, text);
        if (!in_time || text.size() > options.bytes_max) {
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
    if (text.size() > options.bytes_max) {
        return Error(ErrorCode::resource_exhausted,
                     fmt::format("it says more than {} bytes", options.bytes_max))
            .at(command.front());
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return failure(status, text).at(command.front());
    }
    return text;
}

}  // namespace mpitrain::cli
