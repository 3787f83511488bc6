#pragma once

#include "memory_file.hpp"
#include "mpitrain/checkpoint/container.hpp"

namespace mpitrain::checkpoint::hdf5 {

// Adds whole tensors, made of parts of datasets of this or other files, and the groups they are in.
Result<void> add_tensors(const Handle& file,
                         const Handle& links,
                         Groups& groups,
                         std::span<const ViewTensor> tensors);

// As attributes of the file's root.
Result<void> add_attributes(const Handle& file, const Attributes& attributes);

}  // namespace mpitrain::checkpoint::hdf5
