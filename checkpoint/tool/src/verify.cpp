#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ckpt.hpp"
#include "mpitrain/base/bytes.hpp"
#include "mpitrain/checkpoint/names.hpp"

namespace mpitrain::checkpoint::tool {
namespace {

using Json = nlohmann::json;

constexpr settings::Option options_table[] = {
    {.name = "all",
     .summary = "every checkpoint in DIR, not only the newest",
     .heading = "Options of ckpt verify"},
};

struct Checked {
    std::string path;
    Verified verified;
};

Result<std::vector<std::string>> paths_of(FileSystem& files, const std::string& path, bool all) {
    // A commit whose manifest is gone is still one by its name.
    if (files.status(join_path(path, manifest_name)) ||
        (parse_step_directory(base_name(path)) && files.status(path))) {
        return std::vector<std::string>{path};
    }
    MPITRAIN_TRY(const auto commits, list_commits(files, path));
    std::vector<std::string> paths;
    for (const CommitDirectory& commit : commits) {
        if (all || paths.empty()) {
            paths.push_back(commit.path);
        }
    }
    if (paths.empty()) {
        return Error(ErrorCode::not_found, "no checkpoint here").at(path);
    }
    return paths;
}

Json as_json(const Checked& checked) {
    Json bad = Json::array();
    for (const Bad& one : checked.verified.bad) {
        bad.push_back({{"shard", one.file}, {"tensor", one.tensor}, {"reason", one.reason}});
    }
    Json json = {{"schema", schema},
                 {"path", checked.path},
                 {"ok", checked.verified.bad.empty()},
                 {"bad", std::move(bad)}};
    if (checked.verified.manifest) {
        json["step"] = checked.verified.manifest->step;
        json["world_size"] = checked.verified.manifest->world_size;
        json["bytes"] = checked.verified.manifest->size_bytes();
    }
    return json;
}

void print(cli::Terminal& terminal, const std::vector<Checked>& all, bool as_list) {
    if (terminal.format() == cli::Format::json) {
        Json json = as_json(all.front());
        if (as_list) {
            bool ok = true;
            Json commits = Json::array();
            for (const Checked& checked : all) {
                ok = ok && checked.verified.bad.empty();
                commits.push_back(as_json(checked));
            }
            json = {{"schema", schema}, {"ok", ok}, {"commits", std::move(commits)}};
        }
        terminal.print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
        return;
    }
    if (terminal.format() == cli::Format::quiet) {
        return;
    }
    for (const Checked& checked : all) {
        const auto& [manifest, bad] = checked.verified;
        if (bad.empty()) {
            terminal.print(fmt::format("{}: {}, {} read and right\n",
                                       checked.path,
                                       terminal.styled(cli::Style::good, "ok"),
                                       Bytes(manifest->size_bytes()).to_string()));
            continue;
        }
        terminal.print(
            fmt::format("{}: {}\n", checked.path, terminal.styled(cli::Style::bad, "damaged")));
        for (const Bad& one : bad) {
            const std::string of = one.tensor.empty() ? "" : fmt::format(" ({})", one.tensor);
            terminal.print(fmt::format("  {}{}: {}\n", one.file, of, one.reason));
        }
    }
}

Result<bool> verify(cli::Invocation& invocation) {
    MPITRAIN_TRY(const auto words, plain_words(invocation, 1));
    const auto files = open_files();
    const bool all = invocation.is_on("all");
    MPITRAIN_TRY(const auto paths, paths_of(*files, words[0], all));
    std::vector<Checked> checked;
    bool ok = true;
    for (const std::string& path : paths) {
        MPITRAIN_TRY(Verified verified,
                     verify_commit(*files, path, progress_on_terminal(invocation.terminal)));
        ok = ok && verified.bad.empty();
        checked.push_back({path, std::move(verified)});
    }
    print(invocation.terminal, checked, all);
    return ok;
}

int run_verify(cli::Invocation& invocation) {
    const auto ok = verify(invocation);
    if (!ok) {
        return refuse(invocation.terminal, ok.error());
    }
    return *ok ? 0 : 1;
}

}  // namespace

constinit const cli::Command verify_command{
    .name = "ckpt verify",
    .summary = "read every byte of a checkpoint and compare it with its checksum",
    .usage = "DIR",
    .description =
        "DIR is a step-<n> directory, or one that holds such: then the newest. Exits 0 only if all "
        "is right, 1 if something is damaged.",
    .example = "mpitrain ckpt verify --all ./checkpoints",
    .options = options_table,
    .takes_words = true,
    .run = run_verify,
};

}  // namespace mpitrain::checkpoint::tool
