#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/settings/option.hpp"

namespace mpitrain::settings {

// Where a setting was made; a later kind overrides an earlier one.
enum class OriginKind : std::uint8_t { built_in, config_file, job_file, environment, flag };

struct Origin {
    OriginKind kind = OriginKind::built_in;
    std::string where;  // "--ranks", "MPITRAIN_OPT_RANKS", "job.yaml:3:8"
    bool operator==(const Origin&) const = default;
};

struct Setting {
    const Option* option = nullptr;
    std::vector<std::string> values;  // one, or several where the option repeats
    Origin origin;                    // of the last value
    bool operator==(const Setting&) const = default;
};

// Settings of one source, at most one an option.
using Layer = std::vector<Setting>;

const Setting* find(const Layer& layer, std::string_view option);

Layer flags_layer(const std::vector<Given>& given);

// MPITRAIN_OPT_* of the options in `set`. An empty variable counts as not set. `known` holds the
// options of every command: a variable that fits none of them is an error with a suggestion, since
// what it asks for would silently not happen. Errors: invalid_argument.
Result<Layer> environment_layer(const OptionSet& set,
                                const OptionSet& known,
                                const EnvironmentMap& environment);

// Lays layers over one another, lowest precedence first.
Layer merge(const std::vector<Layer>& layers);

// Commands and the ranks of each, as written on a command line or in a job file.
struct CommandGroups {
    std::vector<CommandGroup> groups;
    OriginKind origin = OriginKind::flag;
};

// Splits the words from the first program on at each ":" of its own, as mpirun does. Options in
// front of a later program are -n and --env alone. Errors: invalid_argument.
Result<CommandGroups> split_groups(const std::vector<std::string>& words);

// Directories that relative paths start from.
struct Places {
    std::string current;
    std::string home;  // for "~/"; empty = unknown
};

// Makes the job that these settings and commands describe: values read, paths made absolute, the
// ranks given to their groups, the name chosen, and all of it validated. Errors: invalid_argument,
// at the setting's origin.
Result<JobSpec> make_job(const Layer& settings,
                         const CommandGroups& commands,
                         const Places& places);

}  // namespace mpitrain::settings
