#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/model/job_spec.hpp"

namespace mpitrain {

// What of the submitter's environment reaches the ranks: all of it but for what an outer launcher,
// an earlier job or mpitrain itself left there (docs/guide/options.md lists it), which would tell a
// rank lies about itself.
EnvironmentMap rank_base_environment(const EnvironmentMap& submitter);

// The names that are dropped; one that ends in '*' stands for all that begin so.
std::vector<std::string> denied_variables();

// Whether a variable's value should not be shown, judged by its name: tokens, keys, passwords.
bool is_secret(std::string_view name);

}  // namespace mpitrain
