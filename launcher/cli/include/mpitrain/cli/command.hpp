#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/cli/terminal.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/settings/option.hpp"

namespace mpitrain::cli {

struct Invocation;

// One noun of the command line. All texts live as long as the program; help, man pages and
// completions are made from them.
struct Command {
    std::string_view name;
    std::string_view summary;      // one line, without a final full stop
    std::string_view usage;        // what follows the name
    std::string_view description;  // a paragraph or two, no line breaks but between paragraphs
    std::string_view example;      // whole shell lines
    std::span<const settings::Option> options =
        {};                       // its own; every command has the common ones too
    std::string_view verbs = {};  // "show|verify" where the first plain word must be one of them
    settings::Order order = settings::Order::mixed;
    bool passes_words = false;  // another program of ours reads the words
    int (*run)(Invocation&);    // gives the exit code
};

// A command being carried out.
struct Invocation {
    const Command& command;
    std::vector<std::string> words;     // all that followed the name
    settings::Scan line;                // the same, read; empty where the command passes words on
    const EnvironmentMap& environment;  // mpitrain's own
    Terminal& terminal;

    // The value of an option: as written, else MPITRAIN_OPT_*, else "". The last one where it
    // repeats.
    [[nodiscard]] std::string value(std::string_view option) const;
    [[nodiscard]] bool has(std::string_view option) const { return !value(option).empty(); }
};

// --output, --color, --help, --version.
std::span<const settings::Option> common_options();
// A command's own options and the common ones.
settings::OptionSet all_options(const Command& command);

// Every command of this build, in the order of help.
std::span<const Command> commands();

// What main() does: finds the command, reads its options and runs it. Gives the exit code.
int run_command_line(std::span<const std::string> words, const EnvironmentMap& environment);

// The same for the words that follow a command's name, where a program has but that one: what
// `mpitrain` passes words on to.
int run_command(const Command& command,
                std::span<const std::string> words,
                const EnvironmentMap& environment);

// The usage of one command, or with nullptr of mpitrain.
std::string help_text(const Command* command);

std::string_view version();

}  // namespace mpitrain::cli
