#include "mpitrain/cli/program.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

namespace mpitrain::cli {
namespace {

EnvironmentMap read_environment() {
    EnvironmentMap environment;
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

int run_program(int argc,
                char** argv,
                int (*body)(std::span<const std::string> words,
                            const EnvironmentMap& environment)) {
    try {
        const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
        return body(words, read_environment());
    } catch (const std::exception& defect) {
        std::fprintf(stderr, "mpitrain: error: %s\n", defect.what());
        return 125;
    }
}

}  // namespace mpitrain::cli
