#pragma once

#include <optional>
#include <string>
#include <vector>

#include "accelerator.hpp"
#include "machine.hpp"

namespace mpitrain::topology {

// One active NVLink of a GPU, in one direction.
struct NvLink {
    bool to_switch = false;
    PciAddress peer;  // when not to a switch
    int mb_s = 0;
};

// What NVIDIA's driver says about one of its GPUs.
struct DriverGpu {
    PciAddress pci;
    std::string uuid;
    std::string model;
    std::optional<int> minor;  // of /dev/nvidia<minor>
    bool mig_enabled = false;
    std::vector<std::string> mig_uuids;
    std::vector<NvLink> links;
};

// From /proc/driver/nvidia below `root`: no library, no start-up cost, but no links.
std::vector<DriverGpu> read_proc_gpus(const std::string& root);

// From NVML; nullopt when the library or its driver cannot be used. Cost: the start of NVML, some
// ten ms for each GPU.
std::optional<std::vector<DriverGpu>> read_nvml_gpus(const std::string& library,
                                                     std::vector<std::string>& warnings);

// Limits and completes the GPUs found on the live machine by what the drivers say:
// - NVIDIA: only GPUs the driver lists and whose device file this process may open are kept; UUID,
// model, MIG
//   devices (one device each) and the NVLink matrix (into machine.nvlink) are filled in; GPUs that
//   hwloc did not see are added without a place.
// - AMD: kept when /dev/kfd may be opened; the UUID comes from /sys.
// Says in machine.warnings what was left out.
void apply_drivers(const std::string& root,
                   const std::string& nvml_library,
                   Machine& machine,
                   std::vector<Accelerator>& gpus);

// Whether the machine shows any sign of a GPU, for a few file reads: if not, hwloc need not scan
// the bus.
bool may_have_gpus(const std::string& root);

}  // namespace mpitrain::topology
