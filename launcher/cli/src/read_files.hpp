#pragma once

#include <string>
#include <vector>

#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/settings/layers.hpp"

// The files that a user hands to mpitrain, read whole.
namespace mpitrain::cli {

// The text of a file that the user named; "-" is the standard input. Errors: invalid_argument
// whatever the reason, since unreadable input is a usage error (exit code 2).
Result<std::string> read_input_file(const std::string& path);

// Where config files may be, lowest precedence first.
std::vector<std::string> config_paths(const EnvironmentMap& environment);

// What the config files say of the options in `known`; files that are not there say nothing.
// Errors: invalid_argument at file:line:column, or for a file that cannot be read.
Result<settings::Layer> read_config(const settings::OptionSet& known,
                                    const EnvironmentMap& environment);

}  // namespace mpitrain::cli
