#include "read_job.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "mpitrain/jobfile/job_file.hpp"
#include "read_files.hpp"
#include "this_machine.hpp"

namespace mpitrain::cli {
namespace {

Result<std::string> current_directory() {
    std::array<char, PATH_MAX> buffer{};
    if (getcwd(buffer.data(), buffer.size()) == nullptr) {
        return system_error(errno, "find the working directory", ".");
    }
    return std::string(buffer.data());
}

std::string variable(const EnvironmentMap& environment, const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? "" : found->second;
}

// Settings that a job on one machine has no use for. What a config file says for all jobs is no
// news.
std::vector<std::string> notes_of_unused(const settings::Layer& layer, bool one_machine) {
    constexpr std::string_view not_queued = "run does not queue";
    constexpr std::string_view one_size = "a job on one machine keeps its size";
    constexpr std::array<std::pair<std::string_view, std::string_view>, 8> unused = {
        {{"min-ranks", one_size},
         {"max-ranks", one_size},
         {"mem-per-rank", "memory is not reserved on one machine"},
         {"priority", not_queued},
         {"queue", not_queued},
         {"after", not_queued},
         {"srun-arg", "mpirun starts the ranks"},
         {"sbatch-arg", "nothing is submitted to Slurm"}}};
    std::vector<std::string> notes;
    for (const auto& [option, reason] : unused) {
        const settings::Setting* setting = settings::find(layer, option);
        const bool used = reason == one_size && !one_machine;
        if (!used && setting != nullptr &&
            setting->origin.kind > settings::OriginKind::config_file) {
            notes.push_back(fmt::format("--{} has no effect here: {}", option, reason));
        }
    }
    return notes;
}

}  // namespace

Result<JobSettings> read_job_settings(const Invocation& invocation) {
    JobSettings job;
    if (invocation.command.order == settings::Order::options_first) {
        MPITRAIN_TRY(job.commands, settings::split_groups(invocation.line.rest));
    }
    jobfile::JobFile file;
    if (const std::string path = invocation.value("file"); !path.empty()) {
        MPITRAIN_TRY(const std::string text, read_input_file(path));
        MPITRAIN_TRY(file, jobfile::read_job_file(text, path));
    }
    job.settings =
        settings::merge({invocation.config, file.settings, invocation.variables, invocation.flags});
    if (job.commands.groups.empty()) {
        job.commands = {std::move(file.groups), settings::OriginKind::job_file};
    }
    job.slurm = std::move(file.slurm);
    job.kubernetes_json = std::move(file.kubernetes_json);
    job.notes = std::move(file.notes);
    return job;
}

Result<JobRequest> read_job_to_submit(const Invocation& invocation) {
    MPITRAIN_TRY(JobSettings job, read_job_settings(invocation));
    MPITRAIN_TRY(const std::string here, current_directory());
    const settings::Places places{here, variable(invocation.environment, "HOME")};
    MPITRAIN_TRY(JobSpec spec, settings::make_job(job.settings, job.commands, places));
    spec.slurm = std::move(job.slurm);
    spec.kubernetes_json = std::move(job.kubernetes_json);
    return JobRequest{std::move(spec), std::move(job.settings), std::move(job.notes), {}};
}

Result<JobRequest> read_job(const Invocation& invocation) {
    MPITRAIN_TRY(JobRequest job, read_job_to_submit(invocation));
    std::vector<HostEntry> hosts;
    if (!job.spec.hostfile.empty()) {
        MPITRAIN_TRY(const std::string text, read_input_file(job.spec.hostfile));
        MPITRAIN_TRY(hosts, parse_hostfile(text, job.spec.hostfile));
    }
    MPITRAIN_TRY(job.hosts, settle_on_this_machine(job.spec, std::move(hosts)));
    for (std::string& note : notes_of_unused(job.settings, job.hosts.empty())) {
        job.notes.push_back(std::move(note));
    }
    return job;
}

}  // namespace mpitrain::cli
