#include "local_commit.hpp"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <span>

#include "mpitrain/checkpoint/catalog.hpp"
#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/names.hpp"

namespace mpitrain::checkpoint {
namespace {

using Json = nlohmann::json;

constexpr std::string_view lineage_schema = "mpitrain.lineage/1";
constexpr std::string_view shard_prefix = "shard-";

Error not_ours(std::string_view what) {
    return Error(ErrorCode::internal, fmt::format("a rank sent {} that cannot be read", what));
}

Result<Lineage> read_lineage(FileSystem& files, const std::string& place) {
    constexpr std::uint64_t bytes_max = 1 << 20;
    const std::string path = join_path(place, lineage_name);
    MPITRAIN_TRY(const std::string text, read_small_file(files, path, bytes_max));
    const auto json = Json::parse(text, nullptr, false);
    if (!json.is_object() || json.value("schema", "") != lineage_schema ||
        !json.contains("follows") || !json["follows"].is_array()) {
        return Error(ErrorCode::data_loss, "this is no lineage").at(path);
    }
    Lineage lineage;
    for (const Json& token : json["follows"]) {
        lineage.push_back(token.is_string() ? token.get<std::string>() : "?");
    }
    return lineage;
}

Result<LocalCommit> look_at(FileSystem& files, const std::string& root, const std::string& name) {
    const std::string place = join_path(root, name);
    MPITRAIN_TRY(const std::string text, read_manifest_text(files, place));
    MPITRAIN_TRY(const Manifest manifest, decode_manifest(text));
    MPITRAIN_TRY(Lineage lineage, read_lineage(files, place));
    LocalCommit commit{.step = manifest.step,
                       .token = token_of(manifest),
                       .name = name,
                       .seal = seal_of(text),
                       .lineage = std::move(lineage),
                       .shard_count = manifest.shards.size(),
                       .shards = {}};
    for (std::size_t i = 0; i < manifest.shards.size(); ++i) {
        const auto status = files.status(join_path(place, manifest.shards[i].file));
        if (status && status->size_bytes == manifest.shards[i].size_bytes) {
            commit.shards.push_back(i);
        }
    }
    return commit;
}

}  // namespace

std::string pack(const Contents& contents) {
    return fmt::format("{} {}{}", contents.manifest.size(), contents.manifest, contents.view);
}

Result<Contents> unpack(std::string_view packed) {
    std::size_t length = 0;
    const auto parsed = std::from_chars(packed.data(), packed.data() + packed.size(), length);
    const auto begin = static_cast<std::size_t>(parsed.ptr - packed.data()) + 1;
    if (parsed.ec != std::errc{} || begin > packed.size() || length > packed.size() - begin) {
        return not_ours("a manifest");
    }
    return Contents{std::string(packed.substr(begin, length)),
                    std::string(packed.substr(begin + length))};
}

std::string token_of(const Manifest& manifest) {
    if (manifest.shards.empty()) {
        return "";
    }
    std::string_view name = manifest.shards.front().file;
    if (writer_of(name) < 0) {
        return std::string(name);  // as unique
    }
    name.remove_prefix(name.find('-', shard_prefix.size()) + 1);
    return std::string(name.substr(0, name.rfind('.')));
}

int writer_of(std::string_view shard_name) {
    int rank = -1;
    if (!shard_name.starts_with(shard_prefix)) {
        return -1;
    }
    shard_name.remove_prefix(shard_prefix.size());
    const auto parsed =
        std::from_chars(shard_name.data(), shard_name.data() + shard_name.size(), rank);
    const bool right = parsed.ec == std::errc{} && rank >= 0 &&
                       parsed.ptr != shard_name.data() + shard_name.size() && *parsed.ptr == '-';
    return right ? rank : -1;
}

std::string encode_lineage(const Lineage& lineage) {
    return Json({{"schema", lineage_schema}, {"follows", lineage}}).dump() + "\n";
}

std::string encode(const std::vector<LocalCommit>& commits) {
    Json json = Json::array();
    for (const LocalCommit& commit : commits) {
        json.push_back({{"step", commit.step},
                        {"token", commit.token},
                        {"name", commit.name},
                        {"seal", commit.seal},
                        {"lineage", commit.lineage},
                        {"shard_count", commit.shard_count},
                        {"shards", commit.shards}});
    }
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::vector<LocalCommit>> decode_local_commits(std::string_view text) {
    try {
        std::vector<LocalCommit> commits;
        for (const Json& json : Json::parse(text)) {
            commits.push_back({.step = json.at("step").get<std::uint64_t>(),
                               .token = json.at("token").get<std::string>(),
                               .name = json.at("name").get<std::string>(),
                               .seal = json.at("seal").get<std::string>(),
                               .lineage = json.at("lineage").get<Lineage>(),
                               .shard_count = json.at("shard_count").get<std::size_t>(),
                               .shards = json.at("shards").get<std::vector<std::size_t>>()});
        }
        return commits;
    } catch (const Json::exception&) {
        return not_ours("a list of commits");
    }
}

Result<std::vector<LocalCommit>> list_local_commits(FileSystem& files, const std::string& root) {
    MPITRAIN_TRY(const auto entries, files.list(root));
    std::vector<LocalCommit> commits;
    for (const DirectoryEntry& entry : entries) {
        // Every node makes all durable before the first one renames, so what has not been renamed
        // yet may be the missing part of what has.
        const bool is_unnamed =
            is_leftover(entry.name) && entry.name.find(".tmp-") != std::string::npos;
        if (!parse_step_directory(entry.name) && !is_unnamed) {
            continue;
        }
        auto commit = look_at(files, root, entry.name);
        if (commit) {
            commits.push_back(*std::move(commit));
        } else if (commit.error().code() == ErrorCode::permission_denied) {
            return Error(std::move(commit).error());
        }
    }
    return commits;
}

Result<Contents> read_contents(FileSystem& files, const std::string& place) {
    constexpr std::uint64_t view_bytes_max = std::uint64_t{1} << 30;
    MPITRAIN_TRY(std::string text, read_manifest_text(files, place));
    MPITRAIN_TRY(const Manifest manifest, decode_manifest(text));
    Contents contents{std::move(text), ""};
    if (manifest.view) {
        const std::string path = join_path(place, view_name);
        MPITRAIN_TRY(contents.view, read_small_file(files, path, view_bytes_max));
        if (contents.view.size() != manifest.view->size_bytes ||
            crc32c(std::as_bytes(std::span(contents.view))) != manifest.view->crc32c) {
            return Error(ErrorCode::data_loss, "its bytes do not match their checksum").at(path);
        }
    }
    return contents;
}

std::string seal_of(std::string_view manifest) {
    return fmt::format("{:08x}{:x}", crc32c(std::as_bytes(std::span(manifest))), manifest.size());
}

}  // namespace mpitrain::checkpoint
