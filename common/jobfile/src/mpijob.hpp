#pragma once

#include <string_view>
#include <vector>

#include "mpitrain/jobfile/job_file.hpp"
#include "mpitrain/jobfile/yaml.hpp"

namespace mpitrain::jobfile {

// Reads the MPIJob of kubeflow.org/v2beta1 among `documents` as a job for this machine: the
// launcher's command is what the ranks run (or, where it is mpirun, the program that mpirun
// starts), workers × slots are the ranks, limits become the ranks' shares. Everything else is told
// in `notes`. Errors: invalid_argument at "name:line:column".
Result<JobFile> read_mpijob(std::string_view name, const std::vector<YamlNode>& documents);

}  // namespace mpitrain::jobfile
