#pragma once

#include <string>
#include <vector>

#include "pair_summary.hpp"

namespace mpitrain::bench {

struct LaunchRow {
    std::string name;
    int ranks = 0;
    bool shares_cores = false;
    int rounds = 0;
    PairSummary summary;
};

struct Machine {
    std::string host;
    std::string cpu;     // its model, empty = unknown
    int cpus = 0;        // that this process may use
    double load = 0;     // one-minute load average
    std::string engine;  // "mpirun (Open MPI) 4.1.4"
};

// This machine now. `engine` is left empty.
Machine look_at_machine();

std::string to_table(const std::vector<LaunchRow>& rows, const Machine& machine);
// mpitrain.bench/1 (docs/benchmarks/launch.md).
std::string to_json(const std::vector<LaunchRow>& rows, const Machine& machine);
// Name, ranks, ratio and difference, one line each, for --output quiet.
std::string to_quiet(const std::vector<LaunchRow>& rows);

}  // namespace mpitrain::bench
