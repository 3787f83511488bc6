#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <thread>

#include "commands.hpp"
#include "mpitrain/base/host_list.hpp"
#include "mpitrain/base/number.hpp"
#include "mpitrain/slurm/pending_reason.hpp"
#include "slurm_client.hpp"

// Jobs that were submitted, by the name that their queue gave them: slurm:42.
namespace mpitrain::cli {
namespace {

using Json = nlohmann::ordered_json;
using slurm::JobRecord;

constexpr settings::Option options_table[] = {
    {.name = "all", .summary = "list: the jobs of all users"},
    {.name = "follow", .letter = 'f', .summary = "logs: go on until the job has ended"},
    {.name = "timeout",
     .value = "TIME",
     .summary = "wait, logs -f: give up after this long",
     .fallback = "none"},
};

Result<std::uint32_t> parse_id(std::string_view text) {
    constexpr std::string_view prefix = "slurm:";
    if (!text.starts_with(prefix)) {
        return Error(ErrorCode::invalid_argument, fmt::format("'{}' is no job of a queue", text))
            .mend("give the id that mpitrain submit printed, like slurm:42");
    }
    const auto id = parse_integer(text.substr(prefix.size()), 1, 0xffff'ffff);
    if (!id) {
        return Error(ErrorCode::invalid_argument, fmt::format("'{}' is no job's id", text))
            .mend("write it like slurm:42");
    }
    return static_cast<std::uint32_t>(*id);
}

// What a terminal may be given of a text that a user chose.
std::string plain(std::string_view text) {
    std::string shown;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        shown += byte < 0x20 || byte == 0x7f ? '?' : c;
    }
    return shown;
}

std::string time_text(std::int64_t seconds) {
    if (seconds <= 0) {
        return "";
    }
    const std::time_t time = seconds;
    std::tm utc{};
    gmtime_r(&time, &utc);
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc);
}

Json or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

Json placement_of(const JobRecord& job) {
    Json hosts = Json::array();
    const auto names = expand_host_list(job.nodes);
    for (std::size_t i = 0; names && i < names->size(); ++i) {
        hosts.push_back({{"rank", nullptr}, {"host", (*names)[i]}, {"slots", nullptr}});
    }
    return hosts;
}

Json to_json(const JobRecord& job) {
    const bool waits = slurm::state_word(job) == "pending" || slurm::state_word(job) == "held";
    const bool ended = slurm::has_ended(job);
    Json json;
    json["schema"] = "mpitrain.job/1";
    json["id"] = fmt::format("slurm:{}", job.id);
    json["name"] = job.name;
    json["state"] = slurm::state_word(job);
    json["reason"] = or_null(job.state == "TIMEOUT" ? "time_limit" : job.reason);
    json["user"] = job.user;
    json["queue"] = job.partition;
    json["ranks"] = job.tasks;
    json["attempts"] = Json::array();
    if (!waits) {
        json["attempts"].push_back({{"n", job.restarts + 1},
                                    {"state", slurm::state_word(job)},
                                    {"started", or_null(time_text(job.started))},
                                    {"ended", ended ? or_null(time_text(job.ended)) : Json()},
                                    {"placement", placement_of(job)},
                                    {"verdict", nullptr}});
    }
    json["submitted"] = or_null(time_text(job.submitted));
    json["started"] = waits ? Json() : or_null(time_text(job.started));
    json["ended"] = ended ? or_null(time_text(job.ended)) : Json();
    json["progress"] = nullptr;
    json["slurm_state"] = job.state;
    return json;
}

std::string dump(const Json& json) {
    // A job's name may be no UTF-8; the answer must be.
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<std::string> own_name() {
    const passwd* entry = getpwuid(geteuid());  // NOLINT(concurrency-mt-unsafe): one thread
    if (entry == nullptr) {
        return Error(ErrorCode::not_found, fmt::format("user {} has no name", geteuid()))
            .mend("list the jobs of all with --all");
    }
    return std::string(entry->pw_name);
}

Result<void> list(Invocation& invocation, std::uint32_t /*id*/) {
    std::string user;
    if (!invocation.is_on("all")) {
        MPITRAIN_TRY(user, own_name());
    }
    MPITRAIN_TRY(std::vector<JobRecord> jobs, slurm_jobs(user));
    std::ranges::sort(jobs, {}, &JobRecord::id);
    Terminal& terminal = invocation.terminal;
    if (terminal.format() == Format::json) {
        Json all = Json::array();
        std::ranges::transform(jobs, std::back_inserter(all), to_json);
        terminal.print(dump({{"schema", "mpitrain.jobs/1"}, {"jobs", all}}));
        return {};
    }
    Table table({"ID", "STATE", "NAME", "USER", "QUEUE", "RANKS", "NODES", "REASON"});
    for (const JobRecord& job : jobs) {
        if (terminal.format() == Format::quiet) {
            terminal.print(fmt::format("slurm:{}\n", job.id));
        }
        table.add({fmt::format("slurm:{}", job.id),
                   std::string(slurm::state_word(job)),
                   plain(job.name),
                   job.user,
                   job.partition,
                   fmt::format("{}", job.tasks),
                   job.nodes.empty() ? "-" : job.nodes,
                   job.reason.empty() ? "-" : job.reason});
    }
    if (terminal.format() == Format::table) {
        terminal.print(table.text());
    }
    return {};
}

Result<void> show(Invocation& invocation, std::uint32_t id) {
    MPITRAIN_TRY(const JobRecord job, slurm_job(id));
    Terminal& terminal = invocation.terminal;
    if (terminal.format() != Format::table) {
        terminal.print(terminal.format() == Format::json
                           ? dump(to_json(job))
                           : fmt::format("{}\n", slurm::state_word(job)));
        return {};
    }
    std::string text;
    const auto line = [&text](std::string_view what, const std::string& value) {
        text += value.empty() ? "" : fmt::format("{:<10}{}\n", what, value);
    };
    line("id", fmt::format("slurm:{}", job.id));
    line("name", plain(job.name));
    line("state", fmt::format("{} ({} in Slurm)", slurm::state_word(job), job.state));
    line("reason", job.reason);
    line("user", job.user);
    line("queue", job.partition);
    line("ranks", fmt::format("{}", job.tasks));
    line("nodes", job.nodes);
    line("requeued", job.restarts > 0 ? fmt::format("{} times", job.restarts) : "");
    line("submitted", time_text(job.submitted));
    line("started", time_text(job.started));
    line(slurm::has_ended(job) ? "ended" : "until", time_text(job.ended));
    line("log", plain(job.output));
    terminal.print(text);
    return {};
}

Result<void> explain(Invocation& invocation, std::uint32_t id) {
    MPITRAIN_TRY(const JobRecord job, slurm_job(id));
    const std::string_view state = slurm::state_word(job);
    const bool waits = state == "pending" || state == "held";
    const slurm::PendingReason why =
        waits ? slurm::explain_pending(job.reason) : slurm::PendingReason{"", ""};
    if (invocation.terminal.format() == Format::json) {
        invocation.terminal.print(
            dump({{"schema", "mpitrain.explain/1"},
                  {"id", fmt::format("slurm:{}", job.id)},
                  {"state", state},
                  {"reason", or_null(job.reason)},
                  {"meaning", or_null(std::string(why.meaning))},
                  {"mend", or_null(std::string(why.mend))},
                  {"earliest_start", waits ? or_null(time_text(job.started)) : Json()}}));
        return {};
    }
    std::string text = fmt::format("slurm:{} is {}", job.id, state);
    if (waits) {
        text += fmt::format(": {} ({})", why.meaning, job.reason.empty() ? "None" : job.reason);
        if (const std::string start = time_text(job.started); !start.empty()) {
            text += fmt::format("\nSlurm expects to start it at {}", start);
        }
        if (!why.mend.empty()) {
            text += fmt::format("\nWhat helps: {}", why.mend);
        }
    } else if (!job.reason.empty()) {
        text += fmt::format(" ({})", job.reason);
    }
    invocation.terminal.print(text + "\n");
    return {};
}

// Until when --timeout lets it go on; nullopt = for ever.
Result<std::optional<std::chrono::steady_clock::time_point>> limit_of(
    const Invocation& invocation) {
    const std::string text = invocation.value("timeout");
    if (text.empty()) {
        return std::nullopt;
    }
    MPITRAIN_TRY(const Nanoseconds time, parse_duration(text));
    return std::chrono::steady_clock::now() + time;
}

// Prints what the file has beyond `from`; gives where it ends.
Result<off_t> print_from(Terminal& terminal, const std::string& path, off_t from) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return system_error(errno, "open the log", path);
    }
    std::array<char, 1 << 16> buffer{};
    ssize_t count = 0;
    while ((count = pread(file, buffer.data(), buffer.size(), from)) > 0) {
        terminal.print({buffer.data(), static_cast<std::size_t>(count)});
        from += count;
    }
    const int reason = errno;
    close(file);
    return count < 0 ? Result<off_t>(system_error(reason, "read the log", path)) : from;
}

std::string log_of(const JobRecord& job) {
    std::string path = job.output;
    for (const std::string& mark : {std::string("%j"), std::string("%A")}) {
        for (std::size_t at = path.find(mark); at != std::string::npos; at = path.find(mark)) {
            path.replace(at, mark.size(), fmt::format("{}", job.id));
        }
    }
    return path;
}

Result<void> logs(Invocation& invocation, std::uint32_t id) {
    using namespace std::chrono_literals;
    MPITRAIN_TRY(const auto limit, limit_of(invocation));
    off_t shown = 0;
    while (true) {
        MPITRAIN_TRY(const JobRecord job, slurm_job(id));
        const bool ended = slurm::has_ended(job);
        const std::string path = log_of(job);
        if (path.empty()) {
            return Error(ErrorCode::unsupported, "this Slurm does not tell where the log lies")
                .mend(fmt::format("look into mpitrain-{}.log where it was submitted", id));
        }
        const bool follows = invocation.is_on("follow") && !ended;
        auto end = print_from(invocation.terminal, path, shown);
        if (end) {
            shown = *end;
        } else if (!follows) {
            return std::move(end).error();
        }
        if (!follows) {
            return {};
        }
        if (limit && std::chrono::steady_clock::now() > *limit) {
            return Error(ErrorCode::deadline_exceeded, "the job goes on").at("--timeout");
        }
        std::this_thread::sleep_for(1s);
    }
}

// Waits for the job's end, and ends with its code.
Result<int> wait(Invocation& invocation, std::uint32_t id) {
    using namespace std::chrono_literals;
    constexpr auto pause_max = 5000ms;  // the controller serves everybody
    MPITRAIN_TRY(const auto limit, limit_of(invocation));
    for (auto pause = 250ms;;
         pause = std::min<std::chrono::milliseconds>(pause * 3 / 2, pause_max)) {
        MPITRAIN_TRY(const JobRecord job, slurm_job(id));
        if (slurm::has_ended(job)) {
            invocation.terminal.note(
                fmt::format("slurm:{} has {}",
                            id,
                            job.state == "COMPLETED" ? "succeeded" : "ended: " + job.state));
            return slurm::exit_code_of(job);
        }
        if (limit && std::chrono::steady_clock::now() > *limit) {
            return Error(ErrorCode::deadline_exceeded,
                         fmt::format("slurm:{} is still {}", id, slurm::state_word(job)))
                .at("--timeout");
        }
        std::this_thread::sleep_for(pause);
    }
}

Result<void> cancel(Invocation& /*invocation*/, std::uint32_t id) {
    MPITRAIN_TRY(const JobRecord job, slurm_job(id));
    return slurm::has_ended(job) ? Result<void>() : cancel_slurm_job(id);
}

template <const char* Word>
Result<void> control(Invocation& /*invocation*/, std::uint32_t id) {
    return control_slurm_job(Word, id);
}
constexpr char hold_word[] = "hold";
constexpr char release_word[] = "release";
constexpr char requeue_word[] = "requeue";

struct Verb {
    std::string_view name;
    bool takes_id;
    Result<void> (*run)(Invocation&, std::uint32_t);
};
constexpr std::array verbs = {Verb{"list", false, list},
                              Verb{"show", true, show},
                              Verb{"explain", true, explain},
                              Verb{"logs", true, logs},
                              Verb{"cancel", true, cancel},
                              Verb{"hold", true, control<hold_word>},
                              Verb{"release", true, control<release_word>},
                              Verb{"requeue", true, control<requeue_word>}};

Error usage(std::string what) {
    return Error(ErrorCode::invalid_argument, std::move(what))
        .at("job")
        .mend("see mpitrain job --help");
}

int run_job_command_words(Invocation& invocation) {
    Terminal& terminal = invocation.terminal;
    const std::vector<std::string>& words = invocation.line.rest;
    if (words.empty()) {
        return fail(terminal, usage("job what?"));
    }
    const std::string& name = words[0];
    const auto verb = std::ranges::find(verbs, name, &Verb::name);
    const bool waits = name == "wait";
    if (!waits && verb == verbs.end()) {
        return fail(terminal, usage(fmt::format("'{}' is no verb of job", name)));
    }
    const std::size_t expected = !waits && !verb->takes_id ? 1 : 2;
    if (words.size() != expected) {
        return fail(terminal,
                    usage(fmt::format("{} takes {}", name, expected == 1 ? "no job" : "one job")));
    }
    std::uint32_t id = 0;
    if (expected == 2) {
        const auto parsed = parse_id(words[1]);
        if (!parsed) {
            return fail(terminal, parsed.error());
        }
        id = *parsed;
    }
    if (waits) {
        const auto code = wait(invocation, id);
        return code ? *code : fail(terminal, code.error());
    }
    const auto done = verb->run(invocation, id);
    return done ? 0 : fail(terminal, done.error());
}

}  // namespace

constinit const Command job_command{
    .name = "job",
    .summary = "look at submitted jobs, and steer them",
    .usage = "list | show|explain|logs|wait|cancel|hold|release|requeue ID",
    .description =
        "Jobs are named as `mpitrain submit` named them: slurm:42. explain says why a job waits "
        "and what helps; logs prints what it has said so far; wait ends when the job does, with "
        "its exit code (124: time limit, 128+n: signal n).",
    .example =
        "mpitrain job list\n"
        "mpitrain job explain slurm:42\n"
        "mpitrain job logs -f slurm:42",
    .options = options_table,
    .verbs = "list|show|explain|logs|wait|cancel|hold|release|requeue",
    .takes_words = true,
    .run = run_job_command_words,
};

}  // namespace mpitrain::cli
