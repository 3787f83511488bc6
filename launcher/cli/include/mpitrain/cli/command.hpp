#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/cli/terminal.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/settings/layers.hpp"
#include "mpitrain/settings/option.hpp"

namespace mpitrain::cli {

struct Invocation;

// One noun of the command line. All texts live as long as the program; help, man pages and
// completions are made from them.
struct Command {
    std::string_view name;
    std::string_view summary;      // one line, without a final full stop
    std::string_view usage;        // what follows the name
    std::string_view description;  // paragraphs, with line breaks only between them
    std::string_view example;      // whole shell lines
    std::span<const settings::Option> options =
        {};                       // its own; every command has the common ones too
    bool describes_job = false;   // has the options of run, submit and plan as well
    std::string_view verbs = {};  // "show|verify" where the first plain word must be one of them
    settings::Order order = settings::Order::mixed;
    bool passes_words = false;          // another program of ours reads the words
    bool takes_words = false;           // plain words are its own to check
    int (*run)(Invocation&) = nullptr;  // gives the exit code
};

// A command being carried out.
struct Invocation {
    const Command& command;
    std::vector<std::string> words;  // all that followed the name
    settings::Scan line;             // the same, read; empty where the command passes words on
    // What the command's options were set to, apart from a job file: config files, MPITRAIN_OPT_*,
    // flags.
    settings::Layer config;
    settings::Layer variables;
    settings::Layer flags;
    std::span<const Command> commands;  // of the whole program
    const EnvironmentMap& environment;  // mpitrain's own
    Terminal& terminal;

    // The value of an option that does not repeat, by precedence; "" where nothing sets it.
    [[nodiscard]] std::string value(std::string_view option) const;
    // Whether a switch is on.
    [[nodiscard]] bool is_on(std::string_view option) const;
};

// --output, --color, --help, --version.
std::span<const settings::Option> common_options();
// All that a command takes, its own options first.
settings::OptionSet all_options(const Command& command);
// The options of a job and of these commands.
settings::OptionSet known_options(std::span<const Command> commands);

// What main() does: finds the command among `commands`, reads its options and runs it. Gives the
// exit code.
int run_command_line(std::span<const Command> commands,
                     std::span<const std::string> words,
                     const EnvironmentMap& environment);

// The same for the words that follow a command's name, where a program has but that one: what
// `mpitrain` passes words on to.
int run_command(const Command& command,
                std::span<const std::string> words,
                const EnvironmentMap& environment);

// The usage of mpitrain with these commands, and of one command.
std::string help_text(std::span<const Command> commands);
std::string help_text(const Command& command);

std::string_view version();

// Prints the error and gives its exit code.
int fail(Terminal& terminal, const Error& error);

}  // namespace mpitrain::cli
