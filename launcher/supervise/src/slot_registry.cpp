#include "mpitrain/supervise/slot_registry.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <array>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "mpitrain/base/number.hpp"

namespace mpitrain {
namespace {

bool make_sticky_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 01777) == 0) {
        // mkdir(2) is subject to the umask; every user must be able to add a lock file.
        return ::chmod(path.c_str(), 01777) == 0;
    }
    struct stat status {};
    return errno == EEXIST && ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

std::string name_of_user(uid_t id) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 4096> memory{};
    ::getpwuid_r(id, &entry, memory.data(), memory.size(), &found);
    return found != nullptr ? found->pw_name : std::to_string(id);
}

std::string describe_process(int pid) {
    struct stat status {};
    const std::string proc = fmt::format("/proc/{}", pid);
    if (::stat(proc.c_str(), &status) != 0) {
        return fmt::format("pid {}", pid);
    }
    return fmt::format(
        "pid {} ({}, {})", pid, name_of_user(status.st_uid), first_line(proc + "/comm"));
}

// Zombies hold nothing, but answer kill(pid, 0).
bool is_running(int pid) {
    const std::string stat = first_line(fmt::format("/proc/{}/stat", pid));
    const std::size_t state = stat.rfind(") ");
    return state != std::string::npos && stat[state + 2] != 'Z' && stat[state + 2] != 'X';
}

}  // namespace

Resources resources_of(const Slot& slot) {
    Resources resources{.cpus = slot.cpus, .gpus = {}};
    for (const Gpu& gpu : slot.gpus) {
        resources.gpus.push_back(gpu.uuid.empty() ? gpu.pci.to_string() : gpu.uuid);
    }
    return resources;
}

std::vector<std::string> lock_names(const Resources& wanted) {
    std::vector<std::string> names;
    for (const int cpu : wanted.cpus.members()) {
        names.push_back(fmt::format("cpu-{}", cpu));
    }
    for (const std::string& gpu : wanted.gpus) {
        names.push_back(fmt::format("gpu-{}", gpu));
    }
    return names;
}

Result<SlotRegistry> SlotRegistry::open() {
    if (const char* chosen = std::getenv("MPITRAIN_LOCK_DIR");
        chosen != nullptr && *chosen != '\0') {
        if (!make_sticky_directory(chosen)) {
            return system_error(errno, "make the lock directory", chosen);
        }
        return SlotRegistry(chosen);
    }
    for (const char* path : {"/run/lock/mpitrain", "/tmp/mpitrain-lock"}) {
        if (make_sticky_directory(path)) {
            return SlotRegistry(path);
        }
    }
    return system_error(errno, "make the lock directory", "/tmp/mpitrain-lock");
}

Result<UniqueFd> SlotRegistry::lock(const std::string& name, bool shared) const {
    const std::string path = directory_ + "/" + name;
    // Without O_CREAT first: in a sticky directory the kernel refuses O_CREAT on another user's
    // file (fs.protected_regular).
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd && errno == ENOENT) {
        fd.reset(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0444));
        if (!fd && (errno == EACCES || errno == EEXIST)) {  // somebody else made it meanwhile
            fd.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
        }
    }
    if (!fd) {
        return system_error(errno, "open the slot lock", path);
    }
    if (::flock(fd.get(), (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            return Error(ErrorCode::resource_exhausted, fmt::format("{} is taken", name));
        }
        return system_error(errno, "lock", path);
    }
    return fd;
}

Result<SlotClaim> SlotRegistry::try_claim(const Resources& wanted) const {
    SlotClaim claim;
    for (const std::string& name : lock_names(wanted)) {
        auto fd = lock(name, wanted.share_cpus && name.starts_with("cpu-"));
        if (!fd) {
            if (fd.error().code() == ErrorCode::resource_exhausted) {
                return Error(ErrorCode::resource_exhausted,
                             fmt::format("{} is taken by {}", name, holder(wanted)));
            }
            return std::move(fd).error();
        }
        claim.locks.push_back(*std::move(fd));
    }
    return claim;
}

bool SlotRegistry::is_free(const Resources& wanted) const {
    return try_claim(wanted).has_value();
}

// The kernel lists every flock with the process that took it: "1: FLOCK  ADVISORY  WRITE 123
// 00:1a:4711 0 EOF".
std::vector<int> SlotRegistry::holder_pids(const Resources& wanted) const {
    std::vector<std::string> inodes;
    for (const std::string& name : lock_names(wanted)) {
        struct stat status {};
        if (::stat((directory_ + "/" + name).c_str(), &status) == 0) {
            inodes.push_back(fmt::format(
                "{:02x}:{:02x}:{}", major(status.st_dev), minor(status.st_dev), status.st_ino));
        }
    }
    std::vector<int> pids;
    std::ifstream locks("/proc/locks");
    for (std::string line; std::getline(locks, line);) {
        std::istringstream words(line);
        std::string number;
        std::string kind;
        std::string mode;
        std::string access;
        std::string pid;
        std::string inode;
        words >> number >> kind >> mode >> access >> pid >> inode;
        const auto value = parse_integer(pid, 1, INT32_MAX);
        if (kind == "FLOCK" && value && std::ranges::find(inodes, inode) != inodes.end() &&
            std::ranges::find(pids, static_cast<int>(*value)) == pids.end()) {
            pids.push_back(static_cast<int>(*value));
        }
    }
    return pids;
}

std::string SlotRegistry::holder(const Resources& wanted) const {
    std::string text;
    for (const int pid : holder_pids(wanted)) {
        text += text.empty() ? "" : ", ";
        text += is_running(pid) ? describe_process(pid) : fmt::format("the remains of pid {}", pid);
    }
    return text;
}

bool SlotRegistry::is_being_released(const Resources& wanted) const {
    const std::vector<int> pids = holder_pids(wanted);
    return std::ranges::any_of(pids, [](int pid) { return !is_running(pid); });
}

}  // namespace mpitrain
