#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mpitrain/base/cpu_set.hpp"
#include "mpitrain/model/topology.hpp"

// What hwloc saw of a machine, as plain values: everything behind this header is independent of
// hwloc.
namespace mpitrain::topology {

enum class OsDeviceKind : std::uint8_t { gpu, coprocessor, network, openfabrics, other };

// A device as the operating system or a vendor library names it: nvml0, cuda1, card0, mlx5_0, ib0.
struct OsDevice {
    OsDeviceKind kind = OsDeviceKind::other;
    std::string name;
    std::string subtype;  // "NVML", "CUDA", "RSMI", "OpenCL", …; often empty in old files
    std::map<std::string, std::string> infos;
};

// Where a device is attached. Empty CPUs mean that nothing is known.
struct Locality {
    CpuSet cpus;
    std::vector<int> numa;  // ordinary NUMA nodes, ascending
    bool operator==(const Locality&) const = default;
};

struct PciDevice {
    PciAddress address;
    std::uint32_t class_id = 0;  // base class and subclass, 0x0302
    std::uint32_t vendor_id = 0;
    std::uint32_t device_id = 0;
    std::string name;
    std::string subtype;
    // The bridges above it by an arbitrary unique number, from the host bridge down; empty = not
    // known.
    std::vector<std::uint64_t> bridges;
    Locality locality;
    std::vector<OsDevice> os_devices;
};

// One row of a bandwidth matrix: an OS device (by name), a PCI device (an NVSwitch), or something
// else.
struct MatrixEntry {
    std::string os_name;
    bool is_switch = false;
};

struct BandwidthMatrix {
    std::vector<MatrixEntry> entries;
    std::vector<std::uint64_t> mb_s;  // row-major, square over entries
};

struct Machine {
    std::string host;
    bool is_virtual = false;
    CpuSet cpus;
    std::vector<CpuSet> cores;         // ascending by first CPU
    std::vector<NumaNode> numa_nodes;  // ordinary memory only, ascending
    std::vector<PciDevice> pci_devices;
    std::vector<OsDevice> loose_devices;  // OS devices without a PCI device above them
    BandwidthMatrix nvlink;               // empty = none
    BandwidthMatrix xgmi;
    std::vector<std::string> warnings;
};

}  // namespace mpitrain::topology
