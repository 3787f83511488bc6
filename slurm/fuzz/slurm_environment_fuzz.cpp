#include <cstddef>
#include <cstdint>
#include <string>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/slurm/allocation.hpp"

// The variables' values, one a line, as if Slurm had set them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace mpitrain;
    EnvironmentMap environment;
    std::string text(data, data + size);
    for (const char* name : {"SLURM_JOB_ID",
                             "SLURM_JOB_NODELIST",
                             "SLURM_TASKS_PER_NODE",
                             "SLURM_NTASKS",
                             "SLURM_RESTART_COUNT",
                             "SLURM_STEP_NUM_TASKS",
                             "SLURMD_NODENAME"}) {
        const std::size_t end = text.find('\n');
        environment[name] = text.substr(0, end);
        text = end == std::string::npos ? "" : text.substr(end + 1);
    }
    const auto allocation = slurm::read_allocation(environment);
    if (allocation && *allocation) {
        MPITRAIN_ASSERT((*allocation)->nodes.size() == (*allocation)->tasks.size());
        MPITRAIN_ASSERT((*allocation)->slots() >= 0);
    }
    return 0;
}
