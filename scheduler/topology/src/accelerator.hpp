#pragma once

#include <optional>
#include <string>
#include <vector>

#include "machine.hpp"

namespace mpitrain::topology {

// One accelerator that may become a slot, joined from whatever names it: PCI device, OS devices,
// driver.
struct Accelerator {
    Gpu gpu;
    bool has_pci = false;
    std::vector<std::uint64_t> bridges;  // as PciDevice
    Locality locality;
    std::vector<std::string> os_names;  // nvml0, cuda0, …
    std::vector<std::string> nics;
    CpuSet cpus;  // its share
};

// A network interface that can carry collectives.
struct Nic {
    std::string name;
    PciAddress address;
    std::vector<std::uint64_t> bridges;
    Locality locality;
};

// The GPUs of a machine in PCI order: by vendor OS devices joined by their PCI device, else by PCI
// class and vendor. Where a vendor's library named some of its GPUs, the others are ones it cannot
// drive: they are left out and said in `warnings`, as boards' management VGA and integrated
// graphics are without a word. A partitioned MI300A gives one device for each partition.
std::vector<Accelerator> find_gpus(const Machine& machine, std::vector<std::string>& warnings);

// RDMA devices by their OpenFabrics name and Slingshot interfaces, in PCI order.
std::vector<Nic> find_nics(const Machine& machine);

}  // namespace mpitrain::topology
