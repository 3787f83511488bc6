#pragma once

#include <string>
#include <vector>

#include "mpitrain/cli/command.hpp"
#include "mpitrain/model/hostfile.hpp"

namespace mpitrain::cli {

// The job that an invocation of run, submit or plan describes.
struct JobRequest {
    JobSpec spec;                    // valid, paths absolute
    settings::Layer settings;        // every setting that was made, with its origin
    std::vector<std::string> notes;  // for people: how a manifest was understood
    // The machines that the job names, when they are not this one alone; each once.
    std::vector<HostEntry> hosts = {};
};

// All settings of a job: config files, the job file, variables and flags over one another.
struct JobSettings {
    settings::Layer settings;
    settings::CommandGroups commands;
    std::map<std::string, std::string> slurm;
    std::string kubernetes_json;
    std::vector<std::string> notes;
};
Result<JobSettings> read_job_settings(const Invocation& invocation);

// Reads the job file, if any, and puts everything together, for whatever machine. Errors:
// invalid_argument (exit code 2).
Result<JobRequest> read_job_to_submit(const Invocation& invocation);

// The same, to be run here: a hostfile that names only this machine becomes spec.host. Errors: also
// unsatisfiable.
Result<JobRequest> read_job(const Invocation& invocation);

}  // namespace mpitrain::cli
