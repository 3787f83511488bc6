#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::topology {

// At most `size_max` bytes and one more, by which a caller sees that there are more. Errors: those
// of the system.
Result<std::string> read_file(const std::string& path, std::size_t size_max);

// A file that is absent or cannot be read says nothing.
std::optional<std::string> read_text(const std::string& path);

inline std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (true) {
        const std::size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) {
            return parts;
        }
        text.remove_prefix(end + 1);
    }
}

inline std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

}  // namespace mpitrain::topology
