#include "mpitrain/hosts/run.hpp"

#include <memory>

#include "mpitrain/plan/rank_environment.hpp"

namespace mpitrain::hosts {

Result<int> run_on_hosts(RunOnHosts request) {
    EnvironmentMap inherited = rank_base_environment(request.environment);
    MPITRAIN_TRY(
        HostsPlanner made,
        HostsPlanner::make(
            request.spec, std::move(request.hosts), inherited, std::move(request.programs)));
    // Shared, since a std::function must be copyable.
    const auto planner = std::make_shared<HostsPlanner>(std::move(made));
    MPITRAIN_TRY(HostsPlan first, planner->plan());
    return run_job({.spec = std::move(request.spec),
                    .plan = std::move(first.plan),
                    .claim = {},
                    .what = std::move(first.what),
                    .submit_environment = request.environment,
                    .rank_environment = std::move(inherited),
                    .agent_path = std::move(request.agent_path),
                    .client_library = "",
                    .files = request.files,
                    .talk = request.talk,
                    .color = request.color,
                    .hosts = std::move(first.access),
                    .replan = [planner](const std::string& lost,
                                        bool dark) { return planner->plan_without(lost, dark); },
                    .notes = std::move(first.notes)});
}

}  // namespace mpitrain::hosts
