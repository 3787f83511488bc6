// The signal handler may interrupt any code, so it calls nothing that allocates or takes a lock
// that the interrupted thread may hold: glibc's backtrace() once it has been called before,
// backtrace_symbols_fd(), write(), and CPython's own dump, which is made for signal handlers.
#include "stack_reporter.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace mpitrain::recorder {

namespace {

constexpr int frames_max = 64;
constexpr int own_frames = 2;  // the handler, and the kernel's way back out of it

// CPython exports it, for its faulthandler; null as interpreter and thread: find them yourself.
using DumpPython = const char* (*)(int fd, void* interpreter, void* current);

struct Reporter {
    OperationPage* page = nullptr;
    DumpPython dump_python = nullptr;
    std::array<char, 512> path{};
    std::atomic_flag writing = ATOMIC_FLAG_INIT;  // one thread after another
};

Reporter& reporter() {
    static Reporter all;
    return all;
}

void put(int fd, const char* text) {
    static_cast<void>(!::write(fd, text, std::strlen(text)));
}

void write_stack(Reporter& to, int fd) {
    const auto thread = static_cast<pid_t>(::syscall(SYS_gettid));
    std::array<char, 64> line{};
    static_cast<void>(std::snprintf(line.data(), line.size(), "thread %d\n", thread));
    put(fd, line.data());
    std::array<void*, frames_max> frames{};
    const int count = ::backtrace(frames.data(), frames_max);
    if (count > own_frames) {
        ::backtrace_symbols_fd(frames.data() + own_frames, count - own_frames, fd);
    }
    if (thread == ::getpid() && to.dump_python != nullptr) {
        put(fd, "Python\n");
        if (const char* problem = to.dump_python(fd, nullptr, nullptr)) {
            put(fd, problem);
            put(fd, "\n");
        }
    }
}

void on_signal(int /*signal*/) {
    const int kept = errno;
    Reporter& to = reporter();
    constexpr int turns_max = 100'000;  // a thread that died while it wrote holds nobody for ever
    for (int turn = 0; to.writing.test_and_set() && turn < turns_max; ++turn) {
        ::sched_yield();
    }
    const int fd =
        ::open(to.path.data(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        write_stack(to, fd);
        ::close(fd);
    }
    to.writing.clear();
    to.page->stacks_written.fetch_add(1);
    errno = kept;
}

}  // namespace

void answer_with_stacks(OperationPage& page, const char* control_path) {
    const int signal = SIGRTMAX - 3;
    struct sigaction found {};
    if (::sigaction(signal, nullptr, &found) != 0 || found.sa_handler != SIG_DFL) {
        return;
    }
    Reporter& to = reporter();
    const int length = std::snprintf(to.path.data(), to.path.size(), "%s.stacks", control_path);
    if (length < 0 || static_cast<std::size_t>(length) >= to.path.size()) {
        return;
    }
    to.page = &page;
    to.dump_python =
        reinterpret_cast<DumpPython>(::dlsym(RTLD_DEFAULT, "_Py_DumpTracebackThreads"));
    std::array<void*, 1> once{};
    ::backtrace(once.data(), 1);  // loads what it needs, which a handler must not
    struct sigaction action {};
    action.sa_handler = &on_signal;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    if (::sigaction(signal, &action, nullptr) == 0) {
        page.stacks_signal.store(static_cast<std::uint64_t>(signal));
    }
}

}  // namespace mpitrain::recorder
