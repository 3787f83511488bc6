#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <random>

#include "ckpt.hpp"
#include "mpitrain/base/number.hpp"
#include "mpitrain/checkpoint/lease.hpp"
#include "mpitrain/checkpoint/retention.hpp"

namespace mpitrain::checkpoint::tool {
namespace {

using Json = nlohmann::json;

constexpr settings::Option options_table[] = {
    {.name = "keep-last",
     .value = "N",
     .summary = "how many good checkpoints stay, the newest",
     .heading = "Options of ckpt prune"},
    {.name = "dry-run",
     .summary = "say what would go, and remove nothing",
     .heading = "Options of ckpt prune"},
};

Result<void> remove(FileSystem& files, const std::string& directory, const Prunable& what) {
    std::random_device device;
    const std::string token = fmt::format("{:08x}{:08x}{:08x}", device(), device(), device());
    Lease lease(files, directory, this_process("", 0), token, is_known_dead);
    return checkpoint::prune(files, directory, what, lease, token);
}

Result<void> prune_directory(cli::Invocation& invocation) {
    MPITRAIN_TRY(const auto words, plain_words(invocation, 1));
    const std::string wanted = invocation.value("keep-last");
    if (wanted.empty()) {
        return Error(ErrorCode::invalid_argument, "--keep-last is missing")
            .mend("say how many checkpoints stay: --keep-last 3");
    }
    auto keep = parse_integer(wanted, 1, 1'000'000);
    if (!keep) {
        return Error(std::move(keep).error()).at("--keep-last");
    }
    const auto files = open_files();
    MPITRAIN_TRY(const Prunable doomed,
                 list_prunable(*files, words[0], static_cast<std::uint64_t>(*keep)));
    const bool dry = invocation.is_on("dry-run");
    if (!dry && !(doomed.commits.empty() && doomed.leftovers.empty())) {
        MPITRAIN_TRY_VOID(remove(*files, words[0], doomed));
    }
    std::string text;
    if (invocation.terminal.format() == cli::Format::json) {
        const Json json = {{"schema", schema},
                           {"dry_run", dry},
                           {"removed", doomed.commits},
                           {"leftovers", doomed.leftovers}};
        text = json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    } else {
        for (const auto* list : {&doomed.commits, &doomed.leftovers}) {
            for (const std::string& path : *list) {
                text += path + "\n";
            }
        }
    }
    invocation.terminal.print(text);
    return {};
}

int run_prune(cli::Invocation& invocation) {
    const auto done = prune_directory(invocation);
    return done ? 0 : refuse(invocation.terminal, done.error());
}

}  // namespace

constinit const cli::Command prune_command{
    .name = "ckpt prune",
    .summary = "remove old checkpoints and what dead writers left",
    .usage = "DIR",
    .description =
        "Prints what it removes. The newest good checkpoint always stays. Refused while a job "
        "writes here: it prunes by itself.",
    .example = "mpitrain ckpt prune --keep-last 2 --dry-run ./checkpoints",
    .options = options_table,
    .takes_words = true,
    .run = run_prune,
};

}  // namespace mpitrain::checkpoint::tool
