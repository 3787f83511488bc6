#include "in_child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <string_view>

namespace mpitrain::topology {
namespace {

constexpr unsigned seconds_max = 10;
#if !defined(MPITRAIN_SANITIZED)  // whose shadow takes terabytes of address space
constexpr rlim_t memory_max = rlim_t{4} << 30;
#endif
constexpr std::size_t answer_max = std::size_t{256} << 20;

// An answer on the wire: a kind, and for errors the code, what and mend; a last byte tells that it
// is whole.
constexpr char is_topology = 'T';
constexpr char is_error = 'E';
constexpr char separator = '\x1f';
constexpr char end_mark = '\x04';

std::string encode(const Result<NodeTopology>& answer) {
    if (answer) {
        return is_topology + to_json(*answer) + end_mark;
    }
    const Error& error = answer.error();
    std::string text(1, is_error);
    text += static_cast<char>('0' + static_cast<int>(error.code()));
    return text + error.what() + separator + error.mend() + end_mark;
}

Error did_not_survive(std::string_view how) {
    return Error(ErrorCode::invalid_argument, fmt::format("hwloc does not survive this: {}", how))
        .mend("export the machine anew with lstopo --of xml");
}

Result<NodeTopology> decode(std::string_view text) {
    if (text.size() < 2 || text.back() != end_mark) {
        return did_not_survive("no answer");
    }
    const std::string_view body = text.substr(1, text.size() - 2);
    if (text[0] == is_topology) {
        return topology_from_json(body);
    }
    const std::size_t middle = body.find(separator);
    const int code = body.empty() ? -1 : body[0] - '0';
    if (middle == std::string_view::npos || code < 0 ||
        code > static_cast<int>(ErrorCode::internal)) {
        return did_not_survive("no answer");
    }
    return Error(static_cast<ErrorCode>(code), std::string(body.substr(1, middle - 1)))
        .mend(body.substr(middle + 1));
}

// The parent's handlers and streams are none of the child's business.
void become_harmless() {
    for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGALRM}) {
        struct sigaction action {};
        action.sa_handler = SIG_DFL;
        sigaction(signal, &action, nullptr);
    }
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDERR_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
#if !defined(MPITRAIN_SANITIZED)
    const rlimit memory{memory_max, memory_max};
    setrlimit(RLIMIT_AS, &memory);
#endif
    alarm(seconds_max);  // ends the child by itself, so the parent need not watch a clock
}

bool write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const ssize_t wrote = write(file, text.data(), text.size());
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        text.remove_prefix(wrote > 0 ? static_cast<std::size_t>(wrote) : 0);
    }
    return true;
}

std::string read_all(int file) {
    std::string text;
    std::array<char, 1 << 16> buffer;
    while (text.size() <= answer_max) {
        const ssize_t got = read(file, buffer.data(), buffer.size());
        if (got > 0) {
            text.append(buffer.data(), static_cast<std::size_t>(got));
        } else if (got == 0 || errno != EINTR) {
            break;
        }
    }
    return text;
}

[[noreturn]] void run_child(const std::function<Result<NodeTopology>()>& work, int answer) {
    become_harmless();
    bool written = false;
    try {
        written = write_all(answer, encode(work()));
    } catch (const std::exception&) {  // out of memory within the limit
    }
    _exit(written ? 0 : 1);
}

// How the child ended, where that is the answer.
Result<void> reap(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return system_error(errno, "wait for the child that reads the topology", "");
        }
    }
    if (WIFSIGNALED(status)) {
        return did_not_survive(WTERMSIG(status) == SIGALRM
                                   ? fmt::format("more than {} s", seconds_max)
                                   : fmt::format("signal {}", WTERMSIG(status)));
    }
    return {};
}

}  // namespace

Result<NodeTopology> in_child(const std::function<Result<NodeTopology>()>& work) {
    std::array<int, 2> pipe_ends{};
    if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) {
        return system_error(errno, "make a pipe to read the topology", "");
    }
    const pid_t child = fork();
    const int reason = errno;
    if (child == 0) {
        run_child(work, pipe_ends[1]);
    }
    close(pipe_ends[1]);
    if (child < 0) {
        close(pipe_ends[0]);
        return system_error(reason, "start a child to read the topology", "");
    }
    const std::string answer = read_all(pipe_ends[0]);
    close(pipe_ends[0]);
    MPITRAIN_TRY_VOID(reap(child));
    return decode(answer);
}

}  // namespace mpitrain::topology
