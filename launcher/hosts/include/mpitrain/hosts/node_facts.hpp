#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/placement.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain::hosts {

// An address of a machine, with the length of its network's prefix.
struct Interface {
    std::string name;
    std::string address;
    int bits = 0;
    bool operator==(const Interface&) const = default;
};

// What a machine tells of itself before ranks are placed on it.
struct NodeFacts {
    std::string version;   // of mpitrain there
    std::string hostname;  // what it calls itself
    std::string boot;      // the same for two names of one machine, and for nothing else
    // Both ends of the ssh connection that asks, as that machine sees them; empty when it was none.
    std::string seen_from;
    std::string seen_at;
    std::vector<Interface> interfaces;
    std::string lock_directory;  // of its slot registry
    std::set<SlotId> busy;       // slots of other jobs
    NodeTopology topology;
    bool operator==(const NodeFacts&) const = default;
};

// Of this machine, as `mpitrain topo --for-launch` prints them. Errors: those of discovering the
// topology and of opening the slot registry.
Result<NodeFacts> facts_of_this_machine(Device device, bool share_cpus);

// Schema mpitrain.node/1, one line; `topology` in it is mpitrain.topo/1.
std::string to_json(const NodeFacts& facts);
// Errors: invalid_argument naming the field.
Result<NodeFacts> facts_from_json(std::string_view text);

// The network of an interface: "10.77.0.0/24". For IPv6, where Open MPI takes no such thing, its
// name.
std::string network_of(const Interface& interface);

}  // namespace mpitrain::hosts
