#pragma once

#include <functional>

#include "mpitrain/base/result.hpp"
#include "mpitrain/model/topology.hpp"

namespace mpitrain::topology {

// Runs `work` in a forked child and brings back its answer, so that what crashes, hangs (10 s) or
// grows (4 GiB) there costs the child alone: hwloc does all three on some broken files. The child
// says nothing on the terminal and leaves no core file. Cost: a fork and the way through JSON.
// Errors: those of `work`; invalid_argument (the child did not survive); resource_exhausted (no
// child).
Result<NodeTopology> in_child(const std::function<Result<NodeTopology>()>& work);

}  // namespace mpitrain::topology
