#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launch_report.hpp"
#include "mpitrain/base/result.hpp"
#include "pair_summary.hpp"

namespace mpitrain::bench {

// What one case took, as the ranks wrote it down.
struct CheckpointSample {
    std::string name;
    std::uint64_t tensors = 1;
    std::uint64_t bytes = 0;
    std::vector<double> seconds;  // by round
};

struct CheckpointRun {
    int ranks = 0;
    std::string kernel;
    std::string file_system;  // its magic number
    std::vector<CheckpointSample> samples;
};

// The samples that mpitrain-bench-checkpoint wrote. Errors: data_loss.
Result<CheckpointRun> read_checkpoint_run(std::string_view json);

// One line of the table. The limit of a row is the fastest of the plain cases that it is compared
// with, in each round anew, and `ratio` the median over the rounds of how much of its speed was
// reached: 1 is as fast as plain files, more is better.
struct CheckpointRow {
    std::string name;
    std::uint64_t tensors = 1;
    int ranks = 0;
    int rounds = 0;
    std::uint64_t bytes = 0;
    Spread seconds;
    std::string limit;         // empty: this is a limit itself
    double limit_seconds = 0;  // median, for as many bytes
    double ratio = 0;
};

std::vector<CheckpointRow> checkpoint_rows(const CheckpointRun& run);

std::string to_table(const std::vector<CheckpointRow>& rows, const Machine& machine);
std::string to_json(const std::vector<CheckpointRow>& rows, const Machine& machine);
std::string to_quiet(const std::vector<CheckpointRow>& rows);

}  // namespace mpitrain::bench
