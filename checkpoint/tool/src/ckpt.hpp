#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/shard_reader.hpp"
#include "mpitrain/cli/command.hpp"
#include "mpitrain/seam/file_system.hpp"

// What the verbs of `mpitrain ckpt` share.
namespace mpitrain::checkpoint::tool {

inline constexpr std::string_view schema = "mpitrain.ckpt/1";

extern const cli::Command list_command;
extern const cli::Command show_command;
extern const cli::Command verify_command;
extern const cli::Command diff_command;
extern const cli::Command prune_command;
extern const cli::Command export_command;
extern const cli::Command import_command;

// The real one; a verb makes it once.
std::unique_ptr<FileSystem> open_files();

// The `count` plain words of the command line. Errors: invalid_argument.
Result<std::vector<std::string>> plain_words(const cli::Invocation& invocation, std::size_t count);

// Prints the error and gives its exit code: 2 for input that cannot be read or is refused, a
// missing or damaged checkpoint included, else as every command of mpitrain.
int refuse(cli::Terminal& terminal, const Error& error);

// The commit that `path` names: itself, or the newest good one in it.
Result<std::string> commit_at(FileSystem& files, const std::string& path);

// "12 %" on standard error while it lasts, where that is a terminal.
Progress progress_on_terminal(const cli::Terminal& terminal);

// A tensor in parts of about 64 MiB at most, row-major and contiguous, so that none need be held
// whole; none for a tensor of no elements.
std::vector<Block> parts_of(const StoredTensor& tensor);
// Reads one part, checked, into `bytes`, which it sizes.
Result<void> read_part(ShardReader& reader,
                       const Manifest& manifest,
                       const StoredTensor& tensor,
                       const Block& part,
                       std::vector<std::byte>& bytes);

}  // namespace mpitrain::checkpoint::tool
