// The user's program of the tests: does one of the things that programs do, named by its first
// argument.
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "mpitrain/client.hpp"

namespace {

void write_all(int fd, const char* bytes, std::size_t count) {
    while (count > 0) {
        const ssize_t done = ::write(fd, bytes, count);
        if (done <= 0) {
            std::_Exit(9);
        }
        bytes += done;
        count -= static_cast<std::size_t>(done);
    }
}

// COUNT numbered lines, in pieces whose ends have nothing to do with the lines'.
int lines(int count) {
    std::mt19937 random(7);
    std::string pending;
    for (int i = 0; i < count; ++i) {
        pending += std::to_string(i) + std::string(random() % 60, 'x') + "\n";
        if (random() % 8 == 0) {
            const std::size_t piece = random() % (pending.size() + 1);
            write_all(STDOUT_FILENO, pending.data(), piece);
            pending.erase(0, piece);
        }
    }
    write_all(STDOUT_FILENO, pending.data(), pending.size());
    return 0;
}

void pause_for_ever() {
    for (;;) {
        ::pause();
    }
}

// Leaves a process behind that has done all to be forgotten: forked twice, in a session of its own.
void leave_daemon(bool ignore_signals) {
    std::array<int, 2> ready{};
    if (::pipe(ready.data()) != 0) {
        std::_Exit(9);
    }
    if (::fork() == 0) {
        ::setsid();
        if (::fork() == 0) {
            if (ignore_signals) {
                ::signal(SIGTERM, SIG_IGN);
                ::signal(SIGHUP, SIG_IGN);
            }
            write_all(ready[1], "!", 1);
            pause_for_ever();
        }
        std::_Exit(0);
    }
    char byte = 0;
    if (::read(ready[0], &byte, 1) != 1) {
        std::_Exit(9);
    }
}

// A process that flees: it forks and exits without end, each time under another number.
void leave_fugitive() {
    if (::fork() != 0) {
        return;
    }
    ::setsid();
    for (;;) {
        if (::fork() != 0) {
            std::_Exit(0);
        }
    }
}

// What the program finds itself with, one "name value" a line.
int describe() {
    int death_signal = 0;
    ::prctl(PR_GET_PDEATHSIG, &death_signal);
    cpu_set_t cpus;
    ::sched_getaffinity(0, sizeof cpus, &cpus);
    std::array<char, 4096> directory{};
    std::printf("session %s\n", ::getsid(0) == ::getpid() ? "own" : "other");
    std::printf("group %s\n", ::getpgrp() == ::getpid() ? "own" : "other");
    std::printf("death-signal %d\n", death_signal);
    std::printf("cpus %d\n", CPU_COUNT(&cpus));
    std::printf("directory %s\n", ::getcwd(directory.data(), directory.size()));
    std::printf("terminal %d %d %d\n", ::isatty(0), ::isatty(1), ::isatty(2));
    int open_files = 0;
    for (int fd = 0; fd < 1024; ++fd) {
        open_files += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    }
    std::printf("open-files %d\n", open_files);
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("SigBlk") || line.starts_with("SigIgn")) {
            std::printf("%s\n", line.c_str());
        }
    }
    return 0;
}

int eat_memory() {
    for (;;) {
        constexpr std::size_t bytes = 1U << 20U;
        void* const block =
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) {
            return 9;
        }
        std::memset(block, 1, bytes);
    }
}

// Trains until it is told to stop: FIRST line "ready", last line the step at which it stopped.
int train() {
    std::printf("ready\n");
    std::fflush(stdout);
    for (std::uint64_t step = 0;; ++step) {
        if (mpitrain::client::should_stop(step)) {
            std::printf("stopped %llu\n", static_cast<unsigned long long>(step));
            return 0;
        }
        const std::array<mpitrain::client::Metric, 1> metrics = {{{"loss", 0.5}}};
        mpitrain::client::progress(step, 1000, metrics);
        ::usleep(1000);
    }
}

// More commits than the page keeps, then the end.
int commit(std::uint64_t count) {
    for (std::uint64_t step = 0; step < count; ++step) {
        mpitrain::client::checkpoint_committed(step);
    }
    return 0;
}

void die(int number) {
    const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_CORE, &none);
    ::signal(number, SIG_DFL);  // a sanitizer would make an exit of it
    ::raise(number);
}

int run(const std::vector<std::string>& words) {
    const std::string& what = words.at(0);
    const int number = words.size() > 1 ? std::atoi(words[1].c_str()) : 0;
    if (what == "lines") {
        return lines(number);
    }
    if (what == "die") {
        die(number);
    } else if (what == "wait") {
        std::printf("ready\n");
        std::fflush(stdout);
        pause_for_ever();
    } else if (what == "ignore-term") {
        ::signal(SIGTERM, SIG_IGN);
        std::printf("ready\n");
        std::fflush(stdout);
        pause_for_ever();
    } else if (what == "daemon" || what == "daemon-and-wait") {
        leave_daemon(true);
        leave_daemon(false);
        std::printf("ready\n");
        std::fflush(stdout);
        if (what == "daemon-and-wait") {
            pause_for_ever();
        }
    } else if (what == "fugitive") {
        leave_fugitive();
    } else if (what == "describe") {
        return describe();
    } else if (what == "eat-memory") {
        return eat_memory();
    } else if (what == "train") {
        return train();
    } else if (what == "commit") {
        return commit(static_cast<std::uint64_t>(number));
    } else if (what == "buffered-line") {
        std::printf("no flush\n");  // a terminal's line buffer is all that carries it out
        return std::getchar() == 'q' ? 0 : 1;
    }
    return number;
}

}  // namespace

int main(int argc, char** argv) {
    return run(std::vector<std::string>(argv + 1, argv + argc));
}
