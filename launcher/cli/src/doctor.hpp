#pragma once

#include <string>
#include <vector>

#include <cstdint>

namespace mpitrain::cli {

enum class Health : std::uint8_t { ok, warn, fail };

// One thing that was looked at. `mend` says what to do where it is not ok.
struct Finding {
    Health health = Health::ok;
    std::string what;
    std::string found;
    std::string mend;
};

// Looks at everything that a run needs on this machine. Starts mpirun --version, makes and removes
// one file in /dev/shm; takes at most some seconds.
std::vector<Finding> examine();

}  // namespace mpitrain::cli
