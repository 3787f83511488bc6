#pragma once

#include "mpitrain/jobfile/job_file.hpp"
#include "mpitrain/settings/layers.hpp"

namespace mpitrain::jobfile {

// The job that a file alone describes.
inline Result<JobSpec> job_of_file(std::string_view text) {
    MPITRAIN_TRY(const JobFile file, read_job_file(text, "job.yaml"));
    return settings::make_job(
        file.settings, {file.groups, settings::OriginKind::job_file}, {"/here", "/home/ada"});
}

}  // namespace mpitrain::jobfile
