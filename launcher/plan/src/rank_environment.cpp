#include "mpitrain/plan/rank_environment.hpp"

#include <algorithm>
#include <array>

namespace mpitrain {
namespace {

// docs/guide/options.md shows these two lists; a test holds that it names them all.
constexpr std::array<std::string_view, 22> denied_prefixes = {
    "MPITRAIN_",         // options, and what an outer mpitrain told its own rank
    "OMPI_COMM_WORLD_",  // Open MPI's launch of us
    "OMPI_MCA_orte_",
    "OMPI_MCA_ess_",
    "OMPI_MCA_pmix_",
    "OMPI_MCA_plm_",
    "OMPI_MCA_prte_",
    "OMPI_APP_CTX_",
    "OMPI_FIRST_",
    "OMPI_NUM_",
    "PRTE_",
    "PMIX_",
    "PMI_",
    "TORCHELASTIC_",  // torchrun's
    "GROUP_WORLD_",
    "ROLE_",
    "HOROVOD_GLOO_",
    "SLURM_STEP_",  // the step we run in, not the allocation
    "SLURM_CPU_BIND",
    "SLURM_MEM_BIND",
    "SLURM_GPUS_ON_",
    "LISTEN_FD",  // systemd's
};
constexpr std::array<std::string_view, 43> denied_names = {
    "OMPI_ARGV",
    "OMPI_COMMAND",
    "OMPI_FILE_LOCATION",
    "OMPI_MCA_initial_wdir",
    "OMPI_MCA_mpi_oversubscribe",
    "OMPI_MCA_shmem_RUNTIME_QUERY_hint",
    "OMPI_UNIVERSE_SIZE",
    "MPI_LOCALNRANKS",
    "MPI_LOCALRANKID",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "NODE_RANK",
    "CROSS_RANK",
    "CROSS_SIZE",
    "LOCAL_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "HOROVOD_CROSS_RANK",
    "HOROVOD_CROSS_SIZE",
    "HOROVOD_HOSTNAME",
    "HOROVOD_LOCAL_RANK",
    "HOROVOD_LOCAL_SIZE",
    "HOROVOD_RANK",
    "HOROVOD_SIZE",
    "SLURM_GTIDS",
    "SLURM_LAUNCH_NODE_IPADDR",
    "SLURM_LOCALID",
    "SLURM_NODEID",
    "SLURM_PROCID",
    "SLURM_SRUN_COMM_HOST",
    "SLURM_SRUN_COMM_PORT",
    "SLURM_STEPID",
    "SLURM_TASK_PID",
    "FLUX_TASK_LOCAL_ID",
    "FLUX_TASK_RANK",
    "JSM_NAMESPACE_LOCAL_RANK",
    "JSM_NAMESPACE_RANK",
    "JSM_NAMESPACE_SIZE",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
};

bool is_denied(std::string_view name) {
    return std::ranges::any_of(
               denied_prefixes,
               [name](std::string_view prefix) { return name.starts_with(prefix); }) ||
           std::ranges::find(denied_names, name) != denied_names.end();
}

}  // namespace

EnvironmentMap rank_base_environment(const EnvironmentMap& submitter) {
    EnvironmentMap kept;
    for (const auto& [name, value] : submitter) {
        if (!is_denied(name)) {
            kept.emplace_hint(kept.end(), name, value);
        }
    }
    return kept;
}

std::vector<std::string> denied_variables() {
    std::vector<std::string> names(denied_names.begin(), denied_names.end());
    for (const std::string_view prefix : denied_prefixes) {
        names.push_back(std::string(prefix) + "*");
    }
    return names;
}

bool is_secret(std::string_view name) {
    std::string upper(name);
    std::ranges::transform(upper, upper.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    constexpr std::array<std::string_view, 9> parts = {"SECRET",
                                                       "TOKEN",
                                                       "PASSWORD",
                                                       "PASSWD",
                                                       "PASSPHRASE",
                                                       "CREDENTIAL",
                                                       "APIKEY",
                                                       "PRIVATE",
                                                       "COOKIE"};
    return upper.ends_with("_KEY") || upper.ends_with("_PASS") || upper.ends_with("_AUTH") ||
           std::ranges::any_of(parts, [&upper](std::string_view part) {
               return upper.find(part) != std::string::npos;
           });
}

}  // namespace mpitrain
