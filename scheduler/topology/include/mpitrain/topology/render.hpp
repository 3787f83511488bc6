#pragma once

#include <string>

#include "mpitrain/model/topology.hpp"

namespace mpitrain::topology {

// What a person wants to see of a machine: a line on the whole, a row for each GPU slot (CPU slots
// of one NUMA node share a row), and the link matrix with its bandwidths in GB/s. Ends with a
// newline. Without the warnings, which belong on stderr.
std::string render_table(const NodeTopology& node);

// The same as one self-contained SVG document: NUMA nodes with their cores coloured by the slot
// that owns them, GPU cards with their NICs, and the link matrix as a heat map. Readable from 1 to
// 16 GPUs and for CPUs alone.
std::string render_svg(const NodeTopology& node);

}  // namespace mpitrain::topology
