#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/jobfile/yaml.hpp"
#include "mpitrain/settings/layers.hpp"

namespace mpitrain::jobfile {

// One side of an MPIJob. The node is borrowed from the documents it was read from.
struct ManifestRole {
    const YamlNode* container = nullptr;  // the first one; nullptr when the job has no such role
    int replicas = 0;
    EnvironmentMap env;
};

// The fields of an MPIJob that mean something on a machine without Kubernetes.
struct Manifest {
    settings::Layer settings;  // name, time-limit, max-restarts, stop-grace, queue
    int slots_per_worker = 1;
    bool launcher_is_worker = false;
    std::string mpi = "OpenMPI";
    ManifestRole launcher;
    ManifestRole worker;
    std::vector<std::string> ignored;  // paths of all the other fields
};

// Reads the MPIJob `root`. Errors: invalid_argument at "name:line:column", for fields that have the
// wrong shape.
Result<Manifest> read_manifest(std::string_view name, const YamlNode& root);

// Adds one setting of a job, made at `node`.
void add_setting(settings::Layer& layer,
                 std::string_view option,
                 std::string value,
                 std::string_view name,
                 const YamlNode& node);

}  // namespace mpitrain::jobfile
