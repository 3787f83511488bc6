#include "line_tagger.hpp"

#include <fmt/format.h>

#include <array>

namespace mpitrain {
namespace {

constexpr std::array tag_colors = {
    36, 33, 32, 35, 34, 31};  // one after the other, so that neighbours differ

}  // namespace

std::string LineTagger::show(Rank rank, std::string_view lines) const {
    if (!options_.tag) {
        return std::string(lines);
    }
    const int color = tag_colors[static_cast<std::size_t>(rank.value()) % tag_colors.size()];
    const std::string tag = options_.color
                                ? fmt::format("\033[{}m[{}]\033[0m ", color, rank.value())
                                : fmt::format("[{}] ", rank.value());
    std::string shown;
    while (!lines.empty()) {
        const std::size_t end = lines.find_first_of("\r\n");
        const std::string_view line = lines.substr(0, end);
        const bool carriage_return = end != std::string_view::npos && lines[end] == '\r';
        lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
        if (carriage_return && !lines.empty() && lines.front() == '\n') {
            lines.remove_prefix(1);  // "\r\n" is one end
        } else if (carriage_return && line.empty()) {
            continue;  // a progress bar that only rewinds
        }
        shown += tag;
        shown += line;
        shown += '\n';
    }
    return shown;
}

}  // namespace mpitrain
