#include "accelerator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <tuple>

namespace mpitrain::topology {
namespace {

constexpr std::uint32_t vendor_nvidia = 0x10de;
constexpr std::uint32_t vendor_amd = 0x1002;
constexpr std::uint32_t vendor_intel = 0x8086;
constexpr std::uint32_t vendor_unreadable = 0;
constexpr std::uint32_t base_class_display = 0x03;
constexpr std::uint32_t class_vga = 0x0300;
constexpr std::uint32_t class_accelerator = 0x1200;

bool starts_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}

// Old files lack the subtype, and one has an odd type: the name is what all agree on.
bool is_vendor_name(const OsDevice& device, std::string_view prefix) {
    return starts_with(device.name, prefix) && device.name.size() > prefix.size() &&
           std::all_of(device.name.begin() + static_cast<std::ptrdiff_t>(prefix.size()),
                       device.name.end(),
                       [](char c) { return c >= '0' && c <= '9'; });
}

bool is_nvidia_name(const OsDevice& device) {
    return is_vendor_name(device, "nvml") || is_vendor_name(device, "cuda");
}

// "ze0", and "ze0.1" for a tile.
bool is_level_zero_name(const OsDevice& device) {
    return device.subtype == "LevelZero" || is_vendor_name(device, "ze");
}

bool is_accelerator_class(std::uint32_t class_id) {
    return class_id >> 8 == base_class_display || class_id == class_accelerator;
}

// A vendor's library named it: NVML and CUDA, or RSMI.
bool is_named_by_vendor(const PciDevice& device) {
    return std::any_of(device.os_devices.begin(), device.os_devices.end(), [](const OsDevice& os) {
        return is_nvidia_name(os) || is_vendor_name(os, "rsmi");
    });
}

bool is_gpu_by_class(const PciDevice& device) {
    if (!is_accelerator_class(device.class_id)) {
        return false;
    }
    switch (device.vendor_id) {
        case vendor_nvidia:
        case vendor_amd:
        // Some captures could not read the ids of a powered-down GPU: the class must do.
        case vendor_unreadable:
            return true;
        case vendor_intel:
            // Class VGA is the graphics of the processor.
            return device.class_id != class_vga ||
                   (device.address.bus != 0 &&
                    std::any_of(
                        device.os_devices.begin(), device.os_devices.end(), is_level_zero_name));
        default:
            return false;
    }
}

Vendor vendor_of(const PciDevice& device) {
    switch (device.vendor_id) {
        case vendor_nvidia:
            return Vendor::nvidia;
        case vendor_amd:
            return Vendor::amd;
        case vendor_intel:
            return Vendor::intel;
        default:
            return Vendor::other;
    }
}

std::string info_of(const OsDevice& device, const char* key) {
    const auto found = device.infos.find(key);
    return found == device.infos.end() ? std::string() : found->second;
}

bool is_blank_uuid(std::string_view uuid) {
    return uuid.find_first_not_of("0x-") == std::string_view::npos;
}

// What an OS device says about its GPU; NVML and RSMI know more than the others.
void add_facts(const OsDevice& os, Gpu& gpu) {
    if (is_vendor_name(os, "nvml") || is_vendor_name(os, "rsmi") || gpu.model.empty()) {
        if (const std::string model = info_of(os, "GPUModel"); !model.empty()) {
            gpu.model = model;
        }
    }
    for (const char* key : {"NVIDIAUUID", "AMDUUID"}) {
        if (const std::string uuid = info_of(os, key); !is_blank_uuid(uuid)) {
            gpu.uuid = uuid;
        }
    }
}

Accelerator device_of(const PciDevice& pci) {
    Accelerator device;
    device.gpu.pci = pci.address;
    device.gpu.vendor = vendor_of(pci);
    device.has_pci = true;
    device.bridges = pci.bridges;
    device.locality = pci.locality;
    return device;
}

// One device, or, where several RSMI devices share the PCI device, one for each partition.
std::vector<Accelerator> devices_of(const PciDevice& pci) {
    std::vector<Accelerator> devices;
    Accelerator whole = device_of(pci);
    for (const OsDevice& os : pci.os_devices) {
        if (is_vendor_name(os, "rsmi")) {
            Accelerator partition = device_of(pci);
            add_facts(os, partition.gpu);
            partition.os_names.push_back(os.name);
            devices.push_back(std::move(partition));
        }
        add_facts(os, whole.gpu);
        whole.os_names.push_back(os.name);
    }
    if (devices.size() < 2) {
        devices = {std::move(whole)};
    }
    for (Accelerator& device : devices) {
        if (device.gpu.model.empty()) {
            device.gpu.model =
                devices.front().gpu.model.empty() ? pci.name : devices.front().gpu.model;
        }
    }
    return devices;
}

int number_in(std::string_view name) {
    const std::size_t digits = name.find_first_of("0123456789");
    int number = 0;
    if (digits != std::string_view::npos) {
        std::from_chars(name.data() + digits, name.data() + name.size(), number);
    }
    return number;
}

// Without PCI information the vendor's own list is all there is; NVML first, for it has the UUIDs.
void add_loose_devices(const Machine& machine, std::vector<Accelerator>& devices) {
    for (const char* prefix : {"nvml", "cuda", "rsmi"}) {
        std::vector<const OsDevice*> found;
        for (const OsDevice& os : machine.loose_devices) {
            if (is_vendor_name(os, prefix)) {
                found.push_back(&os);
            }
        }
        std::sort(found.begin(), found.end(), [](const OsDevice* a, const OsDevice* b) {
            return number_in(a->name) < number_in(b->name);
        });
        for (const OsDevice* os : found) {
            Accelerator device;
            device.gpu.vendor = is_nvidia_name(*os) ? Vendor::nvidia : Vendor::amd;
            add_facts(*os, device.gpu);
            device.os_names = {os->name};
            devices.push_back(std::move(device));
        }
        if (!found.empty()) {
            return;
        }
    }
}

bool is_slingshot_name(const OsDevice& os) {
    return os.subtype == "Slingshot" || is_vendor_name(os, "hsn") || is_vendor_name(os, "hsi") ||
           is_vendor_name(os, "cxi");
}

// The OpenFabrics name is what UCX and NCCL want; a Slingshot card has none.
std::string network_name_of(const PciDevice& pci) {
    for (const OsDevice& os : pci.os_devices) {
        if (os.kind == OsDeviceKind::openfabrics) {
            return os.name;
        }
    }
    for (const OsDevice& os : pci.os_devices) {
        if (os.kind == OsDeviceKind::network && is_slingshot_name(os)) {
            return os.name;
        }
    }
    return {};
}

}  // namespace

std::vector<Accelerator> find_gpus(const Machine& machine, std::vector<std::string>& warnings) {
    std::set<std::uint32_t> naming_vendors;
    for (const PciDevice& pci : machine.pci_devices) {
        if (is_named_by_vendor(pci)) {
            naming_vendors.insert(pci.vendor_id);
        }
    }
    std::vector<Accelerator> devices;
    for (const PciDevice& pci : machine.pci_devices) {
        const bool named = is_named_by_vendor(pci);
        if (!named && !is_gpu_by_class(pci)) {
            continue;
        }
        if (!named && naming_vendors.count(pci.vendor_id) != 0) {
            warnings.push_back(fmt::format(
                "GPU {} is left out: its vendor's library names others but not this one",
                pci.address.to_string()));
            continue;
        }
        for (Accelerator& device : devices_of(pci)) {
            devices.push_back(std::move(device));
        }
    }
    if (devices.empty()) {
        add_loose_devices(machine, devices);
    }
    // Stable: partitions of one PCI device keep the vendor's order.
    std::stable_sort(
        devices.begin(), devices.end(), [](const Accelerator& a, const Accelerator& b) {
            return a.gpu.pci < b.gpu.pci;
        });
    return devices;
}

std::vector<Nic> find_nics(const Machine& machine) {
    std::vector<Nic> nics;
    for (const PciDevice& pci : machine.pci_devices) {
        if (std::string name = network_name_of(pci); !name.empty()) {
            nics.push_back({std::move(name), pci.address, pci.bridges, pci.locality});
        }
    }
    std::sort(nics.begin(), nics.end(), [](const Nic& a, const Nic& b) {
        return std::tie(a.address, a.name) < std::tie(b.address, b.name);
    });
    return nics;
}

}  // namespace mpitrain::topology
