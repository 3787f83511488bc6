#include "sight.hpp"

#include <dirent.h>

#include <cstdlib>
#include <ctime>
#include <memory>

#include "text_file.hpp"

namespace mpitrain::rank {

namespace {

constexpr std::size_t file_bytes_max = 4096;
constexpr int threads_max = 64;

std::string first_line(const std::string& path) {
    std::string text = read_file(path, file_bytes_max).value_or("");
    return text.substr(0, text.find('\n'));
}

// The letter after the name, which stands in parentheses and may hold any character.
std::string state_of(const std::string& stat) {
    const std::size_t close = stat.rfind(')');
    return close == std::string::npos || close + 2 >= stat.size() ? "" : stat.substr(close + 2, 1);
}

std::string describe_thread(const std::string& directory, const std::string& id) {
    const std::string path = directory + "/" + id;
    const std::string call = first_line(path + "/syscall");
    std::string line =
        id + " " + state_of(first_line(path + "/stat")) + " " + first_line(path + "/comm");
    const std::string wait = first_line(path + "/wchan");
    if (!wait.empty() && wait != "0") {
        line += ", in " + wait;
    }
    if (!call.empty() && call != "running") {
        line += ", system call " + call.substr(0, call.find(' '));
    }
    return line + "\n";
}

}  // namespace

wire::Inspected look_at_process(pid_t pid) {
    wire::Inspected seen;
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    seen.now_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
                  static_cast<std::uint64_t>(now.tv_nsec);
    const std::string process = "/proc/" + std::to_string(pid);
    seen.state = state_of(first_line(process + "/stat"));
    const std::string threads = process + "/task";
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(threads.c_str()), &::closedir);
    for (int count = 0; directory && count < threads_max;) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this function's alone
        const dirent* entry = ::readdir(directory.get());
        if (entry == nullptr) {
            break;
        }
        const std::string id = entry->d_name;
        if (id.find_first_not_of("0123456789") == std::string::npos) {
            seen.threads += describe_thread(threads, id);
            ++count;
        }
    }
    return seen;
}

}  // namespace mpitrain::rank
