#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ckpt.hpp"
#include "mpitrain/base/bytes.hpp"
#include "mpitrain/checkpoint/retention.hpp"

namespace mpitrain::checkpoint::tool {
namespace {

using Json = nlohmann::json;

struct Entry {
    CommitDirectory commit;
    Result<Manifest> manifest;
};

std::string as_json(const std::string& directory,
                    const std::vector<Entry>& entries,
                    const std::vector<std::string>& leftovers) {
    Json commits = Json::array();
    for (const Entry& entry : entries) {
        Json json = {{"step", entry.commit.step},
                     {"path", entry.commit.path},
                     {"complete", entry.manifest.has_value()}};
        if (entry.manifest) {
            json["world_size"] = entry.manifest->world_size;
            json["bytes"] = entry.manifest->size_bytes();
            json["created"] = entry.manifest->created;
            json["model"] = entry.manifest->model;
        } else {
            json["reason"] = entry.manifest.error().text();
        }
        commits.push_back(std::move(json));
    }
    const Json json = {{"schema", schema},
                       {"directory", directory},
                       {"commits", std::move(commits)},
                       {"leftovers", leftovers}};
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string as_table(const std::vector<Entry>& entries, const cli::Terminal& terminal) {
    cli::Table table({"STEP", "CREATED", "RANKS", "SIZE", "TENSORS", "STATE"});
    for (const Entry& entry : entries) {
        const std::string step = fmt::format("{}", entry.commit.step);
        if (entry.manifest) {
            table.add({step,
                       entry.manifest->created,
                       fmt::format("{}", entry.manifest->world_size),
                       Bytes(entry.manifest->size_bytes()).to_string(),
                       fmt::format("{}", entry.manifest->tensors.size()),
                       terminal.styled(cli::Style::good, "complete")});
        } else {
            const std::string why = fmt::format("damaged: {}", entry.manifest.error().what());
            table.add({step, "", "", "", "", terminal.styled(cli::Style::bad, why)});
        }
    }
    return table.text();
}

Result<std::string> list(const cli::Invocation& invocation) {
    MPITRAIN_TRY(const auto words, plain_words(invocation, 1));
    const auto files = open_files();
    MPITRAIN_TRY(const auto commits, list_commits(*files, words[0]));
    MPITRAIN_TRY(const auto leftovers, list_leftovers(*files, words[0]));
    std::vector<Entry> entries;
    for (const CommitDirectory& commit : commits) {
        entries.push_back({commit, read_manifest(*files, commit.path)});
    }
    switch (invocation.terminal.format()) {
        case cli::Format::json:
            return as_json(words[0], entries, leftovers);
        case cli::Format::table:
            return as_table(entries, invocation.terminal);
        case cli::Format::quiet:
            break;
    }
    std::string paths;
    for (const Entry& entry : entries) {
        paths += entry.manifest ? entry.commit.path + "\n" : "";
    }
    return paths;
}

int run_list(cli::Invocation& invocation) {
    const auto text = list(invocation);
    if (!text) {
        return refuse(invocation.terminal, text.error());
    }
    invocation.terminal.print(*text);
    return 0;
}

}  // namespace

constinit const cli::Command list_command{
    .name = "ckpt list",
    .summary = "the checkpoints in a directory, newest first",
    .usage = "DIR",
    .description =
        "Looks at manifests and file lengths, not at every byte: 'ckpt verify' does that. With "
        "--output quiet, the paths of the complete ones.",
    .example = "mpitrain ckpt list ./checkpoints",
    .takes_words = true,
    .run = run_list,
};

}  // namespace mpitrain::checkpoint::tool
