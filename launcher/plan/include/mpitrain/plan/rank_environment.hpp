#pragma once

#include <string_view>

#include "mpitrain/model/job_spec.hpp"

namespace mpitrain {

// What of the submitter's environment reaches the ranks: all of it but for what an outer launcher,
// an earlier job or mpitrain itself left there (docs/guide/options.md lists it), which would tell a
// rank lies about itself.
EnvironmentMap rank_base_environment(const EnvironmentMap& submitter);

// Whether a variable's value should not be shown, judged by its name: tokens, keys, passwords.
bool is_secret(std::string_view name);

}  // namespace mpitrain
