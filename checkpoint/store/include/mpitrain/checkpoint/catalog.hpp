#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/seam/file_system.hpp"

// What lies in a checkpoint directory. Nothing is believed but what is looked at: there is no
// pointer to the latest commit that could lie.
namespace mpitrain::checkpoint {

struct CommitDirectory {
    std::uint64_t step = 0;
    std::string path;
};

// The commits in `directory`, newest step first, unread. Errors: not_found, permission_denied, io.
Result<std::vector<CommitDirectory>> list_commits(FileSystem& files, const std::string& directory);

// The manifest of the commit at `path`, with its files' presence and lengths checked, not their
// bytes. Errors: not_found (no such directory), data_loss, unsupported (a later format), io.
Result<Manifest> read_manifest(FileSystem& files, const std::string& path);
// The same from its text; `path` is where it was read.
Result<Manifest> check_manifest(FileSystem& files, const std::string& path, std::string_view text);
Result<std::string> read_manifest_text(FileSystem& files, const std::string& path);

// The newest commit whose manifest and file lengths are right: cheap, and what a launcher hands to
// a program to resume from. nullopt: none.
Result<std::optional<CommitDirectory>> find_last_good(FileSystem& files,
                                                      const std::string& directory);

// A fault that verify found.
struct Bad {
    std::string file;
    std::string tensor;  // or blob; empty when the bytes are nobody's
    std::string reason;
};

struct Verified {
    std::optional<Manifest> manifest;  // nullopt when it cannot be read
    std::vector<Bad> bad;              // empty: whole
};

// Reads every byte of a commit. `progress`, called now and then, is told the bytes done and due.
// Errors: not_found, permission_denied, io, unsupported; damage is a finding.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;
Result<Verified> verify_commit(FileSystem& files,
                               const std::string& path,
                               const Progress& progress);

}  // namespace mpitrain::checkpoint
