#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "accelerator.hpp"
#include "machine.hpp"

namespace mpitrain::topology {

// True for a virtual machine that shows each GPU alone on its own root: what PCI and NUMA say about
// pairs there is an invention of the hypervisor.
bool hides_pci_switches(const Machine& machine,
                        const std::vector<Accelerator>& gpus,
                        const std::vector<Nic>& nics);

// How two PCI devices reach each other; nullopt where the machine does not tell. `flat`:
// hides_pci_switches.
std::optional<LinkClass> pci_class_between(const std::vector<std::uint64_t>& bridges_a,
                                           const Locality& a,
                                           const std::vector<std::uint64_t>& bridges_b,
                                           const Locality& b,
                                           const Machine& machine,
                                           bool flat);

// Link classes and bandwidths of all pairs of GPUs.
Links find_links(const Machine& machine, const std::vector<Accelerator>& gpus, bool flat);

// Gives each GPU its nearest compute NICs. Where several GPUs are equally near to the same NICs,
// these are spread in order, one for each first. A NIC on another NUMA node is no GPU's.
void assign_nics(const Machine& machine,
                 const std::vector<Nic>& nics,
                 bool flat,
                 std::vector<Accelerator>& gpus);

}  // namespace mpitrain::topology
