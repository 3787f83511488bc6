#include "load_machine.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "hwloc_call.hpp"

namespace mpitrain::topology {
namespace {

constexpr std::size_t matrix_side_max = 1024;

Result<CpuSet> cpus_of(hwloc_const_bitmap_t bitmap) {
    CpuSet cpus;
    if (bitmap == nullptr) {
        return cpus;
    }
    // An infinite set has the last index -1, but a next one after any other.
    const int last = hwloc_bitmap_last(bitmap);
    if (last > CpuSet::max_cpu || (last < 0 && hwloc_bitmap_iszero(bitmap) == 0)) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("a CPU number is beyond {}", CpuSet::max_cpu));
    }
    for (int cpu = hwloc_bitmap_first(bitmap); cpu >= 0; cpu = hwloc_bitmap_next(bitmap, cpu)) {
        cpus.add(cpu);
    }
    return cpus;
}

std::string text_of(const char* text) {
    return text == nullptr ? std::string() : std::string(text);
}

std::map<std::string, std::string> infos_of(const hwloc_obj* object) {
    std::map<std::string, std::string> infos;
    for (unsigned index = 0; index < object->infos_count; ++index) {
        infos.emplace(text_of(object->infos[index].name), text_of(object->infos[index].value));
    }
    return infos;
}

OsDeviceKind kind_of(const hwloc_obj* object) {
    switch (object->attr->osdev.type) {
        case HWLOC_OBJ_OSDEV_GPU:
            return OsDeviceKind::gpu;
        case HWLOC_OBJ_OSDEV_COPROC:
            return OsDeviceKind::coprocessor;
        case HWLOC_OBJ_OSDEV_NETWORK:
            return OsDeviceKind::network;
        case HWLOC_OBJ_OSDEV_OPENFABRICS:
            return OsDeviceKind::openfabrics;
        default:
            return OsDeviceKind::other;
    }
}

OsDevice os_device_of(const hwloc_obj* object) {
    return {kind_of(object), text_of(object->name), text_of(object->subtype), infos_of(object)};
}

// Walks one loaded topology into a Machine.
class Extractor {
  public:
    explicit Extractor(hwloc_topology_t topology) : topology_(topology) {}

    Result<Machine> run() {
        MPITRAIN_TRY(machine_.cpus, cpus_of(hwloc_topology_get_allowed_cpuset(topology_)));
        if (machine_.cpus.empty()) {
            return Error(ErrorCode::invalid_argument, "the machine has no CPU");
        }
        read_machine_infos();
        MPITRAIN_TRY_VOID(read_cores());
        MPITRAIN_TRY_VOID(read_numa_nodes());
        MPITRAIN_TRY_VOID(read_pci_devices());
        read_os_devices();
        machine_.nvlink = read_matrix("NVLinkBandwidth");
        machine_.xgmi = read_matrix("XGMIBandwidth");
        return std::move(machine_);
    }

  private:
    void read_machine_infos() {
        const auto infos = infos_of(hwloc_get_root_obj(topology_));
        const auto value = [&infos](const char* key) {
            const auto found = infos.find(key);
            return found == infos.end() ? std::string() : found->second;
        };
        machine_.host = value("HostName");
        const std::string vendor = value("DMISysVendor");
        const std::string product = value("DMIProductName");
        static constexpr std::array marks = {"QEMU",
                                             "KVM",
                                             "VMware",
                                             "VirtualBox",
                                             "Xen",
                                             "domU",
                                             "Virtual Machine",
                                             "Compute Engine",
                                             "OpenStack"};
        machine_.is_virtual = std::any_of(marks.begin(), marks.end(), [&](const char* mark) {
            return (vendor + "\n" + product).find(mark) != std::string::npos;
        });
        machine_.is_virtual |=
            vendor == "Amazon EC2" && product.find(".metal") == std::string::npos;
    }

    // Machines whose description has no cores get one for each hardware thread.
    Result<void> read_cores() {
        const hwloc_obj_type_t type =
            hwloc_get_nbobjs_by_type(topology_, HWLOC_OBJ_CORE) > 0 ? HWLOC_OBJ_CORE : HWLOC_OBJ_PU;
        CpuSet seen;
        for (hwloc_obj_t core = nullptr;
             (core = hwloc_get_next_obj_by_type(topology_, type, core)) != nullptr;) {
            MPITRAIN_TRY(CpuSet cpus, cpus_of(core->cpuset));
            cpus &= machine_.cpus;
            cpus -= seen;  // a broken file may give a thread to two cores
            seen |= cpus;
            if (!cpus.empty()) {
                machine_.cores.push_back(std::move(cpus));
            }
        }
        std::sort(machine_.cores.begin(),
                  machine_.cores.end(),
                  [](const CpuSet& a, const CpuSet& b) { return a.first() < b.first(); });
        return {};
    }

    // Leaves out memory that is not the ordinary one of its CPUs: that of GPUs (POWER9, Grace) by
    // name, and any further node (HBM, CXL, empty) beside a lower-numbered one of the very same
    // CPUs.
    Result<void> read_numa_nodes() {
        std::map<int, NumaNode> nodes;
        for (hwloc_obj_t object = nullptr;
             (object = hwloc_get_next_obj_by_type(topology_, HWLOC_OBJ_NUMANODE, object)) !=
             nullptr;) {
            if (text_of(object->subtype) == "GPUMemory" || object->os_index > 1U << 16) {
                continue;
            }
            NumaNode node;
            node.id = static_cast<int>(object->os_index);
            node.memory = Bytes(object->attr->numanode.local_memory);
            MPITRAIN_TRY(node.cpus, cpus_of(object->cpuset));
            node.cpus &= machine_.cpus;
            if (!node.cpus.empty()) {
                nodes.emplace(node.id, std::move(node));
            }
        }
        std::map<CpuSet, int> taken;
        for (auto& [id, node] : nodes) {
            if (taken.emplace(node.cpus, id).second) {
                machine_.numa_nodes.push_back(std::move(node));
            }
        }
        return {};
    }

    Result<Locality> locality_of(hwloc_obj_t object) {
        Locality locality;
        const hwloc_obj_t holder = hwloc_get_non_io_ancestor_obj(topology_, object);
        if (holder == nullptr) {
            return locality;
        }
        MPITRAIN_TRY(locality.cpus, cpus_of(holder->cpuset));
        locality.cpus &= machine_.cpus;
        for (const NumaNode& node : machine_.numa_nodes) {
            if (node.cpus.intersects(locality.cpus)) {
                locality.numa.push_back(node.id);
            }
        }
        return locality;
    }

    Result<void> read_pci_devices() {
        for (hwloc_obj_t object = nullptr;
             (object = hwloc_get_next_pcidev(topology_, object)) != nullptr;) {
            const auto& attributes = object->attr->pcidev;
            PciDevice device;
            device.address = {attributes.domain, attributes.bus, attributes.dev, attributes.func};
            device.class_id = attributes.class_id;
            device.vendor_id = attributes.vendor_id;
            device.device_id = attributes.device_id;
            device.subtype = text_of(object->subtype);
            const auto infos = infos_of(object);
            const auto name = infos.find("PCIDevice");
            device.name = name == infos.end() ? std::string() : name->second;
            for (hwloc_obj_t above = object->parent;
                 above != nullptr && above->type == HWLOC_OBJ_BRIDGE;
                 above = above->parent) {
                device.bridges.push_back(above->gp_index);
            }
            std::reverse(device.bridges.begin(), device.bridges.end());
            MPITRAIN_TRY(device.locality, locality_of(object));
            index_of_.emplace(object->gp_index, machine_.pci_devices.size());
            machine_.pci_devices.push_back(std::move(device));
        }
        return {};
    }

    void read_os_devices() {
        for (hwloc_obj_t object = nullptr;
             (object = hwloc_get_next_osdev(topology_, object)) != nullptr;) {
            const hwloc_obj* above = object->parent;
            while (above != nullptr && above->type == HWLOC_OBJ_OS_DEVICE) {
                above = above->parent;
            }
            const auto found = above == nullptr ? index_of_.end() : index_of_.find(above->gp_index);
            if (found == index_of_.end()) {
                machine_.loose_devices.push_back(os_device_of(object));
            } else {
                machine_.pci_devices[found->second].os_devices.push_back(os_device_of(object));
            }
        }
    }

    BandwidthMatrix read_matrix(const char* name) {
        BandwidthMatrix matrix;
        hwloc_distances_s* raw = nullptr;
        unsigned count = 1;
        const int code = hwloc_distances_get_by_name(topology_, name, &count, &raw, 0);
        if (code != 0 || count == 0 || raw == nullptr) {
            return matrix;
        }
        const DistancesHandle distances(raw, DistancesDeleter{topology_});
        if (distances->nbobjs > matrix_side_max) {
            return matrix;
        }
        for (unsigned index = 0; index < distances->nbobjs; ++index) {
            const hwloc_obj* object = distances->objs[index];
            const bool is_os = object != nullptr && object->type == HWLOC_OBJ_OS_DEVICE;
            matrix.entries.push_back({is_os ? text_of(object->name) : std::string(),
                                      object != nullptr && text_of(object->subtype) == "NVSwitch"});
        }
        const std::size_t cells = std::size_t{distances->nbobjs} * distances->nbobjs;
        matrix.mb_s.assign(distances->values, distances->values + cells);
        return matrix;
    }

    hwloc_topology_t topology_;
    Machine machine_;
    std::map<hwloc_uint64_t, std::size_t> index_of_;  // PCI devices by hwloc's number
};

bool runs_under_hypervisor() {
#if defined(__x86_64__) || defined(__i386__)
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    constexpr unsigned hypervisor_bit = 1U << 31;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & hypervisor_bit) != 0;
#else
    return false;
#endif
}

}  // namespace

Result<Machine> load_live_machine(bool with_devices) {
    MPITRAIN_TRY(const TopologyHandle topology, create_topology());
    MPITRAIN_TRY_VOID(keep_only_needed(topology.get(), with_devices));
    // Vendor plugins start whole driver stacks. What they know comes from NVML and /sys, and their
    // matrices are wrong in the versions in use: 2.9 doubles NVLink 3 and knows no NVLink 4.
    for (const char* component : {"cuda", "nvml", "rsmi", "levelzero", "opencl", "gl"}) {
        leave_out(topology.get(), component);
    }
    MPITRAIN_TRY_VOID(set_flags(topology.get(),
                                HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS |
                                    HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS));
    MPITRAIN_TRY_VOID(load(topology.get()));
    if (hwloc_topology_is_thissystem(topology.get()) == 0) {
        return Error(ErrorCode::unavailable, "hwloc looked at another machine than this one")
            .mend("unset HWLOC_XMLFILE, HWLOC_SYNTHETIC and HWLOC_COMPONENTS");
    }
    MPITRAIN_TRY(Machine machine, Extractor(topology.get()).run());
    machine.is_virtual |= runs_under_hypervisor();
    return machine;
}

Result<Machine> load_xml_machine(const std::string& xml) {
    MPITRAIN_TRY(const TopologyHandle topology, create_topology());
    MPITRAIN_TRY_VOID(keep_only_needed(topology.get(), true));
    const auto refused = [](Error error) {
        return Error(ErrorCode::invalid_argument, error.what())
            .mend("give the output of lstopo --of xml");
    };
    if (auto set = set_xml(topology.get(), xml); !set) {
        return refused(set.error());
    }
    if (auto loaded = load(topology.get()); !loaded) {
        return refused(loaded.error());
    }
    return Extractor(topology.get()).run();
}

Result<Machine> load_synthetic_machine(const std::string& description) {
    MPITRAIN_TRY(const TopologyHandle topology, create_topology());
    MPITRAIN_TRY_VOID(keep_only_needed(topology.get(), false));
    const auto set = set_synthetic(topology.get(), description);
    if (!set || !load(topology.get())) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("'{}' is not a synthetic machine", description))
            .mend("write it like 'package:2 core:8 pu:2'; it has no GPUs, use --input for those");
    }
    MPITRAIN_TRY(Machine machine, Extractor(topology.get()).run());
    machine.host = "synthetic";
    return machine;
}

}  // namespace mpitrain::topology
