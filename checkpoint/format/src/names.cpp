#include "mpitrain/checkpoint/names.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace mpitrain::checkpoint {
namespace {

constexpr std::string_view prefix = "step-";
constexpr std::array<std::string_view, 3> marks = {".tmp-", ".gone-", ".damaged-"};

}  // namespace

std::string step_directory(std::uint64_t step) {
    return fmt::format("{}{}", prefix, step);
}

std::optional<std::uint64_t> parse_step_directory(std::string_view name) {
    if (!name.starts_with(prefix)) {
        return std::nullopt;
    }
    name.remove_prefix(prefix.size());
    std::uint64_t step = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), step);
    const bool whole = parsed.ec == std::errc{} && parsed.ptr == name.data() + name.size();
    // "step-007" is nobody's: one step has one name.
    if (!whole || (name.size() > 1 && name.front() == '0')) {
        return std::nullopt;
    }
    return step;
}

std::string leftover_directory(std::uint64_t step, Leftover kind, std::string_view token) {
    return fmt::format(
        "{}{}{}", step_directory(step), marks[static_cast<std::size_t>(kind)], token);
}

bool is_leftover(std::string_view name) {
    for (const std::string_view mark : marks) {
        const std::size_t at = name.find(mark);
        if (at != std::string_view::npos && parse_step_directory(name.substr(0, at))) {
            return true;
        }
    }
    return false;
}

std::string shard_file(int rank, std::string_view token) {
    return fmt::format("shard-{}-{}.h5", rank, token);
}

}  // namespace mpitrain::checkpoint
