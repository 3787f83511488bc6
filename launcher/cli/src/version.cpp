#include "mpitrain/cli/command.hpp"

namespace mpitrain::cli {

std::string_view version() {
    return MPITRAIN_VERSION;
}

}  // namespace mpitrain::cli
