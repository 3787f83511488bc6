#include "visible.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "mpitrain/base/number.hpp"
#include "text_file.hpp"

namespace mpitrain::topology {
namespace {

constexpr int index_max = 1 << 16;

bool is_nvidia(const Accelerator& device) {
    return device.gpu.vendor == Vendor::nvidia;
}

// The device that an entry names, or nothing.
std::optional<std::size_t> named_by(std::string_view entry, const std::vector<Accelerator>& gpus) {
    if (const auto index = parse_integer(entry, 0, index_max)) {
        std::int64_t left = *index;
        for (std::size_t device = 0; device < gpus.size(); ++device) {
            // MIG devices of one GPU share its index; CUDA takes the first of them.
            const bool first_of_card = device == 0 || !gpus[device].has_pci ||
                                       !gpus[device - 1].has_pci ||
                                       gpus[device].gpu.pci != gpus[device - 1].gpu.pci;
            if (is_nvidia(gpus[device]) && first_of_card && left-- == 0) {
                return device;
            }
        }
        return std::nullopt;
    }
    std::optional<std::size_t> found;
    for (std::size_t device = 0; device < gpus.size(); ++device) {
        const std::string& uuid = gpus[device].gpu.uuid;
        if (is_nvidia(gpus[device]) && !entry.empty() && uuid.substr(0, entry.size()) == entry) {
            if (found) {
                return std::nullopt;  // ambiguous
            }
            found = device;
        }
    }
    return found;
}

bool has_unequal_models(const std::vector<Accelerator>& gpus) {
    const Accelerator* first = nullptr;
    for (const Accelerator& gpu : gpus) {
        if (is_nvidia(gpu)) {
            first = first == nullptr ? &gpu : first;
            if (gpu.gpu.model != first->gpu.model) {
                return true;
            }
        }
    }
    return false;
}

}  // namespace

void apply_cuda_visible_devices(std::string_view value,
                                bool pci_order,
                                std::vector<Accelerator>& gpus,
                                std::vector<std::string>& warnings) {
    if (std::none_of(gpus.begin(), gpus.end(), is_nvidia)) {
        return;
    }
    std::vector<bool> visible(gpus.size());
    bool by_index = false;
    for (const std::string_view part : split(value, ',')) {
        const std::string_view entry = trim(part);
        const auto device = named_by(entry, gpus);
        if (!device || visible[*device]) {
            if (!trim(value).empty() && entry != "-1" && entry != "NoDevFiles") {
                warnings.push_back(
                    fmt::format("CUDA_VISIBLE_DEVICES: '{}' {}, so it and what follows is hidden",
                                entry,
                                device ? "comes twice" : "names no GPU here"));
            }
            break;
        }
        visible[*device] = true;
        by_index |= parse_integer(entry, 0, index_max).has_value();
    }
    if (by_index && !pci_order && has_unequal_models(gpus)) {
        warnings.emplace_back(
            "CUDA_VISIBLE_DEVICES has indices, but CUDA orders these unequal GPUs by speed: set "
            "CUDA_DEVICE_ORDER=PCI_BUS_ID or use UUIDs");
    }
    std::vector<Accelerator> kept;
    for (std::size_t device = 0; device < gpus.size(); ++device) {
        if (visible[device] || !is_nvidia(gpus[device])) {
            kept.push_back(std::move(gpus[device]));
        }
    }
    gpus = std::move(kept);
}

}  // namespace mpitrain::topology
