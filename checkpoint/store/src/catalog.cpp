#include "mpitrain/checkpoint/catalog.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/checkpoint/crc32c.hpp"
#include "mpitrain/checkpoint/names.hpp"
#include "mpitrain/checkpoint/shard_reader.hpp"
#include "mpitrain/checkpoint/staging.hpp"

namespace mpitrain::checkpoint {
namespace {

// Beyond any real one: 10^7 tensors take about 1 GiB.
constexpr std::uint64_t manifest_bytes_max = std::uint64_t{4} << 30;
constexpr std::uint64_t view_bytes_max = std::uint64_t{1} << 30;

Error damaged(std::string what, const std::string& where) {
    return Error(ErrorCode::data_loss, std::move(what)).at(where);
}

Result<void> check_length(FileSystem& files, const std::string& path, std::uint64_t size_bytes) {
    const auto status = files.status(path);
    if (!status) {
        return status.error().code() == ErrorCode::not_found ? damaged("the file is missing", path)
                                                             : Error(status.error());
    }
    if (status->kind != FileKind::file || status->size_bytes != size_bytes) {
        return damaged(fmt::format("the file has {} bytes, not {}", status->size_bytes, size_bytes),
                       path);
    }
    return {};
}

}  // namespace

Result<std::vector<CommitDirectory>> list_commits(FileSystem& files, const std::string& directory) {
    MPITRAIN_TRY(const auto entries, files.list(directory));
    std::vector<CommitDirectory> commits;
    for (const DirectoryEntry& entry : entries) {
        const auto step = parse_step_directory(entry.name);
        if (step && entry.kind == FileKind::directory) {
            commits.push_back({*step, join_path(directory, entry.name)});
        }
    }
    std::sort(commits.begin(), commits.end(), [](const auto& a, const auto& b) {
        return a.step > b.step;
    });
    return commits;
}

Result<std::string> read_manifest_text(FileSystem& files, const std::string& path) {
    const std::string file = join_path(path, manifest_name);
    auto text = read_small_file(files, file, manifest_bytes_max);
    if (text) {
        return text;
    }
    if (text.error().code() == ErrorCode::not_found) {
        MPITRAIN_TRY_VOID([&]() -> Result<void> {
            const auto status = files.status(path);
            return status ? Result<void>() : Result<void>(status.error());
        }());
        return damaged("the file is missing", file);
    }
    return Error(std::move(text).error());
}

Result<Manifest> check_manifest(FileSystem& files, const std::string& path, std::string_view text) {
    auto manifest = decode_manifest(text);
    if (!manifest) {
        return Error(std::move(manifest).error()).at(join_path(path, manifest_name));
    }
    const auto step = parse_step_directory(base_name(path));
    if (step && *step != manifest->step) {
        return damaged(fmt::format("the manifest is of step {}", manifest->step), path);
    }
    for (const ShardFile& shard : manifest->shards) {
        MPITRAIN_TRY_VOID(check_length(files, join_path(path, shard.file), shard.size_bytes));
    }
    return manifest;
}

Result<Manifest> read_manifest(FileSystem& files, const std::string& path) {
    MPITRAIN_TRY(const std::string text, read_manifest_text(files, path));
    return check_manifest(files, path, text);
}

Result<std::optional<CommitDirectory>> find_last_good(FileSystem& files,
                                                      const std::string& directory) {
    MPITRAIN_TRY(const auto commits, list_commits(files, directory));
    for (const CommitDirectory& commit : commits) {
        if (read_manifest(files, commit.path)) {
            return commit;
        }
    }
    return std::optional<CommitDirectory>();
}

namespace {

// The tensor or blob that has bytes within [begin, end) of a shard; the first of several.
std::string owner_of(const Manifest& manifest,
                     std::size_t shard,
                     std::uint64_t begin,
                     std::uint64_t end) {
    const auto meets = [&](std::uint64_t offset, std::uint64_t size) {
        return offset < end && begin < offset + size;
    };
    for (const StoredTensor& tensor : manifest.tensors) {
        for (const StoredBlock& block : tensor.blocks) {
            const std::uint64_t size =
                *element_count(block.block.extent) * size_bytes(tensor.dtype);
            if (block.shard == shard && meets(block.offset, size)) {
                return tensor.name;
            }
        }
    }
    for (const StoredBlob& blob : manifest.blobs) {
        if (blob.shard == shard && meets(blob.offset, blob.size_bytes)) {
            return blob.name;
        }
    }
    return "";
}

// Damage becomes a finding; any other error ends the verification.
Result<void> note(Result<void> result, const std::string& file, std::vector<Bad>& bad) {
    if (!result && result.error().code() == ErrorCode::data_loss) {
        bad.push_back({file, "", result.error().what()});
        return {};
    }
    return result;
}

Result<void> verify_view(FileSystem& files,
                         const std::string& path,
                         const ViewFile& view,
                         std::vector<Bad>& bad) {
    const auto check = [&]() -> Result<void> {
        const std::string file = join_path(path, view_name);
        MPITRAIN_TRY_VOID(check_length(files, file, view.size_bytes));
        MPITRAIN_TRY(const std::string bytes, read_small_file(files, file, view_bytes_max));
        if (crc32c(std::as_bytes(std::span(bytes))) != view.crc32c) {
            return damaged("its bytes do not match their checksum", file);
        }
        return {};
    };
    return note(check(), std::string(view_name), bad);
}

// Walks one shard in strides, so that progress can be told.
Result<void> verify_shard(ShardReader& reader,
                          const Manifest& manifest,
                          std::size_t shard,
                          std::vector<Bad>& bad,
                          const std::function<void(std::uint64_t)>& progress) {
    constexpr std::size_t stride = 32;
    const ReadPlan all = plan_read_all(manifest, shard);
    const auto on_bad = [&](std::size_t, std::uint64_t offset) {
        bad.push_back({manifest.shards[shard].file,
                       owner_of(manifest, shard, offset, offset + manifest.block_bytes),
                       fmt::format("the bytes from {} on do not match their checksum", offset)});
    };
    for (std::size_t first = 0; first < all.requests.size(); first += stride) {
        ReadPlan part;
        const std::size_t count = std::min(stride, all.requests.size() - first);
        std::uint64_t bytes = 0;
        for (std::size_t i = 0; i < count; ++i) {
            part.requests.push_back(all.requests[first + i]);
            bytes += all.requests[first + i].size_bytes;
        }
        MPITRAIN_TRY_VOID(reader.check(part, on_bad));
        progress(bytes);
    }
    return {};
}

}  // namespace

Result<Verified> verify_commit(FileSystem& files,
                               const std::string& path,
                               const Progress& progress) {
    Verified verified;
    const auto text = read_manifest_text(files, path);
    auto manifest = text ? decode_manifest(*text) : Result<Manifest>(text.error());
    if (!manifest) {
        if (manifest.error().code() != ErrorCode::data_loss) {
            return Error(std::move(manifest).error()).at(path);
        }
        verified.bad.push_back({std::string(manifest_name), "", manifest.error().what()});
        return verified;
    }
    const auto step = parse_step_directory(base_name(path));
    if (step && *step != manifest->step) {
        verified.bad.push_back({std::string(manifest_name),
                                "",
                                fmt::format("the manifest is of step {}", manifest->step)});
    }
    const std::uint64_t total = manifest->size_bytes();
    std::uint64_t done = 0;
    const Staging staging;
    ShardReader reader(files, path, *manifest, staging);
    for (std::size_t shard = 0; shard < manifest->shards.size(); ++shard) {
        const auto told = [&](std::uint64_t bytes) {
            done += bytes;
            if (progress) {
                progress(done, total);
            }
        };
        MPITRAIN_TRY_VOID(note(verify_shard(reader, *manifest, shard, verified.bad, told),
                               manifest->shards[shard].file,
                               verified.bad));
    }
    if (manifest->view) {
        MPITRAIN_TRY_VOID(verify_view(files, path, *manifest->view, verified.bad));
    }
    if (progress) {
        progress(total, total);  // whatever was missing on the way
    }
    verified.manifest = *std::move(manifest);
    return verified;
}

}  // namespace mpitrain::checkpoint
