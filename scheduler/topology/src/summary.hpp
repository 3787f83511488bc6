#pragma once

#include <string>

#include "mpitrain/model/topology.hpp"

namespace mpitrain::topology {

// "8 GPUs, 112 cores (224 threads), 2 NUMA nodes, 2.0 TiB": the machine in one line.
std::string summary_of(const NodeTopology& node);

bool has_gpu_slots(const NodeTopology& node);

// "0,3" or "any".
std::string numa_text(const Slot& slot);

// The NUMA node that holds these CPUs, or -1.
int numa_holding(const NodeTopology& node, const CpuSet& cpus);

// "NVL 450", "PIX", "?": what one cell of the link matrix says; "" on the diagonal.
std::string link_text(const Links& links, std::size_t row, std::size_t column);

}  // namespace mpitrain::topology
