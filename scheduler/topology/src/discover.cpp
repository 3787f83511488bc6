#include "mpitrain/topology/discover.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "accelerator.hpp"
#include "assemble.hpp"
#include "driver.hpp"
#include "in_child.hpp"
#include "limits.hpp"
#include "load_machine.hpp"
#include "text_file.hpp"
#include "visible.hpp"
#include "xml.hpp"

namespace mpitrain::topology {
namespace {

std::string host_name() {
    std::array<char, 256> name{};
    return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

Result<NodeTopology> read_recorded(const std::string& xml, const DiscoverOptions& options) {
    MPITRAIN_TRY(Machine machine, load_xml_machine(xml));
    if (machine.host.empty()) {
        machine.host = std::filesystem::path(options.xml_file).stem().string();
    }
    std::vector<Accelerator> gpus = find_gpus(machine, machine.warnings);
    return assemble(std::move(machine), std::move(gpus), {}, options.device);
}

Result<NodeTopology> discover_file(const DiscoverOptions& options) {
    MPITRAIN_TRY(const std::string xml, read_file(options.xml_file, xml_size_max));
    if (auto checked = check_xml(xml); !checked) {
        return std::move(checked.error()).at(options.xml_file);
    }
    auto node = in_child([&] { return read_recorded(xml, options); });
    if (!node) {
        return std::move(node.error()).at(options.xml_file);
    }
    return node;
}

Result<NodeTopology> discover_synthetic(const DiscoverOptions& options) {
    MPITRAIN_TRY(Machine machine, load_synthetic_machine(options.synthetic));
    return assemble(std::move(machine), {}, {}, options.device);
}

Result<NodeTopology> discover_live(const DiscoverOptions& options) {
    const std::string root = options.root == "/" ? std::string() : options.root;
    // CPU slots know nothing of devices, and the scan of the PCI bus is most of the time.
    const bool with_devices = options.device != Device::cpu && may_have_gpus(root);
    MPITRAIN_TRY(Machine machine, load_live_machine(with_devices));
    machine.host = host_name();
    std::vector<Accelerator> gpus;
    if (with_devices) {
        gpus = find_gpus(machine, machine.warnings);
        apply_drivers(root, options.nvml_library, machine, gpus);
        if (options.cuda_visible_devices) {
            apply_cuda_visible_devices(
                *options.cuda_visible_devices, options.cuda_pci_order, gpus, machine.warnings);
        }
    }
    return assemble(
        std::move(machine), std::move(gpus), read_cpu_limits(options.root), options.device);
}

}  // namespace

DiscoverOptions DiscoverOptions::from_environment() {
    DiscoverOptions options;
    if (const char* value = std::getenv("CUDA_VISIBLE_DEVICES")) {
        options.cuda_visible_devices = value;
    }
    if (const char* value = std::getenv("CUDA_DEVICE_ORDER")) {
        options.cuda_pci_order = std::string_view(value) == "PCI_BUS_ID";
    }
    return options;
}

Result<NodeTopology> discover(const DiscoverOptions& options) {
    if (!options.xml_file.empty() && !options.synthetic.empty()) {
        return Error(ErrorCode::invalid_argument, "a file and a synthetic machine were both given")
            .mend("use one of --input and --synthetic");
    }
    if (!options.xml_file.empty()) {
        return discover_file(options);
    }
    return options.synthetic.empty() ? discover_live(options) : discover_synthetic(options);
}

}  // namespace mpitrain::topology
