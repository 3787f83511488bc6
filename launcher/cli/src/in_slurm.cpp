#include "in_slurm.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/base/number.hpp"
#include "slurm_client.hpp"

namespace mpitrain::cli {
namespace {

using namespace std::chrono_literals;

// What mpitrain itself needs after the last rank has ended, before slurmd kills it.
constexpr auto tidy_up = 2s;

Result<void> settle_ranks(JobSpec& spec, const slurm::Allocation& allocation) {
    if (!allocation.ranks) {
        return {};
    }
    int fixed = 0;
    CommandGroup* open = nullptr;
    for (CommandGroup& group : spec.groups) {
        fixed += group.ranks.value_or(0);
        open = group.ranks ? open : &group;
    }
    const int given = *allocation.ranks;
    const int wanted = fixed + (open != nullptr ? 1 : 0);
    if (wanted > given && !spec.oversubscribe) {
        return Error(ErrorCode::unsatisfiable,
                     fmt::format("{} ranks, and Slurm gave job {} room for {}",
                                 wanted,
                                 allocation.job,
                                 given))
            .at("--ranks")
            .mend("ask Slurm for more tasks (--ntasks), or for fewer ranks");
    }
    if (open != nullptr) {
        open->ranks = std::max(1, given - fixed);
    }
    return {};
}

void settle_grace(JobSpec& spec, std::vector<std::string>& notes) {
    const auto kill_wait = slurm_kill_wait();
    if (!kill_wait) {
        notes.push_back(fmt::format("--stop-grace may be longer than slurmd waits: {}",
                                    kill_wait.error().text()));
        return;
    }
    const Nanoseconds longest = std::max<Nanoseconds>(*kill_wait - tidy_up, 500ms);
    if (spec.stop_grace > longest) {
        notes.push_back(
            fmt::format("stopping within {}, not {}: slurmd kills {} after it has asked (KillWait)",
                        format_duration(longest),
                        format_duration(spec.stop_grace),
                        format_duration(*kill_wait)));
        spec.stop_grace = longest;
    }
}

}  // namespace

Result<std::optional<slurm::Allocation>> settle_in_slurm(JobSpec& spec,
                                                         const EnvironmentMap& environment,
                                                         std::vector<std::string>& notes) {
    MPITRAIN_TRY(std::optional<slurm::Allocation> allocation, slurm::read_allocation(environment));
    if (!allocation) {
        return allocation;
    }
    if (allocation->nodes.size() > 1) {
        return Error(ErrorCode::unsatisfiable,
                     fmt::format("Slurm gave job {} {} nodes, and this version runs on one",
                                 allocation->job,
                                 allocation->nodes.size()))
            .at("SLURM_JOB_NODELIST")
            .mend("ask Slurm for one: --nodes=1");
    }
    MPITRAIN_TRY_VOID(settle_ranks(spec, *allocation));
    settle_grace(spec, notes);
    return allocation;
}

std::string requeue_in_slurm(const slurm::Allocation& allocation, int max_requeues) {
    const auto id = parse_integer(allocation.job, 1, 0xffff'ffff);
    if (!id || !allocation.batch) {
        return "";
    }
    const auto number = static_cast<std::uint32_t>(*id);
    if (allocation.restarts >= max_requeues) {
        return fmt::format("job {} is not requeued again: --max-requeues {} is reached",
                           allocation.job,
                           max_requeues);
    }
    const auto job = slurm_job(number);
    if (job && slurm::state_word(*job) != "running") {
        return fmt::format("Slurm is ending job {} itself ({})", allocation.job, job->state);
    }
    if (auto done = control_slurm_job("requeue", number); !done) {
        return fmt::format("job {} could not be requeued: {}; submit it again to go on",
                           allocation.job,
                           done.error().text());
    }
    return fmt::format("job {} is back in Slurm's queue (requeue {} of {} at most)",
                       allocation.job,
                       allocation.restarts + 1,
                       max_requeues);
}

}  // namespace mpitrain::cli
