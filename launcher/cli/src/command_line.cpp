#include <fmt/format.h>

#include <algorithm>

#include "commands.hpp"
#include "mpitrain/base/assert.hpp"
#include "mpitrain/settings/suggest.hpp"

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
constexpr std::string_view later_commands[] = {"submit", "job", "node", "sim"};

Error unknown_command(std::string_view word) {
    if (std::ranges::find(later_commands, word) != std::end(later_commands)) {
        return Error(ErrorCode::invalid_argument, fmt::format("'{}' is not in this build", word))
            .mend("this version runs jobs on one machine: see mpitrain run");
    }
    std::vector<std::string_view> names = {"help"};
    for (const Command& command : commands()) {
        names.push_back(command.name);
    }
    const std::string near = settings::nearest(word, names);
    return Error(ErrorCode::invalid_argument, fmt::format("unknown command '{}'", word))
        .mend(near.empty() ? "see mpitrain --help" : fmt::format("did you mean {}?", near));
}

// MPITRAIN_OPT_* or, failing that, "".
Result<std::string> from_environment(const settings::Option& option,
                                     const EnvironmentMap& environment) {
    const std::string variable = settings::variable_name(option);
    const auto found = environment.find(variable);
    if (found == environment.end()) {
        return std::string();
    }
    if (auto choice = settings::check_choice(option, found->second); !choice) {
        return std::move(choice).error().at(variable);
    }
    return found->second;
}

Result<Terminal> make_terminal(const settings::Scan& line, const EnvironmentMap& environment) {
    std::string values[2];
    for (std::size_t i = 0; i < 2; ++i) {
        MPITRAIN_TRY(values[i], from_environment(common_table[i], environment));
        for (const settings::Given& given : line.given) {
            values[i] = given.option == &common_table[i] ? given.value : values[i];
        }
    }
    const Format format = values[0] == "json"    ? Format::json
                          : values[0] == "quiet" ? Format::quiet
                                                 : Format::table;
    const Colour colour = values[1] == "always"  ? Colour::always
                          : values[1] == "never" ? Colour::never
                                                 : Colour::automatic;
    const auto no_colour = environment.find("NO_COLOR");
    return Terminal(format, colour, no_colour != environment.end() && !no_colour->second.empty());
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
int run_without_command(std::span<const std::string> words, Terminal& terminal) {
    settings::OptionSet set;
    settings::append(set, common_table);
    const auto line = settings::scan(set, words, settings::Order::mixed);
    if (!line) {
        terminal.fail(line.error());
        return 2;
    }
    if (was_given(*line, "version")) {
        terminal.print(fmt::format("mpitrain {}\n", version()));
        return 0;
    }
    if (was_given(*line, "help")) {
        terminal.print(help_text(nullptr));
        return 0;
    }
    terminal.fail(
        Error(ErrorCode::invalid_argument, "no command given").mend("see mpitrain --help"));
    return 2;
}

int run_command_words(const Command& command,
                      std::span<const std::string> words,
                      const EnvironmentMap& environment,
                      Terminal& fallback) {
    settings::Scan line;
    if (!command.passes_words) {
        auto scanned = settings::scan(all_options(command), words, command.order);
        if (!scanned) {
            fallback.fail(scanned.error());
            return 2;
        }
        line = *std::move(scanned);
    }
    auto terminal = make_terminal(line, environment);
    if (!terminal) {
        fallback.fail(terminal.error());
        return 2;
    }
    if (was_given(line, "help")) {
        terminal->print(help_text(&command));
        return finish(*terminal, 0);
    }
    if (was_given(line, "version")) {
        terminal->print(fmt::format("mpitrain {}\n", version()));
        return finish(*terminal, 0);
    }
    Invocation invocation{command,
                          std::vector<std::string>(words.begin(), words.end()),
                          std::move(line),
                          environment,
                          *terminal};
    return finish(*terminal, command.run(invocation));
}

}  // namespace

std::span<const settings::Option> common_options() {
    return common_table;
}

settings::OptionSet all_options(const Command& command) {
    settings::OptionSet set;
    settings::append(set, command.options);
    settings::append(set, common_table);
    return set;
}

std::string Invocation::value(std::string_view option) const {
    const auto given =
        std::ranges::find_if(line.given.rbegin(), line.given.rend(), [option](const auto& one) {
            return one.option->name == option;
        });
    if (given != line.given.rend()) {
        return given->value;
    }
    const settings::Option* known = settings::find(all_options(command), option);
    MPITRAIN_ASSERT(known != nullptr);
    const auto variable = environment.find(settings::variable_name(*known));
    return variable == environment.end() ? "" : variable->second;
}

int run_command(const Command& command,
                std::span<const std::string> words,
                const EnvironmentMap& environment) {
    Terminal fallback(Format::table, Colour::automatic, environment.contains("NO_COLOR"));
    return run_command_words(command, words, environment, fallback);
}

int run_command_line(std::span<const std::string> words, const EnvironmentMap& environment) {
    Terminal terminal(Format::table, Colour::automatic, environment.contains("NO_COLOR"));
    if (!words.empty() && words[0] == "help") {
        words = words.subspan(1);
        if (words.empty()) {
            terminal.print(help_text(nullptr));
            return finish(terminal, 0);
        }
        const std::vector<std::string> asked = {words[0], "--help"};
        return run_command_line(asked, environment);
    }
    if (words.empty() || words[0].starts_with('-')) {
        return finish(terminal, run_without_command(words, terminal));
    }
    const auto command = std::ranges::find(commands(), words[0], &Command::name);
    if (command == commands().end()) {
        terminal.fail(unknown_command(words[0]));
        return 2;
    }
    return run_command_words(*command, words.subspan(1), environment, terminal);
}

}  // namespace mpitrain::cli
