#pragma once

#include <string>
#include <vector>

#include "measure.hpp"

namespace mpitrain::collectives::bench {

struct Report {
    Plan plan;
    int ranks = 0;
    std::string library;  // the MPI below, one line
    std::vector<Row> rows;
};

// nccl-tests' columns, and MPI's own beside them.
std::string to_table(const Report& report);
// mpitrain.bench/1: a row for each size and way.
std::string to_json(const Report& report);
// Size, time and ratio (0: no baseline), one line each, for --output quiet.
std::string to_quiet(const Report& report);

}  // namespace mpitrain::collectives::bench
