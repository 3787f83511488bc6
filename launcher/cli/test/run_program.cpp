#include "run_program.hpp"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>

namespace mpitrain::cli {
namespace {

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> result;
    result.reserve(words.size() + 1);
    for (std::string& word : words) {
        result.push_back(word.data());
    }
    result.push_back(nullptr);
    return result;
}

// Reads both pipes to their ends, or until the deadline, when it kills the program.
void collect(pid_t pid, int out, int err, Outcome& outcome) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::array<pollfd, 2> watched = {pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
    std::array<std::string*, 2> texts = {&outcome.out, &outcome.err};
    int open = 2;
    while (open > 0) {
        if (poll(watched.data(), watched.size(), 100) < 0 ||
            std::chrono::steady_clock::now() > deadline) {
            kill(pid, SIGKILL);
            return;
        }
        for (std::size_t i = 0; i < watched.size(); ++i) {
            if (watched[i].revents == 0) {
                continue;
            }
            std::array<char, 4096> buffer{};
            const ssize_t count = read(watched[i].fd, buffer.data(), buffer.size());
            if (count <= 0) {
                watched[i].fd = -1;
                --open;
            } else {
                texts[i]->append(buffer.data(), static_cast<std::size_t>(count));
            }
        }
    }
}

}  // namespace

Outcome run_mpitrain(const std::vector<std::string>& words,
                     const std::vector<std::string>& environment) {
    std::vector<std::string> arguments = {MPITRAIN_PROGRAM};
    arguments.insert(arguments.end(), words.begin(), words.end());
    std::vector<std::string> variables = environment;  // first, since the first one counts
    for (const char* fixed : {"PATH=/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8"}) {
        variables.emplace_back(fixed);
    }
    std::array<int, 2> out{};
    std::array<int, 2> err{};
    Outcome outcome;
    if (pipe(out.data()) != 0 || pipe(err.data()) != 0) {
        return outcome;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    for (const int descriptor : {out[0], out[1], err[0], err[1]}) {
        posix_spawn_file_actions_addclose(&actions, descriptor);
    }
    pid_t pid = 0;
    const int failed = posix_spawn(&pid,
                                   MPITRAIN_PROGRAM,
                                   &actions,
                                   nullptr,
                                   pointers(arguments).data(),
                                   pointers(variables).data());
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    if (failed == 0) {
        collect(pid, out[0], err[0], outcome);
        int status = 0;
        waitpid(pid, &status, 0);
        outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    close(out[0]);
    close(err[0]);
    return outcome;
}

}  // namespace mpitrain::cli
