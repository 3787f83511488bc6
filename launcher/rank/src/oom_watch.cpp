#include "oom_watch.hpp"

#include <algorithm>
#include <sstream>
#include <vector>

#include "text_file.hpp"

namespace mpitrain::rank {
namespace {

constexpr std::size_t proc_bytes_max = 1U << 20U;
constexpr const char* counter_v1 = "memory.oom_control";

bool has_option(const std::string& options, std::string_view wanted) {
    std::istringstream stream(options);
    for (std::string option; std::getline(stream, option, ',');) {
        if (option == wanted) {
            return true;
        }
    }
    return false;
}

std::uint64_t machine_wide_kills() {
    const auto text = read_file("/proc/vmstat", proc_bytes_max);
    return text ? number_behind(*text, "oom_kill").value_or(0) : 0;
}

}  // namespace

MemoryController MemoryController::parse(const std::string& mountinfo) {
    MemoryController found;
    std::istringstream lines(mountinfo);
    for (std::string line; std::getline(lines, line);) {
        // "36 35 98:0 /root /mount/point rw,noatime shared:1 - type source super,options" (proc(5))
        std::istringstream stream(line);
        std::vector<std::string> words;
        for (std::string word; stream >> word;) {
            words.push_back(word);
        }
        const auto dash = std::find(words.begin(), words.end(), "-");
        if (words.size() < 10 || words.end() - dash < 4) {
            continue;
        }
        const bool v1 = dash[1] == "cgroup" && has_option(dash[3], "memory");
        const bool v2 = dash[1] == "cgroup2" && found.version == Version::none;
        if (v1 || v2) {
            found = {v1 ? Version::v1 : Version::v2, words[4], words[3] == "/" ? "" : words[3]};
        }
        if (v1) {
            break;
        }
    }
    return found;
}

std::optional<std::string> MemoryController::path_in(const std::string& cgroup_text) const {
    std::istringstream lines(cgroup_text);
    for (std::string line; std::getline(lines, line);) {  // "4:memory:/a/b" or "0::/a/b"
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', std::min(first, line.size() - 1) + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const bool ours = version == Version::v1
                              ? has_option(controllers, "memory")
                              : version == Version::v2 && line.starts_with("0::");
        if (ours) {
            return line.substr(second + 1);
        }
    }
    return std::nullopt;
}

OomWatch::OomWatch() {
    if (const auto mounts = read_file("/proc/self/mountinfo", proc_bytes_max)) {
        controller_ = MemoryController::parse(*mounts);
    }
    start_ = place_of("self");
    seen_ = start_;  // with the count from before the program: a look may come after the kill
    machine_kills_ = machine_wide_kills();
}

bool OomWatch::needs_ticks() const {
    return controller_.version == MemoryController::Version::v1;
}

OomWatch::Place OomWatch::place_of(const std::string& process) const {
    const auto text = read_file("/proc/" + process + "/cgroup", proc_bytes_max);
    auto path = text ? controller_.path_in(*text) : std::nullopt;
    if (!path || !path->starts_with(controller_.root)) {
        return {};
    }
    *path = path->substr(controller_.root.size());
    const bool v1 = controller_.version == MemoryController::Version::v1;
    for (;;) {  // where the controller is not enabled for a cgroup, an ancestor does the accounts
        std::string file =
            controller_.mount_point + *path + "/" + (v1 ? counter_v1 : "memory.events");
        if (const auto counters = read_file(file, proc_bytes_max)) {
            if (const auto kills = number_behind(*counters, "oom_kill")) {
                return {std::move(file), *kills};
            }
        }
        const std::size_t slash = path->rfind('/');
        if (slash == std::string::npos || path->size() <= 1) {
            return {};
        }
        path->resize(slash);
    }
}

void OomWatch::tick(pid_t program) {
    const Place now = place_of(std::to_string(program));
    // The kernel says "/" of a process from the first moment of its exit, which takes long where
    // much memory is given back. What is looked up then would be counted as before its death.
    const bool exiting =
        now.file.empty() || now.file == controller_.mount_point + "//" + counter_v1;
    if (exiting && now.file != start_.file) {
        return;
    }
    if (now.file != seen_.file) {
        seen_ = now;
    }
    machine_kills_ = machine_wide_kills();
}

bool OomWatch::rose(const Place& now) const {
    if (now.file.empty()) {
        return false;
    }
    if (now.file == start_.file) {
        return now.kills > start_.kills;
    }
    return now.kills > (now.file == seen_.file ? seen_.kills : 0);
}

bool OomWatch::killed(pid_t program) const {
    if (rose(place_of(std::to_string(program)))) {
        return true;
    }
    if (controller_.version == MemoryController::Version::v2) {
        return false;
    }
    // Version 1 says "/" for the cgroup of the dead. Where it last was may still count; where the
    // program moved and died between two ticks, only the machine's counter tells, of this short
    // time.
    if (const auto counters = read_file(seen_.file, proc_bytes_max)) {
        if (number_behind(*counters, "oom_kill").value_or(0) > seen_.kills) {
            return true;
        }
    }
    return machine_wide_kills() > machine_kills_;
}

}  // namespace mpitrain::rank
