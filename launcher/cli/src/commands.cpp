#include "commands.hpp"

namespace mpitrain::cli {

std::span<const Command> commands() {
    static const Command table[] = {
        ckpt_command,
        bench_command,
    };
    return table;
}

}  // namespace mpitrain::cli
