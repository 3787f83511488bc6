#include "process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <set>

namespace mpitrain::rank {
namespace {

std::optional<ProcessStat> read_process(const char* pid) {
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "/proc/%s/stat", pid);
    const UniqueFd file(::open(path.data(), O_RDONLY | O_CLOEXEC));
    std::array<char, 512> text{};
    const ssize_t count = file ? ::read(file.get(), text.data(), text.size()) : -1;
    if (count <= 0) {
        return std::nullopt;  // it has just gone
    }
    return parse_process_stat({text.data(), static_cast<std::size_t>(count)});
}

// Waits until a child changes or `limit` is over. SIGCHLD is blocked; the caller reaps right after,
// so eating it is harmless.
void await_child(std::chrono::nanoseconds limit) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    const timespec time{0, static_cast<long>(limit.count())};
    ::sigtimedwait(&child, nullptr, &time);
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
    ProcessStat process;
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string_view::npos || name_end + 4 > text.size()) {
        return std::nullopt;
    }
    if (std::from_chars(text.data(), text.data() + name_end, process.pid).ec != std::errc()) {
        return std::nullopt;
    }
    process.state = text[name_end + 2];
    const char* at = text.data() + name_end + 3;
    const char* const end = text.data() + text.size();
    for (pid_t* number : {&process.parent, &process.group, &process.session}) {
        at = std::find_if(at, end, [](char c) { return c != ' '; });
        const auto [rest, error] = std::from_chars(at, end, *number);
        if (error != std::errc()) {
            return std::nullopt;
        }
        at = rest;
    }
    return process;
}

std::vector<ProcessStat> all_processes() {
    std::vector<ProcessStat> processes;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc"), &::closedir);
    if (!directory) {
        return processes;
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is our own
    while (const dirent* entry = ::readdir(directory.get())) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') {
            continue;
        }
        if (const auto process = read_process(entry->d_name)) {
            processes.push_back(*process);
        }
    }
    return processes;
}

std::vector<ProcessStat> living_descendants(pid_t ancestor) {
    const std::vector<ProcessStat> processes = all_processes();
    std::set<pid_t> family = {ancestor};
    for (bool grown = true; grown;) {  // as many rounds as generations that /proc lists child first
        grown = false;
        for (const ProcessStat& process : processes) {
            if (family.contains(process.parent) && family.insert(process.pid).second) {
                grown = true;
            }
        }
    }
    std::vector<ProcessStat> living;
    for (const ProcessStat& process : processes) {
        const bool alive = process.state != 'Z' && process.state != 'X';
        if (alive && process.pid != ancestor && family.contains(process.pid)) {
            living.push_back(process);
        }
    }
    return living;
}

bool reap_children(const OnZombie& on_zombie) {
    for (;;) {
        siginfo_t info{};
        if (retry([&] { return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT); }) != 0) {
            return false;  // ECHILD
        }
        if (info.si_pid == 0) {
            return true;
        }
        on_zombie(info);
        retry([&] { return ::waitpid(info.si_pid, nullptr, 0); });
    }
}

int kill_descendants(TimePoint deadline, const OnZombie& on_zombie) {
    std::set<pid_t> killed;
    while (reap_children(on_zombie)) {
        bool found_new = false;
        for (const ProcessStat& process : living_descendants(::getpid())) {
            if (::kill(process.pid, SIGKILL) == 0 && killed.insert(process.pid).second) {
                found_new = true;
            }
        }
        if (Clock::now() >= deadline) {
            break;
        }
        // Something new may have forked while we looked: look again at once. Else wait for deaths.
        if (!found_new) {
            await_child(std::chrono::milliseconds(5));
        }
    }
    return static_cast<int>(killed.size());
}

}  // namespace mpitrain::rank
