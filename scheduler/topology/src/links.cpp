#include "links.hpp"

#include <algorithm>
#include <limits>
#include <map>

namespace mpitrain::topology {
namespace {

using Bridges = std::vector<std::uint64_t>;
using Bandwidths = std::vector<std::vector<std::optional<int>>>;

std::size_t common_length(const Bridges& a, const Bridges& b) {
    const auto mismatch = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    return static_cast<std::size_t>(mismatch.first - a.begin());
}

// NUMA nodes that tell something: neither nothing nor simply all of them.
bool is_local(const Locality& locality, const Machine& machine) {
    return !locality.numa.empty() &&
           (machine.numa_nodes.size() == 1 || locality.numa.size() < machine.numa_nodes.size());
}

bool share_numa(const Locality& a, const Locality& b) {
    return std::find_first_of(a.numa.begin(), a.numa.end(), b.numa.begin(), b.numa.end()) !=
           a.numa.end();
}

// Bounded so that sums of hostile values stay within range.
constexpr std::uint64_t mb_s_max = std::numeric_limits<int>::max();

std::optional<std::size_t> row_of(const BandwidthMatrix& matrix, const Accelerator& device) {
    for (std::size_t row = 0; row < matrix.entries.size(); ++row) {
        const std::string& name = matrix.entries[row].os_name;
        if (!name.empty() && std::find(device.os_names.begin(), device.os_names.end(), name) !=
                                 device.os_names.end()) {
            return row;
        }
    }
    return std::nullopt;
}

// What a GPU can put into the switches of the machine. They are one fabric: boards of a 16-GPU
// machine are joined by trunks that no GPU sees.
std::uint64_t into_switches(const BandwidthMatrix& matrix, std::size_t row) {
    std::uint64_t sum = 0;
    for (std::size_t column = 0; column < matrix.entries.size(); ++column) {
        if (matrix.entries[column].is_switch) {
            const std::uint64_t cell = matrix.mb_s[row * matrix.entries.size() + column];
            sum += std::min(cell, mb_s_max);
        }
    }
    return sum;
}

// Direct links plus the way through the switches, limited by the narrower end. hwloc's own closure
// loses the direct links before 2.13.
Bandwidths close_over_switches(const BandwidthMatrix& matrix,
                               const std::vector<Accelerator>& gpus) {
    Bandwidths closed(gpus.size(), std::vector<std::optional<int>>(gpus.size()));
    for (std::size_t a = 0; a < gpus.size(); ++a) {
        for (std::size_t b = 0; b < gpus.size(); ++b) {
            const auto row = row_of(matrix, gpus[a]);
            const auto column = row_of(matrix, gpus[b]);
            if (a == b || !row || !column) {
                continue;
            }
            const std::uint64_t direct =
                std::min(matrix.mb_s[*row * matrix.entries.size() + *column], mb_s_max);
            const std::uint64_t switched =
                std::min(into_switches(matrix, *row), into_switches(matrix, *column));
            closed[a][b] = static_cast<int>(std::min(direct + switched, mb_s_max));
        }
    }
    return closed;
}

// RSMI reports every pair of an MI250X node as equal, although each has a few neighbours only; the
// MI300X, a full mesh, is of the accelerator class.
bool is_invented(const std::vector<Accelerator>& gpus, const Machine& machine) {
    return std::any_of(gpus.begin(), gpus.end(), [&machine](const Accelerator& gpu) {
        return std::any_of(
            machine.pci_devices.begin(), machine.pci_devices.end(), [&gpu](const PciDevice& pci) {
                return gpu.has_pci && pci.address == gpu.gpu.pci && pci.class_id != 0x1200;
            });
    });
}

bool all_equal(const Bandwidths& matrix) {
    std::optional<int> first;
    for (std::size_t a = 0; a < matrix.size(); ++a) {
        for (std::size_t b = 0; b < matrix.size(); ++b) {
            if (a != b && matrix[a][b]) {
                first = first ? first : matrix[a][b];
                if (*first != *matrix[a][b]) {
                    return false;
                }
            }
        }
    }
    return true;
}

Bandwidths find_bandwidths(const Machine& machine, const std::vector<Accelerator>& gpus) {
    if (!machine.nvlink.entries.empty()) {
        return close_over_switches(machine.nvlink, gpus);
    }
    if (!machine.xgmi.entries.empty()) {
        Bandwidths xgmi = close_over_switches(machine.xgmi, gpus);
        if (!all_equal(xgmi) || !is_invented(gpus, machine)) {
            return xgmi;
        }
    }
    return Bandwidths(gpus.size(), std::vector<std::optional<int>>(gpus.size()));
}

// The compute NICs nearest to one GPU, all at the same distance.
std::vector<std::size_t> nearest(const Machine& machine,
                                 const Accelerator& gpu,
                                 const std::vector<Nic>& nics,
                                 bool flat) {
    std::vector<std::size_t> found;
    LinkClass best = LinkClass::node;
    for (std::size_t index = 0; index < nics.size(); ++index) {
        const auto link = pci_class_between(
            gpu.bridges, gpu.locality, nics[index].bridges, nics[index].locality, machine, flat);
        if (!link || *link > best) {
            continue;
        }
        if (*link < best) {
            best = *link;
            found.clear();
        }
        found.push_back(index);
    }
    return found;
}

}  // namespace

bool hides_pci_switches(const Machine& machine,
                        const std::vector<Accelerator>& gpus,
                        const std::vector<Nic>& nics) {
    if (!machine.is_virtual) {
        return false;
    }
    // A common bridge below a host bridge is something the hypervisor took the trouble to tell.
    const auto related = [](const Bridges& a, const Bridges& b) { return common_length(a, b) > 1; };
    for (std::size_t a = 0; a < gpus.size(); ++a) {
        for (std::size_t b = a + 1; b < gpus.size(); ++b) {
            if (related(gpus[a].bridges, gpus[b].bridges)) {
                return false;
            }
        }
        for (const Nic& nic : nics) {
            if (related(gpus[a].bridges, nic.bridges)) {
                return false;
            }
        }
    }
    return true;
}

std::optional<LinkClass> pci_class_between(const Bridges& bridges_a,
                                           const Locality& a,
                                           const Bridges& bridges_b,
                                           const Locality& b,
                                           const Machine& machine,
                                           bool flat) {
    const std::size_t common = common_length(bridges_a, bridges_b);
    if (common > 1) {
        // Within a switch each side passes its own port at most; more means a switch below a
        // switch.
        const bool one_switch = bridges_a.size() <= common + 1 && bridges_b.size() <= common + 1;
        return one_switch ? LinkClass::pix : LinkClass::pxb;
    }
    const bool both_local = is_local(a, machine) && is_local(b, machine);
    if (both_local && !share_numa(a, b)) {
        return LinkClass::sys;
    }
    if (flat) {
        return std::nullopt;
    }
    if (common == 1) {
        return LinkClass::phb;
    }
    return both_local ? std::optional(LinkClass::node) : std::nullopt;
}

Links find_links(const Machine& machine, const std::vector<Accelerator>& gpus, bool flat) {
    Links links;
    links.bandwidth_mb_s = find_bandwidths(machine, gpus);
    links.link_class.assign(gpus.size(), std::vector<std::optional<LinkClass>>(gpus.size()));
    for (std::size_t a = 0; a < gpus.size(); ++a) {
        for (std::size_t b = 0; b < gpus.size(); ++b) {
            if (a == b) {
                continue;
            }
            const bool nvlink =
                !machine.nvlink.entries.empty() && links.bandwidth_mb_s[a][b].value_or(0) > 0;
            const bool same_card =
                gpus[a].has_pci && gpus[b].has_pci && gpus[a].gpu.pci == gpus[b].gpu.pci;
            links.link_class[a][b] = nvlink      ? LinkClass::nvl
                                     : same_card ? LinkClass::pix
                                                 : pci_class_between(gpus[a].bridges,
                                                                     gpus[a].locality,
                                                                     gpus[b].bridges,
                                                                     gpus[b].locality,
                                                                     machine,
                                                                     flat);
        }
    }
    return links;
}

void assign_nics(const Machine& machine,
                 const std::vector<Nic>& nics,
                 bool flat,
                 std::vector<Accelerator>& gpus) {
    std::map<std::vector<std::size_t>, std::vector<Accelerator*>> groups;
    for (Accelerator& gpu : gpus) {
        groups[nearest(machine, gpu, nics, flat)].push_back(&gpu);
    }
    for (const auto& [near, members] : groups) {
        for (std::size_t index = 0; index < members.size() && !near.empty(); ++index) {
            const std::size_t first = index * near.size() / members.size();
            const std::size_t last =
                std::max(first + 1, (index + 1) * near.size() / members.size());
            for (std::size_t position = first; position < last; ++position) {
                members[index]->nics.push_back(nics[near[position]].name);
            }
        }
    }
}

}  // namespace mpitrain::topology
