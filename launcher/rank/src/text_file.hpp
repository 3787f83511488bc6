#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mpitrain::rank {

// At most `bytes_max` bytes of a file, or nullopt when it cannot be read. Never waits, not even for
// a FIFO's writer.
std::optional<std::string> read_file(const std::string& path, std::size_t bytes_max);

// The number behind `key` in lines of "key number", or nullopt.
std::optional<std::uint64_t> number_behind(std::string_view text, std::string_view key);

}  // namespace mpitrain::rank
