#include "shard_report.hpp"

#include <cstring>
#include <nlohmann/json.hpp>

namespace mpitrain::checkpoint {
namespace {

using Json = nlohmann::json;

Result<ShardReport> decode_report(std::string_view text) {
    try {
        const Json json = Json::parse(text);
        const Json& file = json.at("file");
        return ShardReport{{file.at(0).get<std::string>(),
                            file.at(1).get<std::uint64_t>(),
                            file.at(2).get<std::uint64_t>(),
                            file.at(3).get<std::uint64_t>(),
                            file.at(4).get<std::uint32_t>()},
                           json.at("offsets").get<std::vector<std::uint64_t>>()};
    } catch (const Json::exception& bad) {
        return Error(ErrorCode::internal, bad.what()).at("another rank's report of its shard");
    }
}

}  // namespace

std::string encode(const ShardReport& report) {
    const ShardFile& file = report.file;
    const Json json = {
        {"file",
         {file.file, file.size_bytes, file.table_offset, file.table_bytes, file.table_crc32c}},
        {"offsets", report.dataset_offsets}};
    return json.dump();
}

Result<std::vector<ShardReport>> read_reports(const SavePlan& plan,
                                              const std::vector<std::string>& told) {
    std::vector<ShardReport> reports;
    for (const ShardPlan& shard : plan.shards) {
        MPITRAIN_TRY(ShardReport report, decode_report(told[static_cast<std::size_t>(shard.rank)]));
        if (report.dataset_offsets.size() != shard.datasets.size()) {
            return Error(ErrorCode::internal, "another rank has laid its shard out otherwise");
        }
        reports.push_back(std::move(report));
    }
    return reports;
}

std::string encode_sums(std::span<const std::uint32_t> sums) {
    std::string text(sums.size_bytes(), '\0');
    std::memcpy(text.data(), sums.data(), sums.size_bytes());
    return text;
}

Result<std::vector<std::uint32_t>> decode_sums(std::string_view text,
                                               std::span<const FileRange> ranges) {
    std::uint64_t blocks = 0;
    for (const FileRange& range : ranges) {
        blocks += (range.size_bytes + default_block_bytes - 1) / default_block_bytes;
    }
    std::vector<std::uint32_t> sums(static_cast<std::size_t>(blocks));
    if (text.size() != blocks * sizeof(std::uint32_t)) {
        return Error(ErrorCode::internal, "another rank has written another part of the file");
    }
    std::memcpy(sums.data(), text.data(), text.size());
    return sums;
}

Manifest manifest_of(const SavePlan& plan, const std::vector<ShardReport>& reports) {
    Manifest manifest;
    for (const TensorPlan& tensor : plan.tensors) {
        manifest.tensors.push_back({tensor.name, tensor.dtype, tensor.shape, {}});
    }
    for (const BlobPlan& blob : plan.blobs) {
        manifest.blobs.push_back({blob.name, blob.rank, 0, 0, blob.size_bytes});
    }
    for (std::size_t index = 0; index < plan.shards.size(); ++index) {
        manifest.shards.push_back(reports[index].file);
        for (const Piece& piece : plan.shards[index].pieces) {
            const std::uint64_t offset =
                reports[index].dataset_offsets[piece.dataset] + piece.dataset_offset;
            if (piece.of_blob) {
                manifest.blobs[piece.item].shard = index;
                manifest.blobs[piece.item].offset = offset;
            } else {
                manifest.tensors[piece.item].blocks.push_back({index, offset, piece.block});
            }
        }
    }
    return manifest;
}

}  // namespace mpitrain::checkpoint
