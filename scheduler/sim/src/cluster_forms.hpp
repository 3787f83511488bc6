#pragma once

#include <string_view>

#include "mpitrain/jobfile/yaml.hpp"
#include "mpitrain/sim/cluster_file.hpp"

// One reader for each form that read_cluster knows.
namespace mpitrain::sim {

Result<scheduler::ClusterSpec> read_yaml_cluster(const jobfile::YamlNode& document,
                                                 std::string_view name,
                                                 const NodeDefaults& defaults);
Result<scheduler::ClusterSpec> read_topograph_model(const jobfile::YamlNode& document,
                                                    std::string_view name,
                                                    const NodeDefaults& defaults);
Result<scheduler::ClusterSpec> read_topology_conf(std::string_view text,
                                                  std::string_view name,
                                                  const NodeDefaults& defaults);
Result<scheduler::ClusterSpec> read_csv_cluster(std::string_view text,
                                                std::string_view name,
                                                const NodeDefaults& defaults);

}  // namespace mpitrain::sim
