#include "mpitrain/slurm/allocation.hpp"

#include <fmt/format.h>

#include <numeric>

#include "mpitrain/base/host_list.hpp"
#include "mpitrain/base/number.hpp"

namespace mpitrain::slurm {
namespace {

constexpr std::int64_t count_max = 1'000'000;

const std::string* find(const EnvironmentMap& environment, const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() || found->second.empty() ? nullptr : &found->second;
}

std::string text_of(const EnvironmentMap& environment, const std::string& name) {
    const std::string* value = find(environment, name);
    return value == nullptr ? "" : *value;
}

Error bad_variable(std::string_view name, const std::string& why) {
    return Error(ErrorCode::invalid_argument, why)
        .at(name)
        .mend(
            "Slurm sets it: start mpitrain from the job's own script or salloc's shell, with "
            "its environment");
}

Result<std::optional<int>> number_of(const EnvironmentMap& environment, const std::string& name) {
    const std::string* value = find(environment, name);
    if (value == nullptr) {
        return std::nullopt;
    }
    const auto number = parse_integer(*value, 0, count_max);
    if (!number) {
        return bad_variable(name, number.error().what());
    }
    return static_cast<int>(*number);
}

// A rank of somebody's srun would start a job of its own in each of its copies.
Result<void> check_started_once(const EnvironmentMap& environment) {
    const std::string step = text_of(environment, "SLURM_STEP_ID");
    // salloc's own shell may be a step too, of one task.
    MPITRAIN_TRY(const auto tasks, number_of(environment, "SLURM_STEP_NUM_TASKS"));
    if (!step.empty() && tasks.value_or(1) > 1) {
        return Error(ErrorCode::invalid_argument,
                     fmt::format("srun has started mpitrain {} times", *tasks))
            .at("SLURM_STEP_NUM_TASKS")
            .mend("start it once, without srun: it starts the ranks itself");
    }
    return {};
}

Result<void> read_nodes(const EnvironmentMap& environment, Allocation& allocation) {
    const std::string list = text_of(environment, "SLURM_JOB_NODELIST");
    if (list.empty()) {
        return bad_variable("SLURM_JOB_NODELIST", "is not set inside of a Slurm job");
    }
    auto nodes = expand_host_list(list);
    if (!nodes) {
        return bad_variable("SLURM_JOB_NODELIST", nodes.error().text());
    }
    allocation.nodes = *std::move(nodes);
    const std::string counts = text_of(environment, "SLURM_TASKS_PER_NODE");
    if (counts.empty()) {
        allocation.tasks.assign(allocation.nodes.size(), 1);
        return {};
    }
    auto tasks = expand_counts(counts);
    if (!tasks) {
        return bad_variable("SLURM_TASKS_PER_NODE", tasks.error().what());
    }
    if (tasks->size() != allocation.nodes.size()) {
        return bad_variable("SLURM_TASKS_PER_NODE",
                            fmt::format("'{}' is for {} nodes, and the job has {}",
                                        counts,
                                        tasks->size(),
                                        allocation.nodes.size()));
    }
    allocation.tasks = *std::move(tasks);
    return {};
}

}  // namespace

int Allocation::slots() const {
    return std::accumulate(tasks.begin(), tasks.end(), 0);
}

Result<std::vector<int>> expand_counts(std::string_view text, std::size_t nodes_max) {
    std::vector<int> counts;
    for (std::string_view rest = text; !rest.empty();) {
        const std::size_t comma = rest.find(',');
        std::string_view part = rest.substr(0, comma);
        rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
        std::int64_t times = 1;
        if (const std::size_t open = part.find("(x"); open != std::string_view::npos) {
            if (part.back() != ')') {
                return Error(ErrorCode::invalid_argument,
                             fmt::format("'{}' has '(x' without ')'", text));
            }
            const std::string_view repeat = part.substr(open + 2, part.size() - open - 3);
            MPITRAIN_TRY(times, parse_integer(repeat, 1, static_cast<std::int64_t>(nodes_max)));
            part = part.substr(0, open);
        }
        MPITRAIN_TRY(const std::int64_t count, parse_integer(part, 0, count_max));
        if (counts.size() + static_cast<std::size_t>(times) > nodes_max) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("'{}' is for more than {} nodes", text, nodes_max));
        }
        counts.insert(counts.end(), static_cast<std::size_t>(times), static_cast<int>(count));
        if (comma != std::string_view::npos && rest.empty()) {
            return Error(ErrorCode::invalid_argument, fmt::format("'{}' ends with a comma", text));
        }
    }
    if (counts.empty()) {
        return Error(ErrorCode::invalid_argument, "it is empty");
    }
    return counts;
}

Result<std::optional<Allocation>> read_allocation(const EnvironmentMap& environment) {
    Allocation allocation;
    allocation.job = text_of(environment, "SLURM_JOB_ID");
    if (allocation.job.empty()) {
        return std::nullopt;
    }
    if (auto id = parse_integer(allocation.job, 1, 0xffff'ffff); !id) {
        return bad_variable("SLURM_JOB_ID", id.error().what());
    }
    MPITRAIN_TRY_VOID(check_started_once(environment));
    MPITRAIN_TRY_VOID(read_nodes(environment, allocation));
    MPITRAIN_TRY(const auto restarts, number_of(environment, "SLURM_RESTART_COUNT"));
    MPITRAIN_TRY(allocation.ranks, number_of(environment, "SLURM_NTASKS"));
    allocation.restarts = restarts.value_or(0);
    allocation.partition = text_of(environment, "SLURM_JOB_PARTITION");
    allocation.this_node = text_of(environment, "SLURMD_NODENAME");
    // slurmd starts nothing but the script without a step of its own; salloc's shell is no child of
    // slurmd and has no such name.
    allocation.batch =
        !allocation.this_node.empty() && find(environment, "SLURM_STEP_ID") == nullptr;
    return allocation;
}

}  // namespace mpitrain::slurm
