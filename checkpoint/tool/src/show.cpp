#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <set>
#include <variant>

#include "ckpt.hpp"
#include "mpitrain/base/bytes.hpp"

namespace mpitrain::checkpoint::tool {
namespace {

using Json = nlohmann::json;

std::size_t shards_of(const StoredTensor& tensor) {
    std::set<std::size_t> shards;
    for (const StoredBlock& block : tensor.blocks) {
        shards.insert(block.shard);
    }
    return shards.size();
}

Json as_json(const Attributes& attributes) {
    Json json = Json::object();
    for (const auto& [name, value] : attributes) {
        std::visit([&, key = name](const auto& one) { json[key] = one; }, value);
    }
    return json;
}

std::string as_json(const std::string& path, const Manifest& manifest) {
    Json tensors = Json::array();
    for (const StoredTensor& tensor : manifest.tensors) {
        tensors.push_back({{"name", tensor.name},
                           {"dtype", to_string(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"shards", shards_of(tensor)}});
    }
    Json blobs = Json::array();
    for (const StoredBlob& blob : manifest.blobs) {
        Json json = {{"name", blob.name}, {"rank", nullptr}, {"bytes", blob.size_bytes}};
        if (blob.rank) {
            json["rank"] = *blob.rank;
        }
        blobs.push_back(std::move(json));
    }
    const Json json = {{"schema", schema},
                       {"path", path},
                       {"step", manifest.step},
                       {"world_size", manifest.world_size},
                       {"bytes", manifest.size_bytes()},
                       {"complete", true},
                       {"created", manifest.created},
                       {"model", manifest.model},
                       {"job", manifest.job},
                       {"attempt", manifest.attempt},
                       {"structure", structure_hash(manifest)},
                       {"shards", manifest.shards.size()},
                       {"hdf5_view", manifest.view.has_value()},
                       {"attributes", as_json(manifest.attributes)},
                       {"tensors", std::move(tensors)},
                       {"blobs", std::move(blobs)}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string as_table(const std::string& path, const Manifest& manifest) {
    std::string text = fmt::format("{}\nstep {}, {} ranks, {}, {} shards, created {}\n",
                                   path,
                                   manifest.step,
                                   manifest.world_size,
                                   Bytes(manifest.size_bytes()).to_string(),
                                   manifest.shards.size(),
                                   manifest.created);
    if (!manifest.model.empty()) {
        text += fmt::format("model {}\n", manifest.model);
    }
    const Json attributes = as_json(manifest.attributes);
    for (const auto& [name, value] : attributes.items()) {
        text += fmt::format("{} = {}\n", name, value.dump());
    }
    cli::Table tensors({"TENSOR", "TYPE", "SHAPE", "SHARDS"});
    for (const StoredTensor& tensor : manifest.tensors) {
        tensors.add({tensor.name,
                     std::string(to_string(tensor.dtype)),
                     fmt::format("[{}]", fmt::join(tensor.shape, ", ")),
                     fmt::format("{}", shards_of(tensor))});
    }
    text += "\n" + tensors.text();
    if (!manifest.blobs.empty()) {
        cli::Table blobs({"BLOB", "RANK", "SIZE"});
        for (const StoredBlob& blob : manifest.blobs) {
            blobs.add({blob.name,
                       blob.rank ? fmt::format("{}", *blob.rank) : "all",
                       Bytes(blob.size_bytes).to_string()});
        }
        text += "\n" + blobs.text();
    }
    return text;
}

Result<std::string> show(const cli::Invocation& invocation) {
    MPITRAIN_TRY(const auto words, plain_words(invocation, 1));
    const auto files = open_files();
    MPITRAIN_TRY(const std::string path, commit_at(*files, words[0]));
    MPITRAIN_TRY(const Manifest manifest, read_manifest(*files, path));
    switch (invocation.terminal.format()) {
        case cli::Format::json:
            return as_json(path, manifest);
        case cli::Format::table:
            return as_table(path, manifest);
        case cli::Format::quiet:
            break;
    }
    return path + "\n";
}

int run_show(cli::Invocation& invocation) {
    const auto text = show(invocation);
    if (!text) {
        return refuse(invocation.terminal, text.error());
    }
    invocation.terminal.print(*text);
    return 0;
}

}  // namespace

constinit const cli::Command show_command{
    .name = "ckpt show",
    .summary = "what a checkpoint holds",
    .usage = "DIR",
    .description = "DIR is a step-<n> directory, or one that holds such: then the newest good one.",
    .example = "mpitrain ckpt show ./checkpoints/step-100",
    .takes_words = true,
    .run = run_show,
};

}  // namespace mpitrain::checkpoint::tool
