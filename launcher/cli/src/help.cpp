#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/cli/command.hpp"

namespace mpitrain::cli {
namespace {

constexpr std::size_t width = 80;

std::string wrapped(std::string_view text, std::size_t indent, std::size_t first_column) {
    std::string result;
    std::size_t column = first_column;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(" \n"), text.size());
        const std::string_view word = text.substr(0, end);
        if (column > indent && column + 1 + word.size() > width) {
            result += '\n' + std::string(indent, ' ');
            column = indent;
        }
        if (column > indent) {
            result += ' ';
            ++column;
        }
        result += word;
        column += word.size();
        if (end < text.size() && text[end] == '\n') {
            result += '\n' + std::string(indent, ' ');
            column = indent;
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return result;
}

std::string option_lines(const settings::Option& option) {
    constexpr std::size_t summary_column = 30;
    std::string line = option.letter == 0 ? "      " : fmt::format("  -{}, ", option.letter);
    line += fmt::format("--{}", option.name);
    line += option.value.empty() ? "" : fmt::format(" {}", option.value);
    if (line.size() + 2 > summary_column) {
        line += '\n' + std::string(summary_column, ' ');
    } else {
        line.append(summary_column - line.size(), ' ');
    }
    std::string summary(option.summary);
    if (!option.fallback.empty()) {
        summary += fmt::format(" [{}]", option.fallback);
    }
    return line + wrapped(summary, summary_column, summary_column) + '\n';
}

std::string option_table(const settings::OptionSet& set) {
    std::string text;
    std::string_view heading = "none yet";
    for (const settings::Option* option : set) {
        if (option->heading != heading) {
            heading = option->heading;
            text += fmt::format("\n{}:\n", heading.empty() ? "Options" : heading);
        }
        text += option_lines(*option);
    }
    return text;
}

std::string indented(std::string_view lines) {
    std::string text;
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        text += fmt::format("  {}\n", lines.substr(0, end));
        lines.remove_prefix(std::min(end + 1, lines.size()));
    }
    return text;
}

std::string overview(std::span<const Command> commands) {
    std::string text =
        "Usage: mpitrain COMMAND [options]\n\n"
        "Places, launches, supervises and resumes MPI training jobs.\n\nCommands:\n";
    for (const Command& command : commands) {
        text += fmt::format("  {:<12}{}\n", command.name, command.summary);
    }
    text += option_table(all_options(Command{}));
    return text +
           "\nExample:\n  mpitrain run -n 2 ./train --epochs 3\n\n'mpitrain COMMAND --help' tells "
           "more.\n";
}

}  // namespace

std::string help_text(std::span<const Command> commands) {
    return overview(commands);
}

std::string help_text(const Command& command) {
    return fmt::format("Usage: mpitrain {} {}\n\n{}\n{}\nExample:\n{}",
                       command.name,
                       command.usage,
                       wrapped(command.description, 0, 0),
                       option_table(all_options(command)),
                       indented(command.example));
}

}  // namespace mpitrain::cli
