#include "mpitrain/model/job_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace mpitrain {
namespace {

constexpr std::size_t longest_name = 128;

Error invalid(std::string_view where, std::string what, std::string_view mend) {
    return Error(ErrorCode::invalid_argument, std::move(what)).at(where).mend(mend);
}

Result<void> validate_environment(const EnvironmentMap& environment) {
    for (const auto& [name, value] : environment) {
        if (!is_variable_name(name)) {
            return invalid("--env",
                           fmt::format("'{}' is no name of an environment variable", name),
                           "use letters, digits and _, no digit first");
        }
        if (is_contract_variable(name)) {
            return invalid("--env",
                           fmt::format("{} is set by mpitrain for every rank", name),
                           name.ends_with("VISIBLE_DEVICES")
                               ? "set it before mpitrain, as input, to limit the GPUs it may use"
                               : "leave it out");
        }
        if (value.find('\0') != std::string::npos) {
            return invalid("--env", fmt::format("{} holds a zero byte", name), "leave it out");
        }
    }
    return {};
}

Result<void> validate_groups(const JobSpec& spec) {
    if (spec.groups.empty()) {
        return Error(ErrorCode::invalid_argument, "no program given")
            .mend("write it after the options, or as 'command' in a job file");
    }
    int open = 0;
    for (const CommandGroup& group : spec.groups) {
        if (group.command.empty() || group.command.front().empty()) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("group '{}' has no program", group.name))
                .mend("every ':' stands between two programs");
        }
        if (group.ranks && *group.ranks < 1) {
            return invalid("--ranks",
                           fmt::format("{} ranks of {}", *group.ranks, program_name(group)),
                           "give at least 1, or all");
        }
        open += group.ranks ? 0 : 1;
        MPITRAIN_TRY_VOID(validate_environment(group.env));
    }
    if (open > 1) {
        return invalid("--ranks",
                       fmt::format("{} of the programs take all ranks that are left", open),
                       "give all but one of them a number with -n");
    }
    return {};
}

Result<void> validate_counts(const JobSpec& spec) {
    const std::optional<int> ranks = total_ranks(spec);
    if (spec.min_ranks && spec.max_ranks && *spec.min_ranks > *spec.max_ranks) {
        return invalid("--min-ranks",
                       fmt::format("{} is above --max-ranks {}", *spec.min_ranks, *spec.max_ranks),
                       "swap them");
    }
    if (ranks && spec.min_ranks && *ranks < *spec.min_ranks) {
        return invalid("--min-ranks",
                       fmt::format("{} is above --ranks {}", *spec.min_ranks, *ranks),
                       "start with at least as many ranks as may ever run");
    }
    if (ranks && spec.max_ranks && *ranks > *spec.max_ranks) {
        return invalid("--max-ranks",
                       fmt::format("{} is below --ranks {}", *spec.max_ranks, *ranks),
                       "start with at most as many ranks as may ever run");
    }
    if (ranks && spec.nodes && *spec.nodes > *ranks) {
        return invalid("--nodes",
                       fmt::format("{} nodes for {} ranks", *spec.nodes, *ranks),
                       "ask for no more nodes than ranks");
    }
    if (ranks && spec.nodes && spec.ranks_per_node) {
        const std::int64_t room = std::int64_t{*spec.nodes} * *spec.ranks_per_node;
        if (*ranks > room) {
            return invalid("--ranks-per-node",
                           fmt::format("{} nodes with {} ranks each hold {} of {} ranks",
                                       *spec.nodes,
                                       *spec.ranks_per_node,
                                       room,
                                       *ranks),
                           "leave one of the three out");
        }
    }
    return {};
}

Result<void> validate_combinations(const JobSpec& spec) {
    if (!spec.host.empty() && !spec.hostfile.empty()) {
        return invalid("--hostfile", "--host names the machines too", "give one of the two");
    }
    if (spec.device == Device::cpu && !spec.gpu_type.empty()) {
        return invalid("--gpu-type", "--device cpu uses no GPU", "give one of the two");
    }
    if (spec.device == Device::cpu && spec.gpus_per_rank > 1) {
        return invalid("--gpus-per-rank", "--device cpu uses no GPU", "give one of the two");
    }
    if (spec.engine == EngineKind::srun && !spec.mpirun_args.empty()) {
        return invalid("--mpirun-arg", "--engine srun starts no mpirun", "use --srun-arg");
    }
    if (spec.engine == EngineKind::mpirun && !spec.srun_args.empty()) {
        return invalid("--srun-arg", "--engine mpirun starts no srun", "use --mpirun-arg");
    }
    if (spec.hang_timeout_mode == HangTimeoutMode::fixed &&
        spec.hang_timeout <= Nanoseconds::zero()) {
        return invalid("--hang-timeout", "0 would end every job", "use off, auto or a duration");
    }
    if (spec.heartbeat < std::chrono::milliseconds(500)) {
        return invalid(
            "--heartbeat", "a busy machine may be silent for so long", "give 500ms or more");
    }
    if (!spec.remote_prefix.empty() && spec.remote_prefix.front() != '/') {
        return invalid("--remote-prefix", "not an absolute path", "begin it with '/'");
    }
    for (const std::string& argument : spec.ssh_args) {
        if (argument.empty() || argument.find_first_of(" \t\n\"'\\") != std::string::npos) {
            return invalid("--ssh-arg",
                           "mpirun hands on no argument with spaces or quotes",
                           "put the setting into a file, and give --ssh-arg -F --ssh-arg FILE");
        }
    }
    return {};
}

}  // namespace

std::string program_name(const CommandGroup& group) {
    const std::string& program = group.command.front();
    const std::string base = program.substr(program.rfind('/') + 1);
    return base.empty() ? program : base;
}

std::optional<int> total_ranks(const JobSpec& spec) {
    std::int64_t total = 0;
    for (const CommandGroup& group : spec.groups) {
        if (!group.ranks) {
            return std::nullopt;
        }
        total += *group.ranks;
    }
    constexpr std::int64_t most = 1'000'000'000;
    return static_cast<int>(std::min(total, most));
}

int max_restarts(const JobSpec& spec) {
    return spec.max_restarts.value_or(spec.checkpoint_dir.empty() ? 0 : 3);
}

bool is_variable_name(std::string_view name) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    };
    return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::ranges::all_of(name, fits);
}

bool is_contract_variable(std::string_view name) {
    constexpr std::array<std::string_view, 22> names = {"RANK",
                                                        "LOCAL_RANK",
                                                        "WORLD_SIZE",
                                                        "LOCAL_WORLD_SIZE",
                                                        "GROUP_RANK",
                                                        "GROUP_WORLD_SIZE",
                                                        "ROLE_RANK",
                                                        "ROLE_WORLD_SIZE",
                                                        "ROLE_NAME",
                                                        "NODE_RANK",
                                                        "MASTER_ADDR",
                                                        "MASTER_PORT",
                                                        "TORCHELASTIC_RESTART_COUNT",
                                                        "TORCHELASTIC_MAX_RESTARTS",
                                                        "TORCHELASTIC_RUN_ID",
                                                        "TORCHELASTIC_ERROR_FILE",
                                                        "CUDA_DEVICE_ORDER",
                                                        "CUDA_VISIBLE_DEVICES",
                                                        "ROCR_VISIBLE_DEVICES",
                                                        "PMIX_RANK",
                                                        "PMIX_NAMESPACE",
                                                        "SLURM_PROCID"};
    return std::ranges::find(names, name) != names.end() || name.starts_with("MPITRAIN_") ||
           name.starts_with("OMPI_COMM_WORLD_");
}

Result<void> validate(const JobSpec& spec) {
    const auto is_plain = [](char c) { return c >= ' ' && c != '/' && c != '\x7f'; };
    if (spec.name.size() > longest_name || !std::ranges::all_of(spec.name, is_plain)) {
        return invalid("--name",
                       fmt::format("'{}' is no name for a job", spec.name.substr(0, longest_name)),
                       "use at most 128 printable characters and no /");
    }
    MPITRAIN_TRY_VOID(validate_groups(spec));
    MPITRAIN_TRY_VOID(validate_environment(spec.env));
    MPITRAIN_TRY_VOID(validate_counts(spec));
    return validate_combinations(spec);
}

}  // namespace mpitrain
