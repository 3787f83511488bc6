#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/cli/command.hpp"
#include "mpitrain/settings/job_options.hpp"
#include "mpitrain/settings/suggest.hpp"
#include "read_files.hpp"

namespace mpitrain::cli {
namespace {

constexpr settings::Option common_table[] = {
    {.name = "output",
     .value = "FORMAT",
     .summary = "table for people, json for scripts, quiet for the bare minimum",
     .fallback = "table",
     .choices = "table|json|quiet",
     .heading = "Common options"},
    {.name = "color",
     .value = "WHEN",
     .summary = "auto, always or never; auto obeys NO_COLOR",
     .fallback = "auto",
     .choices = "auto|always|never",
     .heading = "Common options"},
    {.name = "help", .letter = 'h', .summary = "show this help", .heading = "Common options"},
    {.name = "version", .summary = "show the version", .heading = "Common options"},
};

// Nouns that a later version brings. Naming them beats "unknown command".
constexpr std::string_view later_commands[] = {"node"};

Error unknown_command(std::span<const Command> commands, std::string_view word) {
    if (std::ranges::find(later_commands, word) != std::end(later_commands)) {
        return Error(ErrorCode::invalid_argument, fmt::format("'{}' is not in this build", word))
            .mend(
                "it needs a scheduler of our own: see mpitrain run and mpitrain submit --on slurm");
    }
    std::vector<std::string_view> names = {"help"};
    for (const Command& command : commands) {
        names.push_back(command.name);
    }
    const std::string near = settings::nearest(word, names);
    return Error(ErrorCode::invalid_argument, fmt::format("unknown command '{}'", word))
        .mend(near.empty() ? "see mpitrain --help" : fmt::format("did you mean {}?", near));
}

Terminal make_terminal(const settings::Layer& settings, const EnvironmentMap& environment) {
    const auto value = [&settings](std::string_view option) {
        const settings::Setting* setting = settings::find(settings, option);
        return setting == nullptr ? std::string() : setting->values.back();
    };
    const std::string output = value("output");
    const std::string color = value("color");
    const Format format = output == "json"    ? Format::json
                          : output == "quiet" ? Format::quiet
                                              : Format::table;
    const Colour colour = color == "always"  ? Colour::always
                          : color == "never" ? Colour::never
                                             : Colour::automatic;
    const auto no_colour = environment.find("NO_COLOR");
    return {format, colour, no_colour != environment.end() && !no_colour->second.empty()};
}

bool was_given(const settings::Scan& line, std::string_view name) {
    return std::ranges::any_of(
        line.given, [name](const settings::Given& given) { return given.option->name == name; });
}

int finish(Terminal& terminal, int code) {
    if (auto closed = terminal.close(); !closed) {
        terminal.fail(closed.error());
        return code == 0 ? 125 : code;
    }
    return code;
}

// Without a command there are only --help and --version.
int run_without_command(std::span<const Command> commands,
                        std::span<const std::string> words,
                        Terminal& terminal) {
    settings::OptionSet set;
    settings::append(set, common_table);
    const auto line = settings::scan(set, words, settings::Order::mixed);
    if (!line) {
        return fail(terminal, line.error());
    }
    if (was_given(*line, "version")) {
        terminal.print(fmt::format("mpitrain {}\n", version()));
        return 0;
    }
    if (was_given(*line, "help")) {
        terminal.print(help_text(commands));
        return 0;
    }
    return fail(terminal,
                Error(ErrorCode::invalid_argument, "no command given").mend("see mpitrain --help"));
}

// The plain words of a command that runs no program: its verb, and nothing else.
Result<void> check_words(const Command& command, const std::vector<std::string>& words) {
    if (command.takes_words || command.order == settings::Order::options_first) {
        return {};
    }
    if (!command.verbs.empty()) {
        if (words.empty()) {
            return Error(ErrorCode::invalid_argument, fmt::format("{} what?", command.name))
                .mend(fmt::format("write mpitrain {} {}", command.name, command.usage));
        }
        const settings::Option verb{.name = "verb", .choices = command.verbs};
        if (auto known = settings::check_choice(verb, words.front()); !known) {
            return std::move(known).error().at(command.name);
        }
    }
    const std::size_t expected = command.verbs.empty() ? 0 : 1;
    if (words.size() > expected) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("'{}' is not expected", words[expected]))
            .at(command.name)
            .mend(fmt::format("see mpitrain {} --help", command.name));
    }
    return {};
}

struct Layers {
    settings::Layer config;
    settings::Layer variables;
    settings::Layer flags;
};

// Reads the config files and MPITRAIN_OPT_* for a command, beside its flags.
Result<Layers> read_layers(std::span<const Command> commands,
                           const Command& command,
                           const settings::Scan& line,
                           const EnvironmentMap& environment) {
    const settings::OptionSet known = known_options(commands);
    const settings::OptionSet own = all_options(command);
    Layers layers;
    layers.flags = settings::flags_layer(line.given);
    MPITRAIN_TRY(layers.variables,
                 settings::environment_layer(
                     own, commands.empty() ? settings::OptionSet() : known, environment));
    MPITRAIN_TRY(settings::Layer config, read_config(known, environment));
    for (settings::Setting& setting : config) {
        // Two commands may have an option of one name each.
        setting.option = settings::find(own, setting.option->name);
        if (setting.option != nullptr) {
            layers.config.push_back(std::move(setting));
        }
    }
    return layers;
}

int run_command_words(std::span<const Command> commands,
                      const Command& command,
                      std::span<const std::string> words,
                      const EnvironmentMap& environment,
                      Terminal& fallback) {
    std::vector<std::string> all(words.begin(), words.end());
    if (command.passes_words) {
        Invocation invocation{
            command, std::move(all), {}, {}, {}, {}, commands, environment, fallback};
        return finish(fallback, command.run(invocation));
    }
    auto line = settings::scan(all_options(command), words, command.order);
    if (!line) {
        return fail(fallback, line.error());
    }
    if (was_given(*line, "help")) {
        fallback.print(help_text(command));
        return finish(fallback, 0);
    }
    if (was_given(*line, "version")) {
        fallback.print(fmt::format("mpitrain {}\n", version()));
        return finish(fallback, 0);
    }
    if (auto checked = check_words(command, line->rest); !checked) {
        return fail(fallback, checked.error());
    }
    auto layers = read_layers(commands, command, *line, environment);
    if (!layers) {
        return fail(fallback, layers.error());
    }
    Terminal terminal = make_terminal(
        settings::merge({layers->config, layers->variables, layers->flags}), environment);
    Invocation invocation{command,
                          std::move(all),
                          *std::move(line),
                          std::move(layers->config),
                          std::move(layers->variables),
                          std::move(layers->flags),
                          commands,
                          environment,
                          terminal};
    return finish(terminal, command.run(invocation));
}

}  // namespace

std::span<const settings::Option> common_options() {
    return common_table;
}

settings::OptionSet all_options(const Command& command) {
    settings::OptionSet set;
    settings::append(set, command.options);
    if (command.describes_job) {
        settings::append(set, settings::job_source_options());
        settings::append(set, settings::job_options());
    }
    settings::append(set, common_table);
    return set;
}

settings::OptionSet known_options(std::span<const Command> commands) {
    settings::OptionSet known;
    settings::append(known, settings::job_source_options());
    settings::append(known, settings::job_options());
    for (const Command& command : commands) {
        settings::append(known, command.options);
    }
    settings::append(known, common_table);
    return known;
}

std::string Invocation::value(std::string_view option) const {
    MPITRAIN_ASSERT(settings::find(all_options(command), option) != nullptr);
    for (const settings::Layer* layer : {&flags, &variables, &config}) {
        if (const settings::Setting* setting = settings::find(*layer, option)) {
            return setting->values.back();
        }
    }
    return "";
}

bool Invocation::is_on(std::string_view option) const {
    return settings::parse_switch(value(option)).value_or(false);
}

int fail(Terminal& terminal, const Error& error) {
    terminal.fail(error);
    return exit_code(error);
}

int run_command(const Command& command,
                std::span<const std::string> words,
                const EnvironmentMap& environment) {
    Terminal fallback(Format::table, Colour::automatic, environment.contains("NO_COLOR"));
    return run_command_words({}, command, words, environment, fallback);
}

int run_command_line(std::span<const Command> commands,
                     std::span<const std::string> words,
                     const EnvironmentMap& environment) {
    Terminal terminal(Format::table, Colour::automatic, environment.contains("NO_COLOR"));
    if (!words.empty() && words[0] == "help") {
        words = words.subspan(1);
        if (words.empty()) {
            terminal.print(help_text(commands));
            return finish(terminal, 0);
        }
        const std::vector<std::string> asked = {words[0], "--help"};
        return run_command_line(commands, asked, environment);
    }
    if (words.empty() || words[0].starts_with('-')) {
        return finish(terminal, run_without_command(commands, words, terminal));
    }
    const auto command = std::ranges::find(commands, words[0], &Command::name);
    if (command == commands.end()) {
        return fail(terminal, unknown_command(commands, words[0]));
    }
    return run_command_words(commands, *command, words.subspan(1), environment, terminal);
}

}  // namespace mpitrain::cli
