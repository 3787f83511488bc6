#include "mpitrain/local/run.hpp"

#include "mpitrain/local/claim.hpp"
#include "mpitrain/plan/rank_environment.hpp"

namespace mpitrain::local {

Result<int> run_here(RunHere request) {
    MPITRAIN_TRY(const SlotRegistry registry, SlotRegistry::open());
    EnvironmentMap inherited = rank_base_environment(request.environment);
    MPITRAIN_TRY(ClaimedPlan claimed, claim_here(request.spec, inherited, registry));
    return run_job({.spec = std::move(request.spec),
                    .plan = std::move(claimed.local.plan),
                    .claim = std::move(claimed.claim),
                    .what = std::move(claimed.local.what),
                    .submit_environment = request.environment,
                    .rank_environment = std::move(inherited),
                    .agent_path = std::move(request.agent_path),
                    .client_library = std::move(request.client_library),
                    .files = request.files,
                    .talk = request.talk,
                    .color = request.color});
}

}  // namespace mpitrain::local
