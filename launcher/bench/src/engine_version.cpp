#include "engine_version.hpp"

#include <fstream>

#include "timed_run.hpp"

namespace mpitrain::bench {

Result<std::string> engine_version(const LaunchTools& tools, const EnvironmentMap& environment) {
    const std::string answer = tools.directory + "/version";
    MPITRAIN_TRY([[maybe_unused]] const double asked_ms,
                 run_timed({.argv = {"mpirun", "--version"},
                            .environment = environment,
                            .out_path = answer,
                            .err_path = tools.directory + "/stderr"}));
    std::ifstream file(answer);
    std::string line;
    std::getline(file, line);
    return line;
}

}  // namespace mpitrain::bench
