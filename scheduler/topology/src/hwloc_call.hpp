#pragma once

#include <hwloc.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "mpitrain/base/result.hpp"

// hwloc's C calls, checked. Nothing else in this room calls a function of hwloc that can fail.
namespace mpitrain::topology {

struct TopologyDeleter {
    void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using TopologyHandle = std::unique_ptr<hwloc_topology, TopologyDeleter>;

inline Result<void> check_hwloc(int code, const char* call) {
    if (code == 0) {
        return {};
    }
    return Error(ErrorCode::unavailable,
                 fmt::format("hwloc cannot {}: {}", call, std::strerror(errno)));
}

inline Result<TopologyHandle> create_topology() {
    hwloc_topology_t topology = nullptr;
    MPITRAIN_TRY_VOID(check_hwloc(hwloc_topology_init(&topology), "start"));
    return TopologyHandle(topology);
}

// Keeps what placement needs and nothing that costs time. With devices, a cache that divides the
// machine further than NUMA nodes do stays: a device may hang on it (on MI250X each GPU has the
// eight cores of one L3).
inline Result<void> keep_only_needed(hwloc_topology_t topology, bool with_devices) {
    MPITRAIN_TRY_VOID(check_hwloc(
        hwloc_topology_set_cache_types_filter(
            topology,
            with_devices ? HWLOC_TYPE_FILTER_KEEP_STRUCTURE : HWLOC_TYPE_FILTER_KEEP_NONE),
        "choose caches"));
    return check_hwloc(
        hwloc_topology_set_io_types_filter(
            topology,
            with_devices ? HWLOC_TYPE_FILTER_KEEP_IMPORTANT : HWLOC_TYPE_FILTER_KEEP_NONE),
        "choose devices");
}

inline Result<void> set_flags(hwloc_topology_t topology, unsigned long flags) {
    return check_hwloc(hwloc_topology_set_flags(topology, flags), "set flags");
}

// Leaves out a discovery component; one that is not installed is not an error.
inline void leave_out(hwloc_topology_t topology, const char* component) {
    hwloc_topology_set_components(topology, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, component);
}

inline Result<void> set_xml(hwloc_topology_t topology, const std::string& xml) {
    // hwloc wants the terminating zero inside the length.
    return check_hwloc(
        hwloc_topology_set_xmlbuffer(topology, xml.c_str(), static_cast<int>(xml.size()) + 1),
        "read this XML");
}

inline Result<void> set_synthetic(hwloc_topology_t topology, const std::string& description) {
    return check_hwloc(hwloc_topology_set_synthetic(topology, description.c_str()),
                       "read this description");
}

inline Result<void> load(hwloc_topology_t topology) {
    return check_hwloc(hwloc_topology_load(topology), "load the topology");
}

// The distance matrices of one name; freed with the handle's end.
struct DistancesDeleter {
    hwloc_topology_t topology = nullptr;
    void operator()(hwloc_distances_s* distances) const {
        hwloc_distances_release(topology, distances);
    }
};
using DistancesHandle = std::unique_ptr<hwloc_distances_s, DistancesDeleter>;

}  // namespace mpitrain::topology
