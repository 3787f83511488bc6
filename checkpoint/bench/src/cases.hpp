#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "team.hpp"

namespace mpitrain::checkpoint::bench {

struct Settings {
    std::string directory;  // empty at first, and again at the end
    std::uint64_t total_bytes = 0;
    int rounds = 9;  // besides a first one that is dropped
    std::uint64_t seed = 1;
    std::vector<std::size_t> tensor_counts = {1, 300, 10'000};
    bool on_device = false;  // what is saved and loaded is in the current GPU's memory
};

// What is measured, and on how many tensors.
using CaseName = std::pair<std::string, std::size_t>;

struct Sample {
    std::uint64_t bytes = 0;      // written or read by all ranks together
    std::vector<double> seconds;  // by round
};

using Samples = std::map<CaseName, Sample>;

// Runs every case, round by round. Collective; rank 0's samples count. Errors: those of the files,
// and data_loss when what was loaded is not what was saved.
Result<Samples> measure(const Team& team, const Settings& settings);

}  // namespace mpitrain::checkpoint::bench
