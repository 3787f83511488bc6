#pragma once

#include <optional>
#include <string>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/placement.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain::topology {

// Which machine to look at, and through what limits.
struct DiscoverOptions {
    // At most one of these; both empty = the machine this runs on. Recorded and synthetic machines
    // have no limits of this process applied to them, and must not be pinned to.
    std::string xml_file = {};   // hwloc XML of format 1 or 2
    std::string synthetic = {};  // hwloc's synthetic description, "pack:2 core:4 pu:2": CPUs only

    // automatic: GPU slots where there are usable GPUs, else CPU slots. gpu: GPU slots, an error
    // without any. cpu: CPU slots.
    Device device = Device::automatic;

    // The value of CUDA_VISIBLE_DEVICES, which hides NVIDIA GPUs as CUDA itself would; nullopt =
    // not set.
    std::optional<std::string> cuda_visible_devices = std::nullopt;
    // Whether CUDA numbers devices by PCI address (CUDA_DEVICE_ORDER=PCI_BUS_ID) and not by speed.
    bool cuda_pci_order = false;

    // NVIDIA's management library, opened at run time on a machine with its GPUs; empty = never.
    std::string nvml_library = "libnvidia-ml.so.1";
    // Where /proc, /sys and /dev are read; for tests.
    std::string root = "/";

    // The defaults with this process's CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER.
    static DiscoverOptions from_environment();
};

// One machine's slots, cores, NUMA nodes and links, limited to what this process may use: its
// affinity, cpuset and CPU quota, the GPUs whose device files it may open, CUDA_VISIBLE_DEVICES.
//
// What the machine hides stays unknown (empty or nullopt) and is said in `warnings`: a virtual
// machine without PCI switches has no link classes and no NICs of a GPU, a GPU without a vendor
// library no UUID.
//
// Cost: 3 ms on a small machine without GPUs; with GPUs a PCI scan (some ten ms) and NVML's start.
// Call it from one thread at a time. A file is read in a child process, since hwloc
// crashes on some broken ones. Errors: not_found, permission_denied, io (the file);
// invalid_argument (no hwloc XML, bad description); unsupported (hwloc 3 XML); unsatisfiable
// (device is gpu and there is none); unavailable (hwloc failed).
Result<NodeTopology> discover(const DiscoverOptions& options);

}  // namespace mpitrain::topology
