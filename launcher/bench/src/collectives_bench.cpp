#include "collectives_bench.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "mpitrain/cli/beside_us.hpp"

namespace mpitrain::bench {

namespace {

constexpr std::string_view verbs[] = {"allreduce",
                                      "reduce",
                                      "broadcast",
                                      "reduce_scatter",
                                      "allgather",
                                      "all_to_all",
                                      "overlap",
                                      "preflight"};

// Options of mpitrain run that choose ranks: those with a value of their own, and the others.
constexpr std::string_view with_value[] = {
    "-n", "-np", "--ranks", "--host", "--hostfile", "--nodes", "--ranks-per-node"};
constexpr std::string_view alone[] = {"--oversubscribe"};

template <std::size_t n>
bool is_one_of(const std::string_view (&all)[n], std::string_view word) {
    return std::find(std::begin(all), std::end(all), word) != std::end(all);
}

}  // namespace

bool is_collective(std::string_view verb) {
    return is_one_of(verbs, verb);
}

std::vector<std::string> collectives_command(std::string_view mpitrain,
                                             std::string_view program,
                                             std::span<const std::string> words) {
    std::vector<std::string> run{std::string(mpitrain), "run", "--no-tag"};
    std::vector<std::string> rest;
    for (std::size_t i = 0; i < words.size(); ++i) {
        const std::string_view name = std::string_view(words[i]).substr(0, words[i].find('='));
        if (is_one_of(alone, name) || (is_one_of(with_value, name) && name != words[i])) {
            run.push_back(words[i]);
        } else if (is_one_of(with_value, name)) {
            run.push_back(words[i]);
            if (i + 1 < words.size()) {
                run.push_back(words[++i]);
            }
        } else {
            rest.push_back(words[i]);
        }
    }
    run.emplace_back("--");
    run.emplace_back(program);
    run.insert(run.end(), rest.begin(), rest.end());
    return run;
}

int bench_collectives(std::span<const std::string> words, cli::Terminal& terminal) {
    auto mpitrain = cli::find_program_beside_us("mpitrain");
    if (!mpitrain) {
        return cli::fail(terminal, mpitrain.error());
    }
    const auto program = cli::find_program_beside_us("mpitrain-bench-collectives");
    if (!program) {
        return cli::fail(terminal, program.error());
    }
    const bool wants_help = std::any_of(words.begin(), words.end(), [](const std::string& word) {
        return word == "-h" || word == "--help";
    });
    auto command = collectives_command(*mpitrain, *program, words);
    if (wants_help) {  // one program is enough to tell
        command = {*program, "--help"};
    }
    std::vector<char*> arguments;
    for (std::string& word : command) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    return cli::fail(terminal, system_error(errno, "start", command[0]));
}

}  // namespace mpitrain::bench
