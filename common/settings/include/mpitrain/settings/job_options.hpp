#pragma once

#include <optional>
#include <span>

#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/settings/option.hpp"

namespace mpitrain::settings {

// A job while its options are being read. The number of ranks is kept apart, since it belongs to a
// group of commands.
struct JobDraft {
    JobSpec spec;
    bool ranks_given = false;
    std::optional<int> ranks;  // nullopt = all
};

// The options of run, submit and plan (CONTRACT section 1), in the order of help.
std::span<const Option> job_options();

// Options of run, submit and plan that are about where a job is read from, not about the job:
// --file.
std::span<const Option> job_source_options();

}  // namespace mpitrain::settings
