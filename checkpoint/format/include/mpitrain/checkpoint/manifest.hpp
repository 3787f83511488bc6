#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/attribute.hpp"
#include "mpitrain/checkpoint/tensor.hpp"

// What a commit holds and where: manifest.json, by which alone a checkpoint is loaded. The format
// and its rules are in docs/formats/checkpoint.md.
namespace mpitrain::checkpoint {

inline constexpr std::string_view manifest_name = "manifest.json";
inline constexpr std::string_view view_name = "checkpoint.h5";
inline constexpr std::string_view manifest_schema = "mpitrain.checkpoint/1";
// The unit of checksums: what a reader of a part must read around it. A power of two
// from 4 KiB to 8 MiB.
inline constexpr std::uint32_t default_block_bytes = 16 * 1024;

// One writer's file. Its checksum table, an array of CRC-32C, one for each block of the file from
// its first byte to its last, is itself in the file, and counts as zeros in the blocks it lies in.
struct ShardFile {
    std::string file;  // a name within the directory
    std::uint64_t size_bytes = 0;
    std::uint64_t table_offset = 0;
    std::uint64_t table_bytes = 0;   // with padding
    std::uint32_t table_crc32c = 0;  // over all table_bytes
    bool operator==(const ShardFile&) const = default;
};

struct StoredBlock {
    std::size_t shard = 0;     // in Manifest::shards
    std::uint64_t offset = 0;  // of its first byte in the file
    Block block;
    bool operator==(const StoredBlock&) const = default;
};

struct StoredTensor {
    std::string name;
    DType dtype = DType::float32;
    std::vector<std::uint64_t> shape;
    std::vector<StoredBlock> blocks;  // disjoint, and together the whole tensor
    bool operator==(const StoredTensor&) const = default;
};

struct StoredBlob {
    std::string name;
    std::optional<int> rank;  // nullopt: global
    std::size_t shard = 0;
    std::uint64_t offset = 0;
    std::uint64_t size_bytes = 0;
    bool operator==(const StoredBlob&) const = default;
};

// The file by which HDF5 tools see whole tensors. Nothing is loaded from it.
struct ViewFile {
    std::uint64_t size_bytes = 0;
    std::uint32_t crc32c = 0;
    bool operator==(const ViewFile&) const = default;
};

struct Manifest {
    std::uint64_t step = 0;
    int world_size = 1;
    std::string created;  // RFC 3339, UTC
    std::string model;
    std::string job;
    std::uint64_t attempt = 0;
    Attributes attributes;
    std::uint32_t block_bytes = default_block_bytes;
    std::vector<ShardFile> shards;
    std::optional<ViewFile> view;
    std::vector<StoredTensor> tensors;  // by name, each once
    std::vector<StoredBlob> blobs;
    bool operator==(const Manifest&) const = default;

    // Of all shards and the view.
    [[nodiscard]] std::uint64_t size_bytes() const;
    // Null if there is none. O(log n).
    [[nodiscard]] const StoredTensor* find(std::string_view name) const;
};

// JSON in UTF-8, one line, closed by its own checksum.
std::string encode(const Manifest& manifest);

// What a manifest says of its tensors and blobs, which from one commit of a plan to the next stays
// the same, and is most of the text where there are many.
struct EncodedContents {
    std::string structure;  // structure_hash()
    std::string text;
};
EncodedContents encode_contents(const Manifest& manifest);
// The same text as encode(manifest) gives, when `contents` are those of its tensors and blobs,
// which themselves are not looked at.
std::string encode(const Manifest& manifest, const EncodedContents& contents);

// Errors: data_loss (checksum, syntax, a member missing or of the wrong kind, blocks that do not
// cover a tensor or lie outside their file), unsupported (a later major version).
Result<Manifest> decode_manifest(std::string_view text);

// A fingerprint of names, types and shapes, in 16 hex digits: equal for checkpoints of one model.
std::string structure_hash(const Manifest& manifest);

}  // namespace mpitrain::checkpoint
