#include "doctor.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "capture.hpp"
#include "mpitrain/base/number.hpp"
#include "mpitrain/cli/beside_us.hpp"
#include "mpitrain/cli/command.hpp"
#include "mpitrain/supervise/slot_registry.hpp"
#include "mpitrain/topology/discover.hpp"

namespace mpitrain::cli {
namespace {

using namespace std::chrono_literals;

Finding ok(std::string what, std::string found) {
    return {Health::ok, std::move(what), std::move(found), ""};
}
Finding warn(std::string what, std::string found, std::string mend) {
    return {Health::warn, std::move(what), std::move(found), std::move(mend)};
}
Finding fail(std::string what, std::string found, std::string mend) {
    return {Health::fail, std::move(what), std::move(found), std::move(mend)};
}

std::string first_line(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

Finding examine_mpirun() {
    const auto text = capture({"mpirun", "--version"}, 5s);
    if (!text) {
        return fail("mpirun", text.error().what(), "install Open MPI: apt-get install openmpi-bin");
    }
    const std::string line = first_line(*text);
    if (line.find("Open MPI") == std::string::npos && line.find("OpenRTE") == std::string::npos) {
        return fail("mpirun", line, "put Open MPI's mpirun first in PATH");
    }
    const std::string version = line.substr(line.rfind(' ') + 1);
    const std::string_view major = std::string_view(version).substr(0, version.find('.'));
    if (parse_integer(major, 4, 99)) {
        return ok("mpirun", line);
    }
    return warn("mpirun", line, "mpitrain is tested with Open MPI 4.1 and later");
}

Finding examine_agent() {
    const auto agent = find_program_beside_us("mpitrain-rank");
    if (!agent) {
        return fail("mpitrain-rank", agent.error().what(), agent.error().mend());
    }
    const auto text = capture({*agent, "--version"}, 5s);
    if (!text) {
        return fail("mpitrain-rank", text.error().text(), "install all of mpitrain from one build");
    }
    const std::string wanted = fmt::format("mpitrain-rank {}", version());
    if (first_line(*text) != wanted) {
        return fail("mpitrain-rank",
                    fmt::format("{} says '{}', not '{}'", *agent, first_line(*text), wanted),
                    "install all of mpitrain from one build");
    }
    return ok("mpitrain-rank", fmt::format("{} at {}", version(), *agent));
}

Finding examine_client() {
    const std::string library = find_library_beside_us("libmpitrain_client.so");
    return library.empty() ? warn("client library",
                                  "libmpitrain_client.so is not there",
                                  "needed by programs that load it at run time, as Python's do: "
                                  "install all of mpitrain")
                           : ok("client library", library);
}

void examine_topology(std::vector<Finding>& findings) {
    const auto topology = topology::discover(topology::DiscoverOptions::from_environment());
    if (!topology) {
        findings.push_back(fail("topology", topology.error().text(), topology.error().mend()));
        return;
    }
    const bool has_gpus = !topology->slots.empty() && topology->slots.front().kind == SlotKind::gpu;
    findings.push_back(ok("topology",
                          fmt::format("{} {} slots, {} cores, {} NUMA nodes",
                                      topology->slots.size(),
                                      has_gpus ? "GPU" : "CPU",
                                      topology->cores.size(),
                                      topology->numa_nodes.size())));
    findings.push_back(
        topology->pinning_allowed
            ? ok("core binding", "each rank gets its own cores")
            : warn("core binding",
                   "a CPU quota without a cpuset: ranks are not pinned",
                   "give the container a cpuset (--cpuset-cpus) to have them pinned"));
    for (const std::string& warning : topology->warnings) {
        findings.push_back(warn("topology", warning, ""));
    }
    const bool has_driver = access("/proc/driver/nvidia/version", R_OK) == 0;
    if (has_gpus) {
        findings.push_back(
            ok("GPUs",
               fmt::format(
                   "{} × {}", topology->slots.size(), topology->slots.front().gpus.front().model)));
    } else if (has_driver) {
        findings.push_back(warn("GPUs",
                                "an NVIDIA driver is loaded, but no GPU may be used",
                                "check CUDA_VISIBLE_DEVICES and the rights on /dev/nvidia*"));
    } else {
        findings.push_back(ok("GPUs", "none: slots are cores"));
    }
    if (has_driver) {
        void* library = dlopen("libnvidia-ml.so.1", RTLD_LAZY | RTLD_LOCAL);
        findings.push_back(
            library != nullptr
                ? ok("NVML", "libnvidia-ml.so.1")
                : warn("NVML",
                       "libnvidia-ml.so.1 cannot be loaded",
                       "GPUs have no UUID without it: install the driver's libraries"));
        if (library != nullptr) {
            dlclose(library);
        }
    }
}

// Open MPI's shared-memory transport and the control pages live there.
Finding examine_shared_memory() {
    const std::string path = fmt::format("/dev/shm/mpitrain-doctor-{}", getpid());
    const int file = open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (file < 0) {
        const Error error = system_error(errno, "create a file", "/dev/shm");
        return fail(
            "shared memory", error.text(), "mount a tmpfs at /dev/shm that you may write to");
    }
    close(file);
    unlink(path.c_str());
    struct statvfs status {};
    if (statvfs("/dev/shm", &status) != 0) {
        return fail("shared memory",
                    system_error(errno, "look at", "/dev/shm").text(),
                    "mount a tmpfs at /dev/shm");
    }
    const Bytes free(static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize);
    constexpr std::uint64_t enough = 128ULL << 20U;  // MPI wants some MiB a rank
    return free.count() < enough
               ? warn("shared memory",
                      fmt::format("{} free in /dev/shm", free.to_string()),
                      "give it more: docker run --shm-size=1g, or remount it larger")
               : ok("shared memory", fmt::format("{} free in /dev/shm", free.to_string()));
}

Finding examine_locks() {
    const auto registry = SlotRegistry::open();
    return registry ? ok("slot registry", registry->directory())
                    : fail("slot registry", registry.error().text(), registry.error().mend());
}

Finding examine_limit(std::string what,
                      __rlimit_resource resource,
                      rlim_t enough,
                      std::string_view mend) {
    rlimit limit{};
    getrlimit(resource, &limit);
    const std::string found =
        limit.rlim_cur == RLIM_INFINITY ? "unlimited" : fmt::format("{}", limit.rlim_cur);
    return limit.rlim_cur >= enough ? ok(std::move(what), found)
                                    : warn(std::move(what), found, std::string(mend));
}

Finding examine_cgroup() {
    const bool is_unified = access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0;
    if (is_unified && access("/sys/fs/cgroup/cgroup.procs", W_OK) == 0) {
        return ok("cgroup", "version 2, writable");
    }
    return ok("cgroup",
              is_unified ? "version 2, not writable: leftovers are found as descendants"
                         : "no version 2: leftovers are found as descendants");
}

Finding examine_checkpoints() {
    const auto tool = find_program_beside_us("mpitrain-ckpt");
    return tool ? ok("mpitrain-ckpt", *tool)
                : warn("mpitrain-ckpt",
                       "not there",
                       "mpitrain ckpt needs it: build and install all of mpitrain");
}

Finding examine_optional(std::string what, std::vector<std::string> command, std::string mend) {
    const auto text = capture(std::move(command), 5s);
    return text ? ok(std::move(what), first_line(*text))
                : warn(std::move(what), text.error().what(), std::move(mend));
}

}  // namespace

std::vector<Finding> examine() {
    std::vector<Finding> findings;
    findings.push_back(ok("mpitrain", std::string(version())));
    findings.push_back(examine_agent());
    findings.push_back(examine_mpirun());
    examine_topology(findings);
    findings.push_back(examine_shared_memory());
    findings.push_back(examine_locks());
    findings.push_back(examine_limit(
        "open files", RLIMIT_NOFILE, 1024, "raise it with ulimit -n: a rank needs about eight"));
    findings.push_back(
        examine_limit("processes",
                      RLIMIT_NPROC,
                      4096,
                      "raise it with ulimit -u: a rank needs three and its threads"));
    findings.push_back(examine_cgroup());
    findings.push_back(examine_checkpoints());
    findings.push_back(examine_client());
    findings.push_back(
        examine_optional("h5dump",
                         {"h5dump", "--version"},
                         "only to look into checkpoints: apt-get install hdf5-tools"));
    findings.push_back(examine_optional(
        "ssh", {"ssh", "-V"}, "only for jobs on several machines: apt-get install openssh-client"));
    return findings;
}

}  // namespace mpitrain::cli
