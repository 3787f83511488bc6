#include "stacks.hpp"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>

#include "process_tree.hpp"
#include "text_file.hpp"

namespace mpitrain::rank {

namespace {

constexpr int threads_max = 16;
constexpr std::size_t status_bytes_max = 8192;

// Whether the mask in the line `name` of /proc/PID/status holds the signal.
bool mask_holds(const std::string& status, const std::string& name, int signal) {
    const std::size_t line = status.find("\n" + name + ":");
    if (line == std::string::npos) {
        return false;
    }
    const std::size_t digits = status.find_first_of("0123456789abcdef", line + name.size() + 2);
    std::uint64_t mask = 0;
    if (digits == std::string::npos) {
        return false;
    }
    std::from_chars(status.data() + digits, status.data() + status.size(), mask, 16);
    return ((mask >> static_cast<unsigned>(signal - 1)) & 1U) != 0;
}

bool is_below_us(pid_t pid) {
    const auto all = living_descendants(::getpid());
    return std::any_of(all.begin(), all.end(), [pid](const ProcessStat& process) {
        return process.pid == pid && process.state != 'T' && process.state != 't';
    });
}

}  // namespace

int ask_for_stacks(pid_t pid, int signal) {
    if (signal < SIGRTMIN || signal > SIGRTMAX || !is_below_us(pid)) {
        return 0;
    }
    const std::string threads = "/proc/" + std::to_string(pid) + "/task";
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(threads.c_str()), &::closedir);
    int asked = 0;
    while (directory && asked < threads_max) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this function's alone
        const dirent* entry = ::readdir(directory.get());
        if (entry == nullptr) {
            break;
        }
        const auto thread = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
        const std::string status =
            read_file(threads + "/" + entry->d_name + "/status", status_bytes_max).value_or("");
        const bool answers =
            mask_holds(status, "SigCgt", signal) && !mask_holds(status, "SigBlk", signal);
        if (thread > 0 && answers && ::syscall(SYS_tgkill, pid, thread, signal) == 0) {
            ++asked;
        }
    }
    return asked;
}

}  // namespace mpitrain::rank
