#include "mpitrain/cli/terminal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace mpitrain::cli {
namespace {

bool wants_colour(Colour colour, bool no_colour, int descriptor) {
    if (colour != Colour::automatic) {
        return colour == Colour::always;
    }
    return !no_colour && isatty(descriptor) == 1;
}

std::string_view code_of(Style style) {
    switch (style) {
        case Style::bold:
            return "1";
        case Style::good:
            return "32";
        case Style::warn:
            return "33";
        case Style::bad:
            return "31";
        case Style::faint:
            return "2";
    }
    return "0";
}

std::string paint(Style style, std::string_view text, bool colour) {
    return colour ? fmt::format("\x1b[{}m{}\x1b[0m", code_of(style), text) : std::string(text);
}

// What a terminal shows of it: code points, without colour codes.
std::size_t width_of(std::string_view cell) {
    std::size_t width = 0;
    bool in_code = false;
    for (const char c : cell) {
        if (c == '\x1b') {
            in_code = true;
        } else if (in_code) {
            in_code = c != 'm';
        } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
            ++width;
        }
    }
    return width;
}

}  // namespace

Terminal::Terminal(Format format, Colour colour, bool no_colour)
    : format_(format),
      colour_out_(wants_colour(colour, no_colour, STDOUT_FILENO)),
      colour_err_(wants_colour(colour, no_colour, STDERR_FILENO)) {}

void Terminal::print(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && write_error_ == 0) {
        write_error_ = errno;
    }
}

void Terminal::note(std::string_view text) {
    if (format_ != Format::quiet) {
        say(Style::faint, "", text);
    }
}

void Terminal::warn(std::string_view text) {
    say(Style::warn, "warning: ", text);
}

void Terminal::fail(const Error& error) {
    say(Style::bad, "error: ", error.text());
}

void Terminal::say(Style style, std::string_view label, std::string_view text) const {
    std::fflush(stdout);  // so that talk comes after the data it is about
    const std::string line =
        fmt::format("mpitrain: {}{}\n", paint(style, label, colour_err_), text);
    std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string Terminal::styled(Style style, std::string_view text) const {
    return paint(style, text, colour_out_);
}

Result<void> Terminal::close() {
    if (std::fflush(stdout) != 0 && write_error_ == 0) {
        write_error_ = errno;
    }
    if (write_error_ != 0) {
        return system_error(write_error_, "write", "standard output");
    }
    return {};
}

std::string Table::text() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], width_of(row[i]));
        }
    }
    std::string text;
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            const bool last = i + 1 == row.size();
            text += row[i];
            text.append(last ? 0 : widths[i] - width_of(row[i]) + 2, ' ');
        }
        text.erase(text.find_last_not_of(' ') + 1);
        text += '\n';
    }
    return text;
}

int exit_code(const Error& error) {
    switch (error.code()) {
        case ErrorCode::invalid_argument:
            return 2;
        case ErrorCode::unsatisfiable:
        case ErrorCode::resource_exhausted:
            return 3;
        default:
            return 125;
    }
}

}  // namespace mpitrain::cli
