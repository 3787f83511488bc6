#include "limits.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>

#include "mpitrain/base/number.hpp"
#include "text_file.hpp"

namespace mpitrain::topology {
namespace {

constexpr double number_max = 1e15;

// Where one cgroup hierarchy is mounted, and which part of it is visible there.
struct Mount {
    std::string point;
    std::string root;
    bool is_v2 = false;
    std::vector<std::string> controllers;  // version 1
};

// The kernel writes blank, tab, newline and backslash as \040 and the like.
std::string unescape(std::string_view text) {
    std::string plain;
    for (std::size_t index = 0; index < text.size(); ++index) {
        const std::string_view digits = text.substr(index + 1).substr(0, 3);
        const bool octal = text[index] == '\\' && digits.size() == 3 &&
                           digits.find_first_not_of("01234567") == std::string_view::npos;
        if (octal) {
            plain += static_cast<char>((digits[0] - '0') * 64 + (digits[1] - '0') * 8 +
                                       (digits[2] - '0'));
            index += 3;
        } else {
            plain += text[index];
        }
    }
    return plain;
}

std::vector<Mount> cgroup_mounts(std::string_view mountinfo) {
    std::vector<Mount> mounts;
    for (const std::string_view line : split(mountinfo, '\n')) {
        const std::size_t dash = line.find(" - ");
        if (dash == std::string_view::npos) {
            continue;
        }
        const auto before = split(line.substr(0, dash), ' ');
        const auto after = split(line.substr(dash + 3), ' ');
        const bool is_cgroup = after[0] == "cgroup" || after[0] == "cgroup2";
        if (!is_cgroup || before.size() < 5) {
            continue;
        }
        Mount mount{unescape(before[4]), unescape(before[3]), after[0] == "cgroup2", {}};
        if (after.size() >= 3) {
            for (const std::string_view option : split(after[2], ',')) {
                mount.controllers.emplace_back(option);
            }
        }
        mounts.push_back(std::move(mount));
    }
    return mounts;
}

bool is_below(std::string_view path, std::string_view root) {
    return path.substr(0, root.size()) == root &&
           (path.size() == root.size() || path[root.size()] == '/');
}

// The directories of this process's cgroup in a hierarchy, from its own up to the mount point.
std::vector<std::string> directories(const Mount& mount, std::string_view path) {
    const std::string_view root = mount.root == "/" ? std::string_view() : mount.root;
    // A path that is not below the mount's root belongs to another namespace: only the mount itself
    // is ours.
    std::string below;
    if (is_below(path, root) && path.find("..") == std::string_view::npos) {
        below = path.substr(root.size());
    }
    std::vector<std::string> found;
    while (below.size() > 1) {
        found.push_back(mount.point + below);
        below.erase(below.rfind('/'));
    }
    found.push_back(mount.point);
    return found;
}

std::optional<double> quotient(std::string_view quota, std::string_view period) {
    const auto quota_us = parse_number(trim(quota));
    const auto period_us = parse_number(trim(period));
    if (!quota_us || !period_us || *quota_us <= 0 || *period_us <= 0 || *quota_us > number_max) {
        return std::nullopt;  // "max", or -1: no limit
    }
    return *quota_us / *period_us;
}

std::optional<double> quota_of(const std::string& directory, bool is_v2) {
    if (is_v2) {
        const std::string text = read_text(directory + "/cpu.max").value_or("");
        const auto parts = split(trim(text), ' ');
        return parts.size() == 2 ? quotient(parts[0], parts[1]) : std::nullopt;
    }
    const auto quota = read_text(directory + "/cpu.cfs_quota_us");
    const auto period = read_text(directory + "/cpu.cfs_period_us");
    return quota && period ? quotient(*quota, *period) : std::nullopt;
}

void add_cpuset(const std::string& directory, bool is_v2, CpuLimits& limits) {
    const auto text =
        read_text(directory + (is_v2 ? "/cpuset.cpus.effective" : "/cpuset.effective_cpus"));
    const auto cpus = CpuSet::parse(trim(text.value_or("")));
    if (cpus && !cpus->empty()) {
        limits.cpus = limits.cpus ? *limits.cpus & *cpus : *cpus;
    }
}

void add_hierarchy(const std::string& root,
                   const Mount& mount,
                   std::string_view path,
                   CpuLimits& limits) {
    bool own = true;
    for (const std::string& directory : directories(mount, path)) {
        if (const auto quota = quota_of(root + directory, mount.is_v2)) {
            limits.quota = std::min(limits.quota.value_or(*quota), *quota);
        }
        if (own) {
            add_cpuset(root + directory, mount.is_v2, limits);
            own = false;
        }
    }
}

std::optional<CpuSet> current_affinity() {
    // The kernel refuses a mask smaller than its own, whose size it does not tell.
    for (int cpus = 1024; cpus <= CpuSet::max_cpu; cpus *= 2) {
        cpu_set_t* mask = CPU_ALLOC(static_cast<std::size_t>(cpus));
        if (mask == nullptr) {
            return std::nullopt;
        }
        const std::size_t size = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
        const int code = sched_getaffinity(0, size, mask);
        const int reason = errno;
        CpuSet set;
        for (int cpu = 0; code == 0 && cpu < cpus; ++cpu) {
            if (CPU_ISSET_S(static_cast<std::size_t>(cpu), size, mask)) {
                set.add(cpu);
            }
        }
        CPU_FREE(mask);
        if (code == 0) {
            return set;
        }
        if (reason != EINVAL) {
            return std::nullopt;
        }
    }
    return std::nullopt;
}

}  // namespace

CpuLimits read_cgroup_limits(const std::string& root) {
    CpuLimits limits;
    const std::string prefix = root == "/" ? std::string() : root;
    const auto cgroups = read_text(prefix + "/proc/self/cgroup");
    const auto mountinfo = read_text(prefix + "/proc/self/mountinfo");
    if (!cgroups || !mountinfo) {
        return limits;
    }
    const std::vector<Mount> mounts = cgroup_mounts(*mountinfo);
    for (const std::string_view line : split(*cgroups, '\n')) {
        const std::size_t first = line.find(':');
        const std::size_t second = line.find(':', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) {
            continue;
        }
        const std::string_view names = line.substr(first + 1, second - first - 1);
        for (const Mount& mount : mounts) {
            const auto controllers = split(names, ',');
            const bool same = std::any_of(
                controllers.begin(), controllers.end(), [&mount](std::string_view name) {
                    return (name == "cpu" || name == "cpuset") &&
                           std::find(mount.controllers.begin(), mount.controllers.end(), name) !=
                               mount.controllers.end();
                });
            if (mount.is_v2 ? names.empty() : same) {
                add_hierarchy(prefix, mount, line.substr(second + 1), limits);
            }
        }
    }
    return limits;
}

CpuLimits read_cpu_limits(const std::string& root) {
    CpuLimits limits = read_cgroup_limits(root);
    if (const auto affinity = current_affinity()) {
        const CpuSet both = limits.cpus ? *limits.cpus & *affinity : *affinity;
        // The affinity is what the kernel obeys; a cpuset read from the wrong place must not empty
        // it.
        limits.cpus = both.empty() ? *affinity : both;
    }
    return limits;
}

}  // namespace mpitrain::topology
