#include "mpitrain/checkpoint/manifest.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace mpitrain::checkpoint {

std::uint64_t Manifest::size_bytes() const {
    std::uint64_t total = view ? view->size_bytes : 0;
    for (const ShardFile& shard : shards) {
        total += shard.size_bytes;
    }
    return total;
}

const StoredTensor* Manifest::find(std::string_view name) const {
    const auto at = std::lower_bound(
        tensors.begin(), tensors.end(), name, [](const StoredTensor& tensor, std::string_view key) {
            return tensor.name < key;
        });
    return at != tensors.end() && at->name == name ? &*at : nullptr;
}

std::string structure_hash(const Manifest& manifest) {
    // FNV-1a, 64 bits: told apart are models, not adversaries.
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const StoredTensor& tensor : manifest.tensors) {
        const std::string line = fmt::format(
            "{}\n{}\n{}\n", tensor.name, to_string(tensor.dtype), fmt::join(tensor.shape, ","));
        for (const char c : line) {
            hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
        }
    }
    return fmt::format("{:016x}", hash);
}

}  // namespace mpitrain::checkpoint
