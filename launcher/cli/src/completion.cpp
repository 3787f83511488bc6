#include "mpitrain/cli/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace mpitrain::cli {
namespace {

std::vector<std::string> split(std::string_view words) {
    std::vector<std::string> parts;
    while (!words.empty()) {
        const std::size_t bar = std::min(words.find('|'), words.size());
        parts.emplace_back(words.substr(0, bar));
        words.remove_prefix(std::min(bar + 1, words.size()));
    }
    return parts;
}

std::string spaced(std::string_view words) {
    return fmt::format("{}", fmt::join(split(words), " "));
}

// Flags as typed: "--ranks -n …".
std::vector<std::string> flags_of(const Command& command) {
    std::vector<std::string> flags;
    for (const settings::Option* option : all_options(command)) {
        flags.push_back(fmt::format("--{}", option->name));
        if (option->letter != 0) {
            flags.push_back(fmt::format("-{}", option->letter));
        }
    }
    return flags;
}

std::string pattern_of(const settings::Option& option, std::string_view between) {
    return option.letter == 0 ? fmt::format("--{}", option.name)
                              : fmt::format("--{}{}-{}", option.name, between, option.letter);
}

// Between single quotes of a shell.
std::string quoted(std::string_view text) {
    std::string result = "'";
    for (const char c : text) {
        result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return result + "'";
}

// Every option of the program once, for what follows an option is the same in each command.
std::vector<const settings::Option*> distinct_options(std::span<const Command> commands) {
    std::vector<const settings::Option*> distinct;
    for (const Command& command : commands) {
        for (const settings::Option* option : all_options(command)) {
            const bool is_new = std::ranges::none_of(
                distinct,
                [option](const settings::Option* other) { return other->name == option->name; });
            if (is_new) {
                distinct.push_back(option);
            }
        }
    }
    return distinct;
}

std::string names_of(std::span<const Command> commands) {
    std::string names;
    for (const Command& command : commands) {
        names += fmt::format("{} ", command.name);
    }
    return names + "help";
}

std::string bash_values(std::span<const Command> commands) {
    std::string cases;
    for (const settings::Option* option : distinct_options(commands)) {
        if (option->value.empty()) {
            continue;
        }
        std::string action = "return";
        if (!option->choices.empty()) {
            action = fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\")); return",
                                 spaced(option->choices));
        } else if (option->completes == settings::Completes::file) {
            action = "COMPREPLY=($(compgen -f -- \"$cur\")); return";
        } else if (option->completes == settings::Completes::directory) {
            action = "COMPREPLY=($(compgen -d -- \"$cur\")); return";
        }
        cases += fmt::format("        {}) {} ;;\n", pattern_of(*option, "|"), action);
    }
    return cases;
}

std::string bash_commands(std::span<const Command> commands) {
    std::string cases;
    for (const Command& command : commands) {
        cases += fmt::format("        {}) flags='{}'; verbs='{}' ;;\n",
                             command.name,
                             fmt::format("{}", fmt::join(flags_of(command), " ")),
                             spaced(command.verbs));
    }
    return cases;
}

std::string zsh_option(const settings::Option& option) {
    std::string summary(option.summary);
    for (const std::string_view special : {"[", "]", ":"}) {
        for (std::size_t at = summary.find(special); at != std::string::npos;
             at = summary.find(special, at + 2)) {
            summary.insert(at, "\\");
        }
    }
    std::string action;
    if (!option.value.empty()) {
        action = !option.choices.empty() ? fmt::format("({})", spaced(option.choices))
                 : option.completes == settings::Completes::file      ? "_files"
                 : option.completes == settings::Completes::directory ? "_files -/"
                                                                      : " ";
        std::string value(option.value);
        std::ranges::replace(value, ':', ' ');
        action = fmt::format(":{}:{}", value, action);
    }
    std::string lines;
    const std::string_view times = option.repeats ? "*" : "";
    lines += fmt::format("        {}\n",
                         quoted(fmt::format("{}--{}{}[{}]{}",
                                            times,
                                            option.name,
                                            option.value.empty() ? "" : "=",
                                            summary,
                                            action)));
    if (option.letter != 0) {
        lines += fmt::format("        {}\n",
                             quoted(fmt::format("{}-{}{}[{}]{}",
                                                times,
                                                option.letter,
                                                option.value.empty() ? "" : "+",
                                                summary,
                                                action)));
    }
    return lines;
}

}  // namespace

std::string bash_completion(std::span<const Command> commands) {
    return fmt::format(R"(# bash completion for mpitrain; made by 'mpitrain completion bash'
_mpitrain() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}
    local flags='' verbs='' i
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W '{} --help --version' -- "$cur"))
        return
    fi
    case $prev in
{}    esac
    case ${{COMP_WORDS[1]}} in
{}        help) COMPREPLY=($(compgen -W '{}' -- "$cur")); return ;;
    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    elif [ "$COMP_CWORD" -eq 2 ] && [ -n "$verbs" ]; then
        COMPREPLY=($(compgen -W "$verbs" -- "$cur"))
    else
        COMPREPLY=($(compgen -c -f -- "$cur"))
    fi
}}
complete -o filenames -F _mpitrain mpitrain
)",
                       names_of(commands),
                       bash_values(commands),
                       bash_commands(commands),
                       names_of(commands));
}

std::string zsh_completion(std::span<const Command> commands) {
    std::string list;
    std::string cases;
    for (const Command& command : commands) {
        list += fmt::format("        {}\n",
                            quoted(fmt::format("{}:{}", command.name, command.summary)));
        cases += fmt::format("    {})\n        _arguments -s -S \\\n", command.name);
        std::string arguments;
        for (const settings::Option* option : all_options(command)) {
            arguments += zsh_option(*option);
        }
        arguments += command.verbs.empty()
                         ? "        '*::program:_normal'\n"
                         : fmt::format("        '1:what:({})'\n        '*:file:_files'\n",
                                       spaced(command.verbs));
        for (std::size_t at = arguments.find('\n'); at + 1 < arguments.size();
             at = arguments.find('\n', at + 3)) {
            arguments.insert(at, " \\");
        }
        cases += fmt::format("{}        ;;\n", arguments);
    }
    return fmt::format(R"(#compdef mpitrain
# zsh completion for mpitrain; made by 'mpitrain completion zsh'
_mpitrain() {{
    local -a commands=(
{}    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{}    esac
}}
_mpitrain "$@"
)",
                       list,
                       cases);
}

std::string fish_completion(std::span<const Command> commands) {
    std::string text = "# fish completion for mpitrain; made by 'mpitrain completion fish'\n";
    for (const Command& command : commands) {
        text += fmt::format("complete -c mpitrain -n __fish_use_subcommand -f -a {} -d {}\n",
                            command.name,
                            quoted(command.summary));
        const std::string condition =
            quoted(fmt::format("__fish_seen_subcommand_from {}", command.name));
        for (const std::string& verb : split(command.verbs)) {
            text += fmt::format("complete -c mpitrain -n {} -f -a {}\n", condition, verb);
        }
        for (const settings::Option* option : all_options(command)) {
            text += fmt::format("complete -c mpitrain -n {} -l {}", condition, option->name);
            text += option->letter == 0 ? "" : fmt::format(" -s {}", option->letter);
            if (!option->value.empty()) {
                text += option->completes == settings::Completes::nothing ? " -x" : " -r";
                text += option->choices.empty()
                            ? ""
                            : fmt::format(" -a {}", quoted(spaced(option->choices)));
            }
            text += fmt::format(" -d {}\n", quoted(option->summary));
        }
    }
    return text;
}

}  // namespace mpitrain::cli
