#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::cli {

enum class Format : std::uint8_t { table, json, quiet };
enum class Colour : std::uint8_t { automatic, always, never };
enum class Style : std::uint8_t { bold, good, warn, bad, faint };

// Where a command writes: data on standard output, talk on standard error. One owner, main(); not
// thread-safe.
class Terminal {
  public:
    // `no_colour`: NO_COLOR is set and not empty; only an explicit `always` overrides it.
    Terminal(Format format, Colour colour, bool no_colour);

    [[nodiscard]] Format format() const { return format_; }
    [[nodiscard]] bool shows_colour() const { return colour_err_; }  // on standard error

    void print(std::string_view text);  // data; no newline is added
    void note(std::string_view text);   // "mpitrain: <text>", not in quiet mode
    void warn(std::string_view text);   // "mpitrain: warning: <text>"
    void fail(const Error& error);      // "mpitrain: error: <where>: <what> (<mend>)", one line

    // `text` in the style, if standard output shows colours; else as it is.
    [[nodiscard]] std::string styled(Style style, std::string_view text) const;

    // Flushes. Errors: io or resource_exhausted, when any of the data could not be written.
    Result<void> close();

  private:
    void say(Style style, std::string_view label, std::string_view text) const;

    Format format_;
    bool colour_out_;
    bool colour_err_;
    int write_error_ = 0;
};

// Rows of cells under a heading, columns as wide as their widest cell; a cell may hold UTF-8 and
// colour codes.
class Table {
  public:
    explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}
    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    [[nodiscard]] std::string text() const;

  private:
    std::vector<std::vector<std::string>> rows_;
};

// The exit code of CONTRACT section 3 for a command that ends with this error.
int exit_code(const Error& error);

}  // namespace mpitrain::cli
