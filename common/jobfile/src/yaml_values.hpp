#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/jobfile/yaml.hpp"
#include "mpitrain/model/job_spec.hpp"

// How values of one shape are taken from a YAML tree. `name` stands for the file; errors are at its
// line and column.
namespace mpitrain::jobfile {

Error bad_value(std::string_view name,
                const YamlNode& node,
                std::string what,
                std::string_view mend);

// A text, number or truth value, as text.
Result<std::string> scalar_of(std::string_view name, const YamlNode& node);
// A list of those.
Result<std::vector<std::string>> list_of(std::string_view name, const YamlNode& node);
// A mapping of names to those.
Result<EnvironmentMap> map_of(std::string_view name, const YamlNode& node);
// A program and its arguments: a list that is not empty.
Result<std::vector<std::string>> command_of(std::string_view name, const YamlNode& node);

// The error for a key that is none of `known`.
Error unknown_key(std::string_view name,
                  const YamlEntry& entry,
                  const std::vector<std::string_view>& known);

// The tree as JSON text; plain scalars become numbers, truth values or null where they read so.
std::string json_of(const YamlNode& node);

}  // namespace mpitrain::jobfile
