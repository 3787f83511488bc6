#include <dlfcn.h>
#include <fmt/format.h>

#include <array>

#include "driver.hpp"

// NVML by its documented C interface, declared here because its header is not free of the CUDA
// toolkit and the library is opened at run time only.
namespace mpitrain::topology {
namespace {

using NvmlDevice = void*;
constexpr int nvml_success = 0;
constexpr unsigned links_max = 18;
constexpr unsigned devices_max = 128;
constexpr unsigned remote_is_switch = 2;
constexpr unsigned remote_is_unknown = 255;

struct NvmlPci {
    char bus_id_legacy[16];
    unsigned domain;
    unsigned bus;
    unsigned device;
    unsigned device_id;
    unsigned subsystem_id;
    char bus_id[32];
};

// The functions used; one that a driver is too old to have stays null and its fact unknown.
struct NvmlCalls {
    int (*init)() = nullptr;
    int (*shutdown)() = nullptr;
    int (*count)(unsigned*) = nullptr;
    int (*handle)(unsigned, NvmlDevice*) = nullptr;
    int (*pci)(NvmlDevice, NvmlPci*) = nullptr;
    int (*uuid)(NvmlDevice, char*, unsigned) = nullptr;
    int (*name)(NvmlDevice, char*, unsigned) = nullptr;
    int (*minor)(NvmlDevice, unsigned*) = nullptr;
    int (*mig_mode)(NvmlDevice, unsigned*, unsigned*) = nullptr;
    int (*mig_count)(NvmlDevice, unsigned*) = nullptr;
    int (*mig_handle)(NvmlDevice, unsigned, NvmlDevice*) = nullptr;
    int (*link_state)(NvmlDevice, unsigned, unsigned*) = nullptr;
    int (*link_version)(NvmlDevice, unsigned, unsigned*) = nullptr;
    int (*link_peer)(NvmlDevice, unsigned, NvmlPci*) = nullptr;
    int (*link_peer_type)(NvmlDevice, unsigned, unsigned*) = nullptr;
};

template <typename Function>
void resolve(void* library, const char* name, Function& function) {
    // POSIX promises that an object pointer of dlsym can be made a function pointer.
    function = reinterpret_cast<Function>(dlsym(library, name));
}

NvmlCalls resolve_calls(void* library) {
    NvmlCalls calls;
    resolve(library, "nvmlInit_v2", calls.init);
    resolve(library, "nvmlShutdown", calls.shutdown);
    resolve(library, "nvmlDeviceGetCount_v2", calls.count);
    resolve(library, "nvmlDeviceGetHandleByIndex_v2", calls.handle);
    resolve(library, "nvmlDeviceGetPciInfo_v3", calls.pci);
    resolve(library, "nvmlDeviceGetUUID", calls.uuid);
    resolve(library, "nvmlDeviceGetName", calls.name);
    resolve(library, "nvmlDeviceGetMinorNumber", calls.minor);
    resolve(library, "nvmlDeviceGetMigMode", calls.mig_mode);
    resolve(library, "nvmlDeviceGetMaxMigDeviceCount", calls.mig_count);
    resolve(library, "nvmlDeviceGetMigDeviceHandleByIndex", calls.mig_handle);
    resolve(library, "nvmlDeviceGetNvLinkState", calls.link_state);
    resolve(library, "nvmlDeviceGetNvLinkVersion", calls.link_version);
    resolve(library, "nvmlDeviceGetNvLinkRemotePciInfo_v2", calls.link_peer);
    resolve(library, "nvmlDeviceGetNvLinkRemoteDeviceType", calls.link_peer_type);
    return calls;
}

bool is_complete(const NvmlCalls& calls) {
    return calls.init != nullptr && calls.shutdown != nullptr && calls.count != nullptr &&
           calls.handle != nullptr && calls.pci != nullptr && calls.uuid != nullptr &&
           calls.name != nullptr;
}

// True when a function that may be missing is there and succeeds.
template <typename Function, typename... Arguments>
bool succeeds(Function function, Arguments... arguments) {
    return function != nullptr && function(arguments...) == nvml_success;
}

PciAddress address_of(const NvmlPci& pci) {
    return {pci.domain, pci.bus, pci.device, 0};
}

// NVML's own numbering: 1.0 2.0 2.2 3.0 3.1 4.0 5.0.
int link_mb_s(unsigned version) {
    if (version <= 1) {
        return 20000;
    }
    return version <= 6 ? 25000 : 50000;
}

std::string text_from(int (*function)(NvmlDevice, char*, unsigned), NvmlDevice device) {
    std::array<char, 128> text{};
    if (function(device, text.data(), text.size() - 1) != nvml_success) {
        return {};
    }
    return text.data();
}

std::vector<NvLink> links_of(const NvmlCalls& calls, NvmlDevice device) {
    std::vector<NvLink> links;
    for (unsigned index = 0; index < links_max; ++index) {
        unsigned active = 0;
        if (!succeeds(calls.link_state, device, index, &active) || active == 0) {
            continue;
        }
        unsigned version = 0;
        if (!succeeds(calls.link_version, device, index, &version)) {
            continue;
        }
        NvLink link;
        link.mb_s = link_mb_s(version);
        unsigned type = remote_is_unknown;
        if (!succeeds(calls.link_peer_type, device, index, &type)) {
            type = remote_is_unknown;
        }
        NvmlPci peer{};
        const bool has_peer = succeeds(calls.link_peer, device, index, &peer);
        // Virtual machines and multi-node trays show switches without an address.
        link.to_switch = type == remote_is_switch || !has_peer;
        link.peer = address_of(peer);
        links.push_back(link);
    }
    return links;
}

void read_mig(const NvmlCalls& calls, NvmlDevice device, DriverGpu& gpu) {
    unsigned current = 0;
    unsigned pending = 0;
    unsigned count = 0;
    gpu.mig_enabled = succeeds(calls.mig_mode, device, &current, &pending) && current == 1;
    if (!gpu.mig_enabled || !succeeds(calls.mig_count, device, &count)) {
        return;
    }
    for (unsigned index = 0; index < count && index < devices_max; ++index) {
        NvmlDevice mig = nullptr;
        if (succeeds(calls.mig_handle, device, index, &mig)) {
            gpu.mig_uuids.push_back(text_from(calls.uuid, mig));
        }
    }
}

std::vector<DriverGpu> read_all(const NvmlCalls& calls) {
    std::vector<DriverGpu> gpus;
    unsigned count = 0;
    if (calls.count(&count) != nvml_success) {
        return gpus;
    }
    for (unsigned index = 0; index < count && index < devices_max; ++index) {
        NvmlDevice device = nullptr;
        NvmlPci pci{};
        // No permission for a GPU that the device cgroup denies: it is not ours.
        if (calls.handle(index, &device) != nvml_success ||
            calls.pci(device, &pci) != nvml_success) {
            continue;
        }
        DriverGpu gpu;
        gpu.pci = address_of(pci);
        gpu.uuid = text_from(calls.uuid, device);
        gpu.model = text_from(calls.name, device);
        unsigned minor = 0;
        if (succeeds(calls.minor, device, &minor)) {
            gpu.minor = static_cast<int>(minor);
        }
        read_mig(calls, device, gpu);
        gpu.links = links_of(calls, device);
        gpus.push_back(std::move(gpu));
    }
    return gpus;
}

}  // namespace

std::optional<std::vector<DriverGpu>> read_nvml_gpus(const std::string& library,
                                                     std::vector<std::string>& warnings) {
    if (library.empty()) {
        return std::nullopt;
    }
    // Stays open for the life of the process: the driver's library is not made to be unloaded.
    void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        return std::nullopt;
    }
    const NvmlCalls calls = resolve_calls(handle);
    if (!is_complete(calls)) {
        warnings.push_back(fmt::format("{} is too old: GPUs have no links and no UUIDs", library));
        return std::nullopt;
    }
    if (const int code = calls.init(); code != nvml_success) {
        warnings.push_back(
            fmt::format("{} does not start (NVML error {}): is the driver loaded?", library, code));
        return std::nullopt;
    }
    std::vector<DriverGpu> gpus = read_all(calls);
    calls.shutdown();
    return gpus;
}

}  // namespace mpitrain::topology
