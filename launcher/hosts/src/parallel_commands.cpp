#include "parallel_commands.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "mpitrain/supervise/unique_fd.hpp"

namespace mpitrain::hosts {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t running_max = 128;
constexpr std::size_t bytes_max = 16U << 20U;

struct Running {
    std::size_t index = 0;
    pid_t pid = -1;
    UniqueFd out;
    UniqueFd err;
};

bool make_pipe(UniqueFd& read_end, UniqueFd& write_end) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return false;
    }
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
    return true;
}

// False, and why in `end`, when it cannot be started.
bool start(std::vector<std::string> command, Running& running, CommandEnd& end) {
    UniqueFd out;
    UniqueFd err;
    if (!make_pipe(running.out, out) || !make_pipe(running.err, err)) {
        end.err = ::strerrordesc_np(errno);
        return false;
    }
    std::vector<char*> arguments;
    for (std::string& word : command) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.get(), STDERR_FILENO);
    // In a group of its own, so that a ^C at the terminal is for us alone.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int error = ::posix_spawnp(
        &running.pid, arguments[0], &actions, &attributes, arguments.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        end.err = ::strerrordesc_np(error);
        return false;
    }
    return true;
}

// Reads what is there; closes the stream at its end, or when it is more than anybody should say.
void read_some(UniqueFd& from, std::string& text) {
    std::array<char, 64U << 10U> buffer{};
    const ssize_t count = ::read(from.get(), buffer.data(), buffer.size());
    if (count > 0 && text.size() < bytes_max) {
        text.append(buffer.data(), static_cast<std::size_t>(count));
    } else if (count >= 0 || errno != EINTR) {
        from.reset();
    }
}

void collect(Running& running, CommandEnd& end) {
    int status = 0;
    while (::waitpid(running.pid, &status, 0) < 0 && errno == EINTR) {
    }
    end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Waits for words of any of them, until the deadline.
void listen(std::vector<Running>& running, std::vector<CommandEnd>& ends, Clock::time_point until) {
    std::vector<pollfd> watched;
    for (const Running& one : running) {
        watched.push_back({one.out.get(), POLLIN, 0});
        watched.push_back({one.err.get(), POLLIN, 0});
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (::poll(watched.data(), watched.size(), static_cast<int>(std::max<std::int64_t>(left, 0))) <=
        0) {
        return;
    }
    for (std::size_t i = 0; i < running.size(); ++i) {
        CommandEnd& end = ends[running[i].index];
        if (watched[2 * i].revents != 0) {
            read_some(running[i].out, end.out);
        }
        if (watched[2 * i + 1].revents != 0) {
            read_some(running[i].err, end.err);
        }
    }
}

}  // namespace

std::vector<CommandEnd> run_in_parallel(const std::vector<std::vector<std::string>>& commands,
                                        std::chrono::milliseconds deadline) {
    const Clock::time_point until = Clock::now() + deadline;
    std::vector<CommandEnd> ends(commands.size());
    std::vector<Running> running;
    std::size_t next = 0;
    while (next < commands.size() || !running.empty()) {
        while (next < commands.size() && running.size() < running_max && Clock::now() < until) {
            Running one;
            one.index = next;
            if (start(commands[next], one, ends[next])) {
                running.push_back(std::move(one));
            }
            ++next;
        }
        if (Clock::now() >= until) {
            for (const Running& one : running) {
                ends[one.index].in_time = false;
                ::kill(one.pid, SIGKILL);
            }
            for (; next < commands.size(); ++next) {
                ends[next].in_time = false;
            }
        } else {
            listen(running, ends, until);
        }
        std::erase_if(running, [&](Running& one) {
            const bool over = (!one.out && !one.err) || !ends[one.index].in_time;
            if (over) {
                collect(one, ends[one.index]);
            }
            return over;
        });
    }
    return ends;
}

}  // namespace mpitrain::hosts
