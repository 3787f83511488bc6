#include "slurm_client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "capture.hpp"
#include "mpitrain/base/number.hpp"

namespace mpitrain::cli {
namespace {

using namespace std::chrono_literals;

constexpr auto patience = 60s;  // sbatch itself tries again for as long when the controller is busy
constexpr std::size_t listing_max = std::size_t{256} << 20U;

// What Slurm's commands say when they cannot reach its daemons.
constexpr std::string_view gone[] = {"Unable to contact slurm controller",
                                     "Connection refused",
                                     "unge",  // Munge, munge
                                     "MUNGE",
                                     "uthentication",
                                     "slurm_load_",
                                     "establish a configuration source"};

Error told(Error error, std::string_view command) {
    if (error.code() == ErrorCode::not_found) {
        return Error(ErrorCode::unavailable, fmt::format("there is no {} here", command))
            .mend("run this where Slurm's commands are: apt-get install slurm-client");
    }
    const auto is_in = [&error](std::string_view words) {
        return error.what().find(words) != std::string::npos;
    };
    if (error.code() == ErrorCode::deadline_exceeded || std::ranges::any_of(gone, is_in)) {
        return Error(ErrorCode::unavailable, error.what())
            .at(command)
            .mend("see that slurmctld and munged run, and that 'scontrol ping' answers");
    }
    return error;
}

Result<std::string> ask(std::vector<std::string> command, const Capture& options = {}) {
    const std::string name = command.front();
    auto answer = capture(std::move(command), patience, options);
    if (!answer) {
        return told(std::move(answer).error(), name);
    }
    return answer;
}

// A word that nobody could have put into a job's name.
std::string unforeseen_mark() {
    std::random_device random;
    return fmt::format("@{:08x}{:08x}@", random(), random());
}

std::vector<std::string> squeue_words(const std::string& user) {
    std::vector<std::string> words = {"squeue", "--states=all"};
    if (!user.empty()) {
        words.push_back("--user=" + user);
    }
    return words;
}

// For a Slurm that was built without JSON.
Result<std::vector<slurm::JobRecord>> jobs_as_text(const std::string& user) {
    const std::string mark = unforeseen_mark();
    std::vector<std::string> words = squeue_words(user);
    words.insert(words.end(), {"--noheader", "--format=" + slurm::squeue_format(mark)});
    MPITRAIN_TRY(const std::string text, ask(words, {.input = {}, .bytes_max = listing_max}));
    return slurm::parse_squeue_text(text, mark);
}

}  // namespace

Result<std::uint32_t> submit_to_slurm(const slurm::BatchScript& script) {
    std::vector<std::string> words = {"sbatch", "--parsable"};
    words.insert(words.end(), script.arguments.begin(), script.arguments.end());
    auto answer = ask(std::move(words), {.input = script.text});
    if (!answer) {
        return std::move(answer).error().mend(
            "see what is handed in with 'mpitrain plan --on slurm', and mend it with --queue or "
            "--sbatch-arg");
    }
    // Warnings may stand before the last line, "42" or "42;cluster".
    std::string_view text = *answer;
    while (!text.empty() && text.back() == '\n') {
        text.remove_suffix(1);
    }
    const std::string_view line = text.substr(text.rfind('\n') + 1);
    const auto id = parse_integer(line.substr(0, line.find(';')), 1, 0xffff'ffff);
    if (!id) {
        return Error(ErrorCode::data_loss, fmt::format("sbatch says '{}', which is no job", line))
            .mend("look for the job with squeue");
    }
    return static_cast<std::uint32_t>(*id);
}

Result<std::vector<slurm::JobRecord>> slurm_jobs(const std::string& user) {
    std::vector<std::string> words = squeue_words(user);
    words.emplace_back("--json");
    const auto text = capture(
        std::move(words), patience, {.input = {}, .bytes_max = listing_max, .with_errors = false});
    if (!text) {
        return jobs_as_text(user);
    }
    MPITRAIN_TRY(std::vector<slurm::JobRecord> jobs, slurm::parse_squeue_json(*text));
    if (!user.empty()) {  // some versions ignore --user beside --json
        std::erase_if(jobs, [&user](const slurm::JobRecord& job) { return job.user != user; });
    }
    return jobs;
}

Result<slurm::JobRecord> slurm_job(std::uint32_t id) {
    MPITRAIN_TRY(std::vector<slurm::JobRecord> jobs, slurm_jobs(""));
    const auto found = std::ranges::find(jobs, id, &slurm::JobRecord::id);
    if (found == jobs.end()) {
        return Error(ErrorCode::not_found, fmt::format("Slurm knows no job {}", id))
            .mend(
                "it forgets jobs some minutes after their end: see sacct, where there is "
                "accounting");
    }
    return std::move(*found);
}

Result<void> control_slurm_job(std::string_view word, std::uint32_t id) {
    MPITRAIN_TRY(const std::string text,
                 ask({"scontrol", std::string(word), fmt::format("{}", id)}));
    return {};
}

Result<void> cancel_slurm_job(std::uint32_t id) {
    MPITRAIN_TRY(const std::string text, ask({"scancel", fmt::format("{}", id)}));
    return {};
}

Result<bool> slurm_has_gpus(const std::string& partition) {
    std::vector<std::string> words = {"sinfo", "--noheader", "--format=%G"};
    if (!partition.empty()) {
        words.push_back("--partition=" + partition);
    }
    MPITRAIN_TRY(const std::string text, ask(std::move(words)));
    return text.find("gpu") != std::string::npos;
}

Result<Nanoseconds> slurm_kill_wait() {
    MPITRAIN_TRY(const std::string text, ask({"scontrol", "show", "config"}));
    constexpr std::string_view key = "\nKillWait";
    const std::size_t at = text.find(key);
    const std::size_t equals = at == std::string::npos ? at : text.find("= ", at);
    if (equals == std::string::npos) {
        return Error(ErrorCode::data_loss, "scontrol show config tells no KillWait");
    }
    const std::string_view rest = std::string_view(text).substr(equals + 2);
    MPITRAIN_TRY(const std::int64_t seconds,
                 parse_integer(rest.substr(0, rest.find(' ')), 0, 1'000'000));
    return std::chrono::seconds(seconds);
}

}  // namespace mpitrain::cli
