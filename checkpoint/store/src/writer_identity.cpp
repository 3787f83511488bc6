#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <utility>

#include "mpitrain/checkpoint/lease.hpp"

namespace mpitrain::checkpoint {
namespace {

std::string file_text(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// The machine's boot and the process namespace; empty when /proc tells neither.
std::string host_identity() {
    std::string boot = file_text("/proc/sys/kernel/random/boot_id");
    while (!boot.empty() && boot.back() == '\n') {
        boot.pop_back();
    }
    struct stat status {};
    if (boot.empty() || ::stat("/proc/self/ns/pid", &status) != 0) {
        return "";
    }
    return boot + ":" + std::to_string(status.st_ino);
}

// Field 22 of /proc/<pid>/stat, in clock ticks since boot; 0 when there is no such process. The
// second field is a name in parentheses that may hold anything, so fields are counted after it.
std::uint64_t start_of(std::int64_t process) {
    const std::string text = file_text("/proc/" + std::to_string(process) + "/stat");
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) {
        return 0;
    }
    std::istringstream fields(text.substr(name_end + 1));
    std::string field;
    fields >> field;
    if (field == "Z" || field == "X") {
        return 0;  // dead, and only not reaped yet, which may take its parent seconds
    }
    for (int index = 4; index <= 21; ++index) {
        fields >> field;
    }
    std::uint64_t start = 0;
    fields >> start;
    return start;
}

}  // namespace

WriterIdentity this_process(std::string job, std::uint64_t attempt) {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) {
        name[0] = '?';
    }
    const std::int64_t process = ::getpid();
    return {std::move(job), attempt, name.data(), host_identity(), process, start_of(process)};
}

bool is_known_dead(const WriterIdentity& writer) {
    const std::string here = host_identity();
    return !here.empty() && writer.host == here && start_of(writer.process) != writer.process_start;
}

}  // namespace mpitrain::checkpoint
