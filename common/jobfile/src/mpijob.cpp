#include "mpijob.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "manifest.hpp"
#include "mpirun_words.hpp"
#include "quantity.hpp"
#include "yaml_values.hpp"

namespace mpitrain::jobfile {
namespace {

constexpr std::string_view api_version = "kubeflow.org/v2beta1";

// What the launcher runs: its command and arguments, or the one line that it hands to a shell.
Result<std::vector<std::string>> launcher_words(std::string_view name, const YamlNode& container) {
    std::vector<std::string> words;
    for (const char* key : {"command", "args"}) {
        if (const YamlNode* list = container.find(key)) {
            MPITRAIN_TRY(const std::vector<std::string> more, list_of(name, *list));
            words.insert(words.end(), more.begin(), more.end());
        }
    }
    if (words.empty()) {
        return bad_value(name,
                         container,
                         "the launcher has no command",
                         "add command: [program, …]; an image's own cannot be known here");
    }
    const bool is_shell = words.size() == 3 &&
                          (words[0] == "sh" || words[0] == "bash" || words[0].ends_with("/sh") ||
                           words[0].ends_with("/bash")) &&
                          words[1].starts_with('-') && words[1].ends_with('c');
    if (!is_shell || (words[2].find("mpirun") == std::string::npos &&
                      words[2].find("mpiexec") == std::string::npos)) {
        return words;
    }
    if (words[2].find_first_of("\"'`$|&;<>()\\*?[]{}~#\n") != std::string::npos) {
        return bad_value(
            name,
            container,
            "the launcher starts mpirun from a shell script, which cannot be taken apart",
            "give mpirun and its words as command: [mpirun, …]");
    }
    std::vector<std::string> line;
    for (std::size_t start = words[2].find_first_not_of(" \t"); start != std::string::npos;) {
        const std::size_t end = std::min(words[2].find_first_of(" \t", start), words[2].size());
        line.push_back(words[2].substr(start, end - start));
        start = words[2].find_first_not_of(" \t", end);
    }
    return line;
}

// The ranks' programs; mpirun in front of them is understood.
Result<void> read_commands(std::string_view name, const Manifest& manifest, JobFile& job) {
    const YamlNode& container = *manifest.launcher.container;
    MPITRAIN_TRY(std::vector<std::string> words, launcher_words(name, container));
    if (!is_mpirun(words.front())) {
        job.notes.push_back(fmt::format(
            "the launcher's command starts no mpirun; every rank runs {}", words.front()));
        job.groups.push_back({"default", std::nullopt, std::move(words), {}});
        return {};
    }
    const std::string launcher = words.front();
    words.erase(words.begin());
    auto taken = read_mpirun_words(words);
    if (!taken) {
        return std::move(taken).error().at(place(name, container));
    }
    std::vector<std::string> programs;
    for (const CommandGroup& group : taken->groups) {
        programs.push_back(fmt::format("{}", fmt::join(group.command, " ")));
    }
    job.notes.push_back(fmt::format("the launcher's {} is replaced by mpitrain; the ranks run {}",
                                    launcher,
                                    fmt::join(programs, " : ")));
    if (!taken->ignored.empty()) {
        job.notes.push_back(fmt::format("mpitrain does by itself what {} asks of mpirun",
                                        fmt::join(taken->ignored, ", ")));
    }
    for (std::string& argument : taken->mpirun_args) {
        add_setting(job.settings, "mpirun-arg", std::move(argument), name, container);
    }
    if (!taken->workdir.empty()) {
        add_setting(job.settings, "workdir", std::move(taken->workdir), name, container);
    }
    if (taken->oversubscribe) {
        add_setting(job.settings, "oversubscribe", "true", name, container);
    }
    job.groups = std::move(taken->groups);
    return {};
}

// One resource of the workers' container, from its limits or else its requests; nullopt when it is
// not named.
Result<std::optional<double>> resource_of(std::string_view name,
                                          const YamlNode& container,
                                          std::string_view resource) {
    const YamlNode* resources = container.find("resources");
    for (const char* key : {"limits", "requests"}) {
        const YamlNode* block = resources == nullptr ? nullptr : resources->find(key);
        const YamlNode* value = block == nullptr ? nullptr : block->find(resource);
        if (value == nullptr) {
            continue;
        }
        MPITRAIN_TRY(const std::string text, scalar_of(name, *value));
        auto quantity = parse_quantity(text);
        if (!quantity) {
            return std::move(quantity).error().at(place(name, *value));
        }
        return std::optional<double>(*quantity);
    }
    return std::optional<double>();
}

// A worker's limits, divided among its slots.
Result<void> share_limits(std::string_view name, const Manifest& manifest, JobFile& job) {
    const YamlNode& container =
        *(manifest.worker.container != nullptr ? manifest.worker : manifest.launcher).container;
    const int slots = manifest.slots_per_worker;
    MPITRAIN_TRY(std::optional<double> gpus, resource_of(name, container, "nvidia.com/gpu"));
    if (!gpus) {
        MPITRAIN_TRY(gpus, resource_of(name, container, "amd.com/gpu"));
    }
    if (!gpus || *gpus <= 0) {
        add_setting(job.settings, "device", "cpu", name, container);
    } else if (*gpus < slots || std::fmod(*gpus, slots) != 0) {
        return bad_value(name,
                         container,
                         fmt::format("{} GPUs for {} slots", *gpus, slots),
                         "give each slot of a worker the same number of GPUs");
    } else {
        add_setting(job.settings, "device", "cuda", name, container);
        add_setting(job.settings,
                    "gpus-per-rank",
                    fmt::format("{}", static_cast<int>(std::min(*gpus / slots, 1e6))),
                    name,
                    container);
    }
    MPITRAIN_TRY(const std::optional<double> cpus, resource_of(name, container, "cpu"));
    if (cpus && *cpus >= slots) {
        add_setting(job.settings,
                    "cpus-per-rank",
                    fmt::format("{}", static_cast<int>(std::min(*cpus / slots, 1e6))),
                    name,
                    container);
    } else if (cpus) {
        job.notes.push_back(
            fmt::format("less than one CPU a slot ({} for {}); every rank gets one", *cpus, slots));
    }
    MPITRAIN_TRY(const std::optional<double> memory, resource_of(name, container, "memory"));
    if (memory && *memory >= slots) {
        add_setting(job.settings,
                    "mem-per-rank",
                    fmt::format("{}", static_cast<std::uint64_t>(*memory / slots)),
                    name,
                    container);
    }
    return {};
}

// Workers × slots, unless mpirun was told a number.
Result<void> count_ranks(std::string_view name, const Manifest& manifest, JobFile& job) {
    const std::int64_t workers =
        manifest.worker.replicas +
        (manifest.launcher_is_worker || manifest.worker.replicas == 0 ? 1 : 0);
    const std::int64_t ranks = workers * manifest.slots_per_worker;
    if (ranks > 1'000'000) {
        return bad_value(name,
                         *manifest.launcher.container,
                         fmt::format("{} ranks", ranks),
                         "ask for at most 1000000");
    }
    std::int64_t left = ranks;
    for (const CommandGroup& group : job.groups) {
        left -= group.ranks.value_or(0);
    }
    for (CommandGroup& group : job.groups) {
        if (!group.ranks) {
            if (left < 1) {
                return bad_value(
                    name,
                    *manifest.launcher.container,
                    fmt::format("no rank of {} is left for {}", ranks, program_name(group)),
                    "give the other programs fewer");
            }
            group.ranks = static_cast<int>(left);
        }
    }
    job.notes.push_back(fmt::format(
        "{} workers of {} slots, together {} ranks", workers, manifest.slots_per_worker, ranks));
    return {};
}

void add_environment(std::string_view name, const Manifest& manifest, JobFile& job) {
    EnvironmentMap env = manifest.worker.env;
    for (const auto& [variable, value] : manifest.launcher.env) {
        env[variable] = value;
    }
    for (const auto& [variable, value] : env) {
        add_setting(job.settings,
                    "env",
                    fmt::format("{}={}", variable, value),
                    name,
                    *manifest.launcher.container);
    }
}

Result<JobFile> job_of(std::string_view name, Manifest manifest) {
    JobFile job;
    job.settings = std::move(manifest.settings);
    MPITRAIN_TRY_VOID(read_commands(name, manifest, job));
    MPITRAIN_TRY_VOID(count_ranks(name, manifest, job));
    MPITRAIN_TRY_VOID(share_limits(name, manifest, job));
    add_environment(name, manifest, job);
    if (manifest.mpi != "OpenMPI") {
        job.notes.push_back(
            fmt::format("mpiImplementation {}: the ranks are started with Open MPI", manifest.mpi));
    }
    if (!manifest.ignored.empty()) {
        job.notes.push_back(
            fmt::format("without meaning here: {}", fmt::join(manifest.ignored, ", ")));
    }
    return job;
}

std::string text_at(const YamlNode& root, std::string_view key) {
    const YamlNode* node = root.find(key);
    return node == nullptr ? "" : node->text;
}

}  // namespace

Result<JobFile> read_mpijob(std::string_view name, const std::vector<YamlNode>& documents) {
    const YamlNode* found = nullptr;
    std::vector<std::string> others;
    for (const YamlNode& document : documents) {
        const std::string kind = text_at(document, "kind");
        if (kind != "MPIJob") {
            others.push_back(kind.empty() ? "a document without a kind" : kind);
        } else if (found != nullptr) {
            return bad_value(name, document, "a second MPIJob", "one file describes one job");
        } else {
            found = &document;
        }
    }
    if (found == nullptr) {
        return bad_value(
            name,
            documents.front(),
            fmt::format("kind '{}' is no job that can be run", others.front().substr(0, 80)),
            "give an MPIJob, or a job file of mpitrain");
    }
    if (const std::string version = text_at(*found, "apiVersion"); version != api_version) {
        return bad_value(name,
                         *found,
                         fmt::format("apiVersion '{}' is not read", version.substr(0, 80)),
                         fmt::format("write {}", api_version));
    }
    MPITRAIN_TRY(Manifest manifest, read_manifest(name, *found));
    MPITRAIN_TRY(JobFile job, job_of(name, std::move(manifest)));
    if (!others.empty()) {
        job.notes.push_back(
            fmt::format("other documents of the file are left out: {}", fmt::join(others, ", ")));
    }
    return job;
}

}  // namespace mpitrain::jobfile
