#include "rows.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/base/number.hpp"

namespace mpitrain::sim {

Error Row::error(std::string_view field, std::string_view what) const {
    return Error(ErrorCode::invalid_argument, fmt::format("field '{}' {}", field, what))
        .at(fmt::format("{}:{}", file, line));
}

Result<std::int64_t> Row::integer(std::size_t index,
                                  std::string_view field,
                                  std::int64_t low,
                                  std::int64_t high) const {
    if (index >= fields.size()) {
        return error(field, "is missing");
    }
    auto value = parse_integer(fields[index], low, high);
    if (!value) {
        return error(
            field, fmt::format("is '{}', no whole number from {} to {}", fields[index], low, high));
    }
    return *value;
}

Result<Nanoseconds> Row::seconds(std::size_t index, std::string_view field) const {
    constexpr double most = 9e9;  // close to what nanoseconds in 64 bits can say
    if (index >= fields.size()) {
        return error(field, "is missing");
    }
    const auto value = parse_number(fields[index]);
    if (!value || *value < 0 || *value > most) {
        return error(field,
                     fmt::format("is '{}', no number of seconds from 0 to 9e9", fields[index]));
    }
    const double whole = static_cast<double>(static_cast<std::int64_t>(*value));
    return std::chrono::seconds(static_cast<std::int64_t>(whole)) +
           Nanoseconds(static_cast<std::int64_t>((*value - whole) * 1e9));
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        if (!line.empty() && line.back() == '\r') {
            line.remove_suffix(1);
        }
        lines.push_back(line);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return lines;
}

std::vector<std::string_view> split(std::string_view line, char separator) {
    std::vector<std::string_view> fields;
    while (true) {
        const std::size_t end = line.find(separator);
        fields.push_back(line.substr(0, end));
        if (end == std::string_view::npos) {
            return fields;
        }
        line.remove_prefix(end + 1);
    }
}

std::vector<std::string_view> split_blanks(std::string_view line) {
    std::vector<std::string_view> fields;
    while (true) {
        const std::size_t start = line.find_first_not_of(" \t");
        if (start == std::string_view::npos) {
            return fields;
        }
        line.remove_prefix(start);
        const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
        fields.push_back(line.substr(0, end));
        line.remove_prefix(end);
    }
}

std::optional<std::size_t> Columns::find(std::string_view name) const {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(found - names_.begin());
}

}  // namespace mpitrain::sim
