#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The names of files and directories below a checkpoint directory.
namespace mpitrain::checkpoint {

// "step-<n>": a commit.
std::string step_directory(std::uint64_t step);
std::optional<std::uint64_t> parse_step_directory(std::string_view name);

// "step-<n>.tmp-<token>" while it is written, ".gone-" while it is removed, ".damaged-" when it
// stood in the way of a good one. Never loaded; removed by the next writer.
enum class Leftover : std::uint8_t { tmp, gone, damaged };
std::string leftover_directory(std::uint64_t step, Leftover kind, std::string_view token);
bool is_leftover(std::string_view name);

// "shard-<k>-<token>.h5". Different in every commit: HDF5 looks for a missing part of a view in the
// current directory too, and must never find another commit's.
std::string shard_file(int rank, std::string_view token);

}  // namespace mpitrain::checkpoint
