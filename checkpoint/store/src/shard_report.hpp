#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/manifest.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"
#include "share.hpp"

namespace mpitrain::checkpoint {

// What a rank tells rank 0 about the shard it has made durable.
struct ShardReport {
    ShardFile file;
    std::vector<std::uint64_t> dataset_offsets;  // as in its ShardPlan
};

std::string encode(const ShardReport& report);

// The reports by rank, of the ranks that have a shard in the plan, in its order. `told` is by rank.
Result<std::vector<ShardReport>> read_reports(const SavePlan& plan,
                                              const std::vector<std::string>& told);

// What a rank tells rank 0 about its part of a file of all ranks: the checksums of its blocks, as
// bytes. Errors of decode: internal (not one for each block of `ranges`).
std::string encode_sums(std::span<const std::uint32_t> sums);
Result<std::vector<std::uint32_t>> decode_sums(std::string_view text,
                                               std::span<const FileRange> ranges);

// The manifest of a plan carried out. What the plan does not know (step, world, …) is the caller's.
Manifest manifest_of(const SavePlan& plan, const std::vector<ShardReport>& reports);

}  // namespace mpitrain::checkpoint
