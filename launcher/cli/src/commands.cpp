#include "commands.hpp"

namespace mpitrain::cli {

std::span<const Command> commands() {
    static const Command table[] = {
        run_job_command,
        submit_command,
        job_command,
        plan_command,
        topo_command,
        ckpt_command,
        bench_command,
        sim_command,
        doctor_command,
        config_command,
        completion_command,
    };
    return table;
}

}  // namespace mpitrain::cli
