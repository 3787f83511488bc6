#include <unistd.h>

#include <cstdio>
#include <exception>

#include "schedule_command.hpp"

// mpitrain-bench-schedule [options]: what `mpitrain bench schedule` becomes.
namespace {

mpitrain::EnvironmentMap read_environment() {
    mpitrain::EnvironmentMap environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        const std::size_t equals = text.find('=');
        if (equals != std::string_view::npos) {
            environment.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return environment;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
        const auto environment = read_environment();
        return mpitrain::cli::run_command(mpitrain::bench::schedule_command, words, environment);
    } catch (const std::exception& defect) {  // nothing of ours throws: out of memory, or a defect
        std::fprintf(stderr, "mpitrain: error: %s\n", defect.what());
        return 125;
    }
}
