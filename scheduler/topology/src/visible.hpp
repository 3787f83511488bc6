#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "accelerator.hpp"

namespace mpitrain::topology {

// Removes the NVIDIA devices that CUDA_VISIBLE_DEVICES=`value` hides: entries are indices, UUIDs or
// unique beginnings of one, of GPUs or MIG devices; the first entry that names nothing hides itself
// and all after it; an empty value hides all. `pci_order`: indices follow PCI addresses, else
// (CUDA's default) speed, which cannot be told from outside for unequal GPUs and is then warned
// about. Devices keep their order.
void apply_cuda_visible_devices(std::string_view value,
                                bool pci_order,
                                std::vector<Accelerator>& gpus,
                                std::vector<std::string>& warnings);

}  // namespace mpitrain::topology
