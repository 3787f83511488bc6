#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "mpitrain/base/result.hpp"

namespace char_lm {

struct Options {
    std::string data = "/usr/share/dict/words";
    std::uint64_t steps = 4000;
    std::uint64_t batch = 512;   // examples of all ranks together
    std::uint64_t hidden = 256;  // units
    std::uint64_t seed = 1;
    double learning_rate = 0.003;
    std::uint64_t checkpoint_every = 200;  // steps; 0: only at the end and when told to stop
    std::string checkpoint_directory;      // empty: none
    std::uint64_t samples = 12;            // words written at the end
};

// What the command line says; nullopt when it asked for --help, which is then printed. Errors:
// invalid_argument naming the option.
mpitrain::Result<std::optional<Options>> parse_options(int argc, const char* const* argv);

}  // namespace char_lm
