#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"

namespace mpitrain::sim {

// One line of a table, with what errors must say of it.
struct Row {
    std::string_view file;
    int line = 0;  // from 1
    std::vector<std::string_view> fields;

    // Errors: invalid_argument at "file:line" that names `field`.
    [[nodiscard]] Error error(std::string_view field, std::string_view what) const;
    [[nodiscard]] Result<std::int64_t> integer(std::size_t index,
                                               std::string_view field,
                                               std::int64_t low,
                                               std::int64_t high) const;
    // Seconds, from 0 to 300 years.
    [[nodiscard]] Result<Nanoseconds> seconds(std::size_t index, std::string_view field) const;
};

// The lines of a text, without their ends; blank ones too.
std::vector<std::string_view> lines_of(std::string_view text);
std::vector<std::string_view> split(std::string_view line, char separator);
std::vector<std::string_view> split_blanks(std::string_view line);

// A header's columns by name.
class Columns {
  public:
    explicit Columns(std::vector<std::string_view> names) : names_(std::move(names)) {}
    [[nodiscard]] std::optional<std::size_t> find(std::string_view name) const;
    [[nodiscard]] std::size_t size() const { return names_.size(); }

  private:
    std::vector<std::string_view> names_;
};

}  // namespace mpitrain::sim
