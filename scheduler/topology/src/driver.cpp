#include "driver.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "mpitrain/base/number.hpp"
#include "text_file.hpp"

namespace mpitrain::topology {
namespace {

std::vector<std::string> list_directory(const std::string& path) {
    std::vector<std::string> names;
    DIR* directory = opendir(path.c_str());
    if (directory == nullptr) {
        return names;
    }
    while (const dirent* entry = readdir(directory)) {
        if (entry->d_name[0] != '.') {
            names.emplace_back(entry->d_name);
        }
    }
    closedir(directory);
    std::sort(names.begin(), names.end());
    return names;
}

// access() asks the device cgroup as open() would, but does not wake the GPU up.
bool may_open(const std::string& path) {
    return access(path.c_str(), R_OK | W_OK) == 0;
}

const DriverGpu* find_by_pci(const std::vector<DriverGpu>& gpus, const PciAddress& pci) {
    const auto found = std::find_if(
        gpus.begin(), gpus.end(), [&pci](const DriverGpu& gpu) { return gpu.pci == pci; });
    return found == gpus.end() ? nullptr : &*found;
}

DriverGpu parse_information(std::string_view text) {
    DriverGpu gpu;
    for (const std::string_view line : split(text, '\n')) {
        const std::size_t colon = line.find(':');
        if (colon == std::string_view::npos) {
            continue;
        }
        const std::string_view key = trim(line.substr(0, colon));
        const std::string_view value = trim(line.substr(colon + 1));
        if (key == "Model") {
            gpu.model = value;
        } else if (key == "GPU UUID" && value.find('?') == std::string_view::npos) {
            gpu.uuid = value;  // question marks until the GPU has been started once
        } else if (key == "Device Minor") {
            if (const auto minor = parse_integer(value, 0, 1 << 16)) {
                gpu.minor = static_cast<int>(*minor);
            }
        }
    }
    return gpu;
}

// One matrix of all GPUs and the one fabric of their switches, with rows named as the devices are.
BandwidthMatrix matrix_of(const std::vector<DriverGpu>& gpus) {
    BandwidthMatrix matrix;
    for (const DriverGpu& gpu : gpus) {
        matrix.entries.push_back({gpu.pci.to_string(), false});
    }
    matrix.entries.push_back({"", true});
    const std::size_t side = matrix.entries.size();
    matrix.mb_s.assign(side * side, 0);
    bool any = false;
    for (std::size_t row = 0; row < gpus.size(); ++row) {
        for (const NvLink& link : gpus[row].links) {
            const DriverGpu* peer = link.to_switch ? nullptr : find_by_pci(gpus, link.peer);
            const std::size_t column =
                peer == nullptr ? gpus.size() : static_cast<std::size_t>(peer - gpus.data());
            matrix.mb_s[row * side + column] += static_cast<std::uint64_t>(link.mb_s);
            any = true;
        }
    }
    return any ? matrix : BandwidthMatrix{};
}

// The device itself, or one device for each of its MIG devices.
std::vector<Accelerator> complete(Accelerator device, const DriverGpu& facts) {
    device.gpu.vendor = Vendor::nvidia;
    device.gpu.model = facts.model.empty() ? device.gpu.model : facts.model;
    device.gpu.uuid = facts.uuid.empty() ? device.gpu.uuid : facts.uuid;
    if (!facts.mig_enabled) {
        device.os_names.push_back(facts.pci.to_string());
        return {std::move(device)};
    }
    std::vector<Accelerator> parts;
    for (const std::string& uuid : facts.mig_uuids) {
        Accelerator part = device;
        part.gpu.uuid = uuid;
        parts.push_back(std::move(part));
    }
    return parts;
}

Accelerator placeless(const DriverGpu& facts) {
    Accelerator device;
    device.gpu.pci = facts.pci;
    device.gpu.vendor = Vendor::nvidia;
    device.has_pci = true;
    return device;
}

bool is_usable(const std::string& root,
               const DriverGpu& facts,
               std::vector<std::string>& warnings) {
    const std::string name = facts.pci.to_string();
    if (facts.minor && !may_open(fmt::format("{}/dev/nvidia{}", root, *facts.minor))) {
        warnings.push_back(fmt::format(
            "GPU {} is left out: this process may not open /dev/nvidia{}", name, *facts.minor));
        return false;
    }
    if (facts.mig_enabled && facts.mig_uuids.empty()) {
        warnings.push_back(fmt::format(
            "GPU {} is left out: it is in MIG mode without a MIG device (nvidia-smi mig -cgi)",
            name));
        return false;
    }
    return true;
}

std::vector<Accelerator> apply_nvidia(const std::string& root,
                                      const std::vector<DriverGpu>& facts,
                                      const std::vector<Accelerator>& seen,
                                      std::vector<std::string>& warnings) {
    std::vector<Accelerator> kept;
    for (const Accelerator& device : seen) {
        const DriverGpu* known = find_by_pci(facts, device.gpu.pci);
        if (known == nullptr) {
            warnings.push_back(fmt::format("GPU {} is left out: {}",
                                           device.gpu.pci.to_string(),
                                           facts.empty()
                                               ? "no NVIDIA driver is usable here"
                                               : "the driver does not show it to this process"));
        } else if (is_usable(root, *known, warnings)) {
            for (Accelerator& part : complete(device, *known)) {
                kept.push_back(std::move(part));
            }
        }
    }
    for (const DriverGpu& known : facts) {
        const bool is_new =
            std::none_of(seen.begin(), seen.end(), [&known](const Accelerator& device) {
                return device.gpu.pci == known.pci;
            });
        if (is_new && is_usable(root, known, warnings)) {
            for (Accelerator& part : complete(placeless(known), known)) {
                kept.push_back(std::move(part));
            }
        }
    }
    return kept;
}

bool apply_amd(const std::string& root, Accelerator& device, std::vector<std::string>& warnings) {
    if (!may_open(root + "/dev/kfd")) {
        warnings.push_back(fmt::format("GPU {} is left out: this process may not open /dev/kfd",
                                       device.gpu.pci.to_string()));
        return false;
    }
    const std::string directory = root + "/sys/bus/pci/devices/" + device.gpu.pci.to_string();
    if (device.gpu.uuid.empty()) {
        device.gpu.uuid = trim(read_text(directory + "/unique_id").value_or(""));
    }
    if (device.gpu.model.empty()) {
        device.gpu.model = trim(read_text(directory + "/product_name").value_or(""));
    }
    return true;
}

}  // namespace

std::vector<DriverGpu> read_proc_gpus(const std::string& root) {
    std::vector<DriverGpu> gpus;
    const std::string directory = root + "/proc/driver/nvidia/gpus";
    for (const std::string& name : list_directory(directory)) {
        const auto address = PciAddress::parse(name);
        const auto text = read_text(directory + "/" + name + "/information");
        if (address && text) {
            gpus.push_back(parse_information(*text));
            gpus.back().pci = *address;
        }
    }
    return gpus;
}

void apply_drivers(const std::string& root,
                   const std::string& nvml_library,
                   Machine& machine,
                   std::vector<Accelerator>& gpus) {
    std::vector<Accelerator> nvidia;
    std::vector<Accelerator> kept;
    for (Accelerator& gpu : gpus) {
        if (gpu.gpu.vendor == Vendor::nvidia) {
            nvidia.push_back(std::move(gpu));
        } else if (gpu.gpu.vendor != Vendor::amd || apply_amd(root, gpu, machine.warnings)) {
            kept.push_back(std::move(gpu));
        }
    }
    // NVML's list is the truth about what this process may use; /proc is the same without its
    // library.
    auto facts = read_nvml_gpus(nvml_library, machine.warnings);
    if (!facts) {
        facts = read_proc_gpus(root);
    }
    machine.nvlink = matrix_of(*facts);
    for (Accelerator& gpu : apply_nvidia(root, *facts, nvidia, machine.warnings)) {
        kept.push_back(std::move(gpu));
    }
    std::stable_sort(kept.begin(), kept.end(), [](const Accelerator& a, const Accelerator& b) {
        return a.gpu.pci < b.gpu.pci;
    });
    gpus = std::move(kept);
}

bool may_have_gpus(const std::string& root) {
    if (access((root + "/dev/nvidiactl").c_str(), F_OK) == 0) {
        return true;
    }
    const std::string directory = root + "/sys/bus/pci/devices";
    for (const std::string& name : list_directory(directory)) {
        const std::string type = read_text(directory + "/" + name + "/class").value_or("");
        const std::string vendor{trim(read_text(directory + "/" + name + "/vendor").value_or(""))};
        const bool display = type.substr(0, 4) == "0x03" || type.substr(0, 6) == "0x1200";
        if (display && (vendor == "0x10de" || vendor == "0x1002" ||
                        (vendor == "0x8086" && type.substr(0, 6) != "0x0300"))) {
            return true;
        }
    }
    return false;
}

}  // namespace mpitrain::topology
