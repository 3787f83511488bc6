#include <cstddef>
#include <cstdint>
#include <string>

#include "accelerator.hpp"
#include "assemble.hpp"
#include "in_child.hpp"
#include "load_machine.hpp"
#include "mpitrain/base/assert.hpp"
#include "xml.hpp"

// Whatever a file holds, this process survives it, and what comes of it obeys the limits of a
// machine. hwloc itself does not survive every file: that is what the child is for.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mpitrain::topology;
    const std::string xml(data, data + size);
    if (!check_xml(xml)) {
        return 0;
    }
    const auto node = in_child([&xml]() -> mpitrain::Result<mpitrain::NodeTopology> {
        MPITRAIN_TRY(Machine machine, load_xml_machine(xml));
        std::vector<Accelerator> gpus = find_gpus(machine, machine.warnings);
        return assemble(std::move(machine), std::move(gpus), {}, mpitrain::Device::automatic);
    });
    mpitrain::CpuSet taken;
    for (std::size_t index = 0; node && index < node->slots.size(); ++index) {
        MPITRAIN_ASSERT(!taken.intersects(node->slots[index].cpus));
        taken |= node->slots[index].cpus;
    }
    MPITRAIN_ASSERT(!node || node->allowed.includes(taken));
    return 0;
}
