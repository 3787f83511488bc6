#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/seam/file_system.hpp"

// What lies in a node's directory: LOCAL/<id>/step-<n>/ with the shards of this node and of its
// wards, and the same manifest and view as the commit has everywhere.
namespace mpitrain::checkpoint {

// Manifest and view as bytes, which a drain copies and never makes anew.
struct Contents {
    std::string manifest;
    std::string view;  // empty: none
    bool operator==(const Contents&) const = default;
};
std::string pack(const Contents& contents);
// Errors: internal.
Result<Contents> unpack(std::string_view packed);

// The token of a commit's shards, by which it is told from any other of its step; "" when it has
// none.
std::string token_of(const Manifest& manifest);
// The rank that wrote a shard; -1 for a name that is none.
int writer_of(std::string_view shard_name);

// Which commits came before, by token: the one that the shared directory had last, and those that
// were made since. A commit that a node holds is taken up only where the newest shared one is among
// them, so that a state that was left behind does not come back.
using Lineage = std::vector<std::string>;
inline constexpr std::string_view lineage_name = "lineage.json";
std::string encode_lineage(const Lineage& lineage);

// A commit, or most of one, on a node.
struct LocalCommit {
    std::uint64_t step = 0;
    std::string token;
    std::string name;  // of its directory: step-<n>, or step-<n>.tmp-<token>
    std::string seal;  // of the manifest's bytes
    Lineage lineage;
    std::size_t shard_count = 0;
    std::vector<std::size_t> shards;  // those that lie here whole, by their length
};
std::string encode(const std::vector<LocalCommit>& commits);
// Errors: internal.
Result<std::vector<LocalCommit>> decode_local_commits(std::string_view text);

// What this node holds. Directories that hold no readable manifest or lineage are none. Errors: io,
// permission_denied.
Result<std::vector<LocalCommit>> list_local_commits(FileSystem& files, const std::string& root);
// Manifest and view as they lie in a directory. Errors: not_found, data_loss, io.
Result<Contents> read_contents(FileSystem& files, const std::string& place);
// A short sum of a manifest's bytes.
std::string seal_of(std::string_view manifest);

}  // namespace mpitrain::checkpoint
