#pragma once

#include <optional>

#include "measure.hpp"

namespace mpitrain::collectives::bench {

enum class Format { table, json, quiet };

struct Options {
    Plan plan;
    bool overlap = false;    // the verb `overlap`: measure_overlap() instead
    bool verify = false;     // the verb `verify`: verify_everything() instead
    bool repeat = false;     // the verb `repeat`: repeat_with_delays() instead
    bool preflight = false;  // the verb `preflight`: preflight() instead
    bool huge = false;       // with verify: beyond 2^31 bytes too
    bool shared_memory = true;
    Format format = Format::table;
};

// Reads the command line; none after --help, whose text is then in `help`. Errors:
// invalid_argument.
Result<std::optional<Options>> parse_options(int argc, const char* const* argv, std::string& help);

}  // namespace mpitrain::collectives::bench
