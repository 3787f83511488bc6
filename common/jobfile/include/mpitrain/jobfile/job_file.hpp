#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/settings/layers.hpp"

namespace mpitrain::jobfile {

// What a job file or an MPIJob manifest says.
struct JobFile {
    settings::Layer settings;          // origins are "name:line:column"
    std::vector<CommandGroup> groups;  // empty when the file names no command
    std::map<std::string, std::string> slurm;
    std::string kubernetes_json;  // empty, or an object
    std::vector<std::string>
        notes;  // for people: how a manifest was understood, and what of it has no meaning here
};

// Reads `text`, a job file of ours (docs/guide/job-file.md) or an MPIJob of kubeflow.org/v2beta1.
// `name` stands for the file in errors and origins. Values are checked when the job is made, not
// here. Errors: invalid_argument at "name:line:column", an unknown key with a suggestion.
Result<JobFile> read_job_file(std::string_view text, std::string_view name);

// Reads a config file: the keys of `known`, nothing else. Errors: as above.
Result<settings::Layer> read_config_file(std::string_view text,
                                         std::string_view name,
                                         const settings::OptionSet& known);

}  // namespace mpitrain::jobfile
