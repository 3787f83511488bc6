#include "mpitrain/settings/job_options.hpp"

#include <fmt/format.h>

#include "mpitrain/base/number.hpp"
#include "mpitrain/model/hostfile.hpp"

namespace mpitrain::settings {
namespace {

constexpr std::int64_t count_max = 1'000'000;

Error invalid(std::string what, std::string_view mend) {
    return Error(ErrorCode::invalid_argument, std::move(what)).mend(mend);
}

// --- what options of one kind have in common; Member is the JobSpec field that is set ---

template <auto Member>
Result<void> text(JobDraft& draft, std::string_view value) {
    if (value.empty()) {
        return invalid("the value is empty", "leave the option out");
    }
    draft.spec.*Member = value;
    return {};
}

template <auto Member>
Result<void> text_list(JobDraft& draft, std::string_view value) {
    (draft.spec.*Member).emplace_back(value);
    return {};
}

template <auto Member, std::int64_t Low>
Result<void> count(JobDraft& draft, std::string_view value) {
    MPITRAIN_TRY(const std::int64_t number, parse_integer(value, Low, count_max));
    draft.spec.*Member = static_cast<int>(number);
    return {};
}

template <auto Member, bool On>
Result<void> flag(JobDraft& draft, std::string_view value) {
    MPITRAIN_TRY(const bool on, parse_switch(value));
    draft.spec.*Member = on == On;
    return {};
}

template <auto Member>
Result<void> duration(JobDraft& draft, std::string_view value) {
    MPITRAIN_TRY(draft.spec.*Member, parse_duration(value));
    return {};
}

// --- the others, in the order of the table ---

Result<void> apply_ranks(JobDraft& draft, std::string_view value) {
    draft.ranks_given = true;
    draft.ranks.reset();
    if (value == "all") {
        return {};
    }
    auto number = parse_integer(value, 1, count_max);
    if (!number) {
        return std::move(number).error().mend("give a whole number, or all");
    }
    draft.ranks = static_cast<int>(*number);
    return {};
}

Result<void> apply_device(JobDraft& draft, std::string_view value) {
    MPITRAIN_TRY(draft.spec.device, parse_device(value));
    return {};
}

Result<void> apply_gpu_visibility(JobDraft& draft, std::string_view value) {
    draft.spec.gpu_visibility = value == "rank" ? GpuVisibility::rank : GpuVisibility::node;
    return {};
}

Result<void> apply_mem_per_rank(JobDraft& draft, std::string_view value) {
    MPITRAIN_TRY(draft.spec.mem_per_rank, Bytes::parse(value));
    return {};
}

Result<void> apply_host(JobDraft& draft, std::string_view value) {
    MPITRAIN_TRY(const std::vector<HostEntry> hosts, parse_host_option(value));
    for (const HostEntry& entry : hosts) {
        draft.spec.host.push_back(fmt::format("{}{}{}{}",
                                              entry.user,
                                              entry.user.empty() ? "" : "@",
                                              entry.host,
                                              entry.slots ? fmt::format(":{}", *entry.slots) : ""));
    }
    return {};
}

Result<void> apply_engine(JobDraft& draft, std::string_view value) {
    draft.spec.engine = value == "mpirun" ? EngineKind::mpirun
                        : value == "srun" ? EngineKind::srun
                                          : EngineKind::automatic;
    return {};
}

Result<void> apply_topology_level(JobDraft& draft, std::string_view value) {
    const std::size_t colon = value.find(':');
    const std::string_view level = value.substr(0, colon);
    if ((level != "node" && level != "switch" && level != "block") ||
        (colon != std::string_view::npos && value.substr(colon) != ":required")) {
        return invalid(fmt::format("'{}' is no topology level", value),
                       "give node, switch or block, with :required or without");
    }
    draft.spec.topology_level = value;
    return {};
}

Result<void> apply_resume(JobDraft& draft, std::string_view value) {
    using Kind = ResumePolicy::Kind;
    if (value.empty()) {
        return invalid("the value is empty", "give auto, never or a path");
    }
    const Kind kind = value == "auto"    ? Kind::automatic
                      : value == "never" ? Kind::never
                                         : Kind::path;
    draft.spec.resume = {kind, kind == Kind::path ? std::string(value) : ""};
    return {};
}

Result<void> apply_time_limit(JobDraft& draft, std::string_view value) {
    MPITRAIN_TRY(const Nanoseconds limit, parse_duration(value));
    if (limit <= Nanoseconds::zero()) {
        return invalid("a job without any time cannot run", "leave the option out for no limit");
    }
    draft.spec.time_limit = limit;
    return {};
}

Result<void> apply_hang_timeout(JobDraft& draft, std::string_view value) {
    using enum HangTimeoutMode;
    draft.spec.hang_timeout_mode = value == "off" || value == "false"
                                       ? off  // YAML writes off as false
                                   : value == "auto" ? automatic
                                                     : fixed;
    draft.spec.hang_timeout = Nanoseconds::zero();
    if (draft.spec.hang_timeout_mode == fixed) {
        auto timeout = parse_duration(value);
        if (!timeout || *timeout <= Nanoseconds::zero()) {
            return invalid(fmt::format("'{}' is no time to wait", value),
                           "give off, auto or a duration like 5m");
        }
        draft.spec.hang_timeout = *timeout;
    }
    return {};
}

Result<void> apply_show(JobDraft& draft, std::string_view value) {
    const auto ranks = CpuSet::parse(value);  // the same grammar
    if (!ranks || ranks->empty()) {
        return invalid(fmt::format("'{}' is no list of ranks", value), "write it like 0,8-15");
    }
    draft.spec.show = ranks->to_string();
    return {};
}

Result<void> apply_stdin(JobDraft& draft, std::string_view value) {
    draft.spec.stdin_mode = value == "0" ? StdinMode::rank0 : StdinMode::none;
    return {};
}

Result<void> apply_env(JobDraft& draft, std::string_view value) {
    const std::size_t equals = value.find('=');
    if (equals == std::string_view::npos || equals == 0) {
        return invalid(fmt::format("'{}' is no assignment", value.substr(0, equals)),
                       "write NAME=VALUE");
    }
    draft.spec.env[std::string(value.substr(0, equals))] = value.substr(equals + 1);
    return {};
}

Result<void> apply_priority(JobDraft& draft, std::string_view value) {
    MPITRAIN_TRY(const std::int64_t priority, parse_integer(value, -count_max, count_max));
    draft.spec.priority = static_cast<int>(priority);
    return {};
}

constexpr std::string_view shape = "Shape";
constexpr std::string_view life = "Life";
constexpr std::string_view talk = "Input and output";
constexpr std::string_view queue = "Queue";
constexpr std::string_view hatch = "Escape hatches";

using S = JobSpec;

constexpr Option table[] = {
    {.name = "ranks",
     .letter = 'n',
     .value = "N|all",
     .summary = "how many ranks (processes) to run; -np N is the same",
     .fallback = "all: one per slot",
     .heading = shape,
     .apply = apply_ranks},
    {.name = "min-ranks",
     .value = "A",
     .summary = "go on with as few as A ranks when machines are lost",
     .heading = shape,
     .apply = count<&S::min_ranks, 1>},
    {.name = "max-ranks",
     .value = "B",
     .summary = "at most B ranks, where -n says all",
     .heading = shape,
     .apply = count<&S::max_ranks, 1>},
    {.name = "nodes",
     .value = "N",
     .summary = "spread the ranks over exactly N machines",
     .heading = shape,
     .apply = count<&S::nodes, 1>},
    {.name = "ranks-per-node",
     .value = "K",
     .summary = "at most K ranks on each machine",
     .heading = shape,
     .apply = count<&S::ranks_per_node, 1>},
    {.name = "device",
     .value = "KIND",
     .summary = "what a rank computes on: auto, cuda or cpu; auto takes GPUs where there are any",
     .fallback = "auto",
     .choices = "auto|cuda|cpu",
     .heading = shape,
     .apply = apply_device},
    {.name = "gpus-per-rank",
     .value = "G",
     .summary = "GPUs of each rank",
     .fallback = "1",
     .heading = shape,
     .apply = count<&S::gpus_per_rank, 1>},
    {.name = "gpu-type",
     .value = "T",
     .summary = "only GPUs whose model name contains T",
     .heading = shape,
     .apply = text<&S::gpu_type>},
    {.name = "gpu-visibility",
     .value = "WHICH",
     .summary = "show a rank all of the job's GPUs on its node, or only its own (rank)",
     .fallback = "node",
     .choices = "node|rank",
     .heading = shape,
     .apply = apply_gpu_visibility},
    {.name = "cpus-per-rank",
     .value = "C",
     .summary = "cores of each rank",
     .fallback = "its slots' share",
     .heading = shape,
     .apply = count<&S::cpus_per_rank, 1>},
    {.name = "mem-per-rank",
     .value = "M",
     .summary = "memory that each rank needs, like 8G",
     .heading = shape,
     .apply = apply_mem_per_rank},
    {.name = "oversubscribe",
     .summary = "let ranks share slots when there are too few",
     .heading = shape,
     .apply = flag<&S::oversubscribe, true>},
    {.name = "host",
     .value = "LIST",
     .summary = "machines to run on, like a:8,b:8 or gpu[01-04]:8",
     .repeats = true,
     .heading = shape,
     .apply = apply_host},
    {.name = "hostfile",
     .value = "FILE",
     .summary = "file of machines to run on, one a line",
     .completes = Completes::file,
     .heading = shape,
     .apply = text<&S::hostfile>},
    {.name = "engine",
     .value = "NAME",
     .summary = "what starts the ranks: auto, mpirun or srun",
     .fallback = "auto",
     .choices = "auto|mpirun|srun",
     .heading = shape,
     .apply = apply_engine},
    {.name = "placement",
     .value = "POLICY",
     .summary = "fill machines one after the other (pack), or in turn (spread)",
     .fallback = "pack",
     .choices = "pack|spread",
     .heading = shape,
     .apply = text<&S::placement>},
    {.name = "topology-level",
     .value = "LEVEL",
     .summary =
         "keep the job within one node, switch or block; with :required rather wait than not",
     .heading = shape,
     .apply = apply_topology_level},

    {.name = "max-restarts",
     .value = "R",
     .summary = "start again at most R times after a failure",
     .fallback = "3 with --checkpoint-dir, else 0",
     .heading = life,
     .apply = count<&S::max_restarts, 0>},
    {.name = "checkpoint-dir",
     .value = "DIR",
     .summary = "where the program keeps its checkpoints",
     .completes = Completes::directory,
     .heading = life,
     .apply = text<&S::checkpoint_dir>},
    {.name = "resume",
     .value = "HOW",
     .summary = "go on from the last checkpoint (auto), never, or from the one at PATH",
     .fallback = "auto",
     .completes = Completes::directory,
     .heading = life,
     .apply = apply_resume},
    {.name = "time-limit",
     .value = "TIME",
     .summary = "end the whole job after this long, like 90m, 1h30m or 2-00:00:00",
     .heading = life,
     .apply = apply_time_limit},
    {.name = "stop-grace",
     .value = "TIME",
     .summary = "time to save and end when the job is told to stop",
     .fallback = "30s",
     .heading = life,
     .apply = duration<&S::stop_grace>},
    {.name = "max-requeues",
     .value = "Q",
     .summary = "in Slurm: go back into the queue at most Q times after a stop with a checkpoint",
     .fallback = "100",
     .heading = life,
     .apply = count<&S::max_requeues, 0>},
    {.name = "hang-timeout",
     .value = "TIME",
     .summary = "treat a job without progress for this long as failed: off, auto or a duration",
     .fallback = "off",
     .heading = life,
     .apply = apply_hang_timeout},

    {.name = "heartbeat",
     .value = "TIME",
     .summary = "take a machine that is silent for this long for lost",
     .fallback = "5s",
     .heading = life,
     .apply = duration<&S::heartbeat>},
    {.name = "spares",
     .value = "N",
     .summary = "keep the last N machines free, to take the places of lost ones",
     .fallback = "0",
     .heading = life,
     .apply = count<&S::spares, 0>},
    {.name = "max-node-failures",
     .value = "N",
     .summary = "give up when more machines than this were lost",
     .heading = life,
     .apply = count<&S::max_node_failures, 0>},

    {.name = "log-dir",
     .value = "DIR",
     .summary = "where the ranks' output and the job's records go",
     .fallback = "the job's state directory",
     .completes = Completes::directory,
     .heading = talk,
     .apply = text<&S::log_dir>},
    {.name = "show",
     .value = "RANKS",
     .summary = "show the output of these ranks only, like 0,8-15",
     .fallback = "all",
     .heading = talk,
     .apply = apply_show},
    {.name = "no-tag",
     .summary = "show output without the [rank] in front",
     .heading = talk,
     .apply = flag<&S::tag, false>},
    {.name = "pty",
     .summary = "give the ranks a terminal as standard output even when there is none",
     .heading = talk,
     .apply = flag<&S::pty, true>},
    {.name = "stdin",
     .value = "WHO",
     .summary = "who reads the standard input: nobody, or rank 0",
     .fallback = "none",
     .choices = "none|0",
     .heading = talk,
     .apply = apply_stdin},
    {.name = "env",
     .value = "NAME=VALUE",
     .summary = "set a variable for the ranks",
     .repeats = true,
     .adds = true,
     .heading = talk,
     .apply = apply_env},
    {.name = "workdir",
     .value = "DIR",
     .summary = "where the ranks start",
     .fallback = "here",
     .completes = Completes::directory,
     .heading = talk,
     .apply = text<&S::workdir>},
    {.name = "events",
     .value = "FILE",
     .summary = "write every event of the job there too, one JSON object a line",
     .completes = Completes::file,
     .heading = talk,
     .apply = text<&S::events_file>},
    {.name = "result",
     .value = "FILE",
     .summary = "write the job's outcome there too, as JSON",
     .completes = Completes::file,
     .heading = talk,
     .apply = text<&S::result_file>},

    {.name = "name",
     .value = "NAME",
     .summary = "what the job is called",
     .fallback = "the program's name",
     .heading = queue,
     .apply = text<&S::name>},
    {.name = "priority",
     .value = "P",
     .summary = "higher comes first in the queue",
     .fallback = "0",
     .heading = queue,
     .apply = apply_priority},
    {.name = "queue",
     .value = "NAME",
     .summary = "the queue to wait in",
     .heading = queue,
     .apply = text<&S::queue>},
    {.name = "after",
     .value = "JOB",
     .summary = "wait for this job's success",
     .repeats = true,
     .heading = queue,
     .apply = text_list<&S::after>},

    {.name = "mpirun-arg",
     .value = "ARG",
     .summary = "hand ARG to mpirun as it is",
     .repeats = true,
     .heading = hatch,
     .apply = text_list<&S::mpirun_args>},
    {.name = "ssh-arg",
     .value = "ARG",
     .summary = "hand ARG to every ssh, like -F or FILE",
     .repeats = true,
     .heading = hatch,
     .apply = text_list<&S::ssh_args>},
    {.name = "remote-prefix",
     .value = "DIR",
     .summary = "where mpitrain is installed on the other machines",
     .fallback = "where it is here",
     .heading = hatch,
     .apply = text<&S::remote_prefix>},
    {.name = "srun-arg",
     .value = "ARG",
     .summary = "hand ARG to srun as it is",
     .repeats = true,
     .heading = hatch,
     .apply = text_list<&S::srun_args>},
    {.name = "sbatch-arg",
     .value = "ARG",
     .summary = "hand ARG to sbatch as it is",
     .repeats = true,
     .heading = hatch,
     .apply = text_list<&S::sbatch_args>},
};

constexpr Option source_table[] = {
    {.name = "file",
     .value = "JOB.yaml",
     .summary = "read the job from a job file or an MPIJob manifest; options given here come first",
     .completes = Completes::file,
     .heading = shape},
};

}  // namespace

std::span<const Option> job_options() {
    return table;
}
std::span<const Option> job_source_options() {
    return source_table;
}

}  // namespace mpitrain::settings
