#include "sim_command.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <set>

#include "mpitrain/base/number.hpp"
#include "mpitrain/sim/account_file.hpp"
#include "mpitrain/sim/cluster_file.hpp"
#include "mpitrain/sim/report.hpp"
#include "mpitrain/sim/text_input.hpp"

namespace mpitrain::sim {
namespace {

using settings::Option;

constexpr Option sim_options[] = {
    {.name = "cluster",
     .value = "FILE|NODESxGPUS",
     .summary =
         "the machines: a cluster file, topology.conf, topograph model, CSV, or for example 72x8",
     .completes = settings::Completes::file},
    {.name = "trace",
     .value = "FILE",
     .summary = "the jobs: normalised CSV, or Standard Workload Format (.swf); plain or .gz",
     .completes = settings::Completes::file},
    {.name = "policy",
     .value = "NAME",
     .summary = "who goes first; several names, with commas, are compared",
     .fallback = "default"},
    {.name = "gpus-per-node",
     .value = "N",
     .summary = "where the cluster file does not say",
     .fallback = "8"},
    {.name = "preemption-cost",
     .value = "TIME",
     .summary = "work added to a job each time it is preempted",
     .fallback = "60s"},
    {.name = "estimates",
     .value = "KIND",
     .summary = "what a policy is told of durations",
     .fallback = "automatic",
     .choices = "automatic|none|exact|column|noisy|learned"},
    {.name = "noise",
     .value = "SIGMA",
     .summary = "of the logarithm of noisy estimates",
     .fallback = "1.0"},
    {.name = "mtbf",
     .value = "TIME",
     .summary = "mean time between losses of one node; off by default"},
    {.name = "repair", .value = "TIME", .summary = "until a lost node is back", .fallback = "1h"},
    {.name = "checkpoint-every",
     .value = "TIME",
     .summary = "a lost node costs the work since then",
     .fallback = "30m"},
    {.name = "accounts",
     .value = "FILE|equal",
     .summary = "shares, quotas and limits: a table of account,parent,weight,quota,limit; or every "
                "user (queue, where none is named) alike",
     .completes = settings::Completes::file},
    {.name = "half-life",
     .value = "TIME",
     .summary = "after which an account's usage counts half",
     .fallback = "7d"},
    {.name = "yield-beyond",
     .value = "PART",
     .summary = "above 0: accounts further beyond their share yield running gangs to others",
     .fallback = "0"},
    {.name = "until", .value = "TIME", .summary = "stop then, whatever is left"},
    {.name = "ask",
     .value = "N",
     .summary = "ask why each job that must wait does, and for every N-th when it will start"},
    {.name = "html",
     .value = "FILE",
     .summary = "write a page of plots, with nothing beside it",
     .completes = settings::Completes::file},
    {.name = "seed", .value = "N", .summary = "of faults and noise", .fallback = "1"},
    {.name = "no-check", .summary = "do not check every step"},
};

std::string value_or(const cli::Invocation& invocation,
                     std::string_view name,
                     std::string_view fallback) {
    std::string value = invocation.value(name);
    return value.empty() ? std::string(fallback) : value;
}

struct Inputs {
    scheduler::ClusterSpec cluster;
    Trace trace;
    std::vector<std::string> policies;
    SimOptions options;
};

Result<scheduler::ClusterSpec> load_cluster(const std::string& text, int gpus_per_node) {
    const std::size_t cross = text.find('x');
    if (cross != std::string::npos) {
        const auto nodes = parse_integer(std::string_view(text).substr(0, cross), 1, 1'000'000);
        const auto gpus = parse_integer(
            std::string_view(text).substr(cross + 1), 1, scheduler::slots_per_node_max);
        if (nodes && gpus) {
            return scheduler::uniform_cluster(
                {.nodes = static_cast<int>(*nodes), .slots_per_node = static_cast<int>(*gpus)});
        }
    }
    MPITRAIN_TRY(const std::string content, read_text(text));
    return read_cluster(content, text, {.gpus_per_node = gpus_per_node});
}

Result<Trace> load_trace(const std::string& path) {
    MPITRAIN_TRY(const std::string text, read_text(path));
    if (path.ends_with(".swf") || path.ends_with(".swf.gz")) {
        return read_swf_trace(text, path);
    }
    return read_csv_trace(text, path);
}

template <typename Value>
Result<Value> at_flag(Result<Value> value, std::string_view flag) {
    if (!value) {
        return std::move(value.error()).at(flag);
    }
    return value;
}

Result<void> read_account_options(const cli::Invocation& invocation, SimOptions& options) {
    MPITRAIN_TRY(options.accounts.half_life,
                 at_flag(parse_duration(value_or(invocation, "half-life", "7d")), "--half-life"));
    MPITRAIN_TRY(
        options.accounts.yield_beyond,
        at_flag(parse_number(value_or(invocation, "yield-beyond", "0")), "--yield-beyond"));
    if (const std::string until = invocation.value("until"); !until.empty()) {
        MPITRAIN_TRY(options.until, at_flag(parse_duration(until), "--until"));
    }
    if (const std::string ask = invocation.value("ask"); !ask.empty()) {
        MPITRAIN_TRY(const auto every, at_flag(parse_integer(ask, 1, 1'000'000'000), "--ask"));
        options.forecast_every = static_cast<int>(every);
    }
    return {};
}

Result<SimOptions> read_options(const cli::Invocation& invocation) {
    SimOptions options;
    const auto duration = [&](std::string_view name, std::string_view fallback) {
        return at_flag(parse_duration(value_or(invocation, name, fallback)), name);
    };
    MPITRAIN_TRY(options.preemption_cost, duration("preemption-cost", "60s"));
    MPITRAIN_TRY(options.faults.node_mtbf, duration("mtbf", "0s"));
    MPITRAIN_TRY(options.faults.repair, duration("repair", "1h"));
    MPITRAIN_TRY(options.faults.checkpoint_every, duration("checkpoint-every", "30m"));
    MPITRAIN_TRY(options.noise_sigma,
                 at_flag(parse_number(value_or(invocation, "noise", "1")), "noise"));
    if (options.noise_sigma < 0 || options.noise_sigma > 10) {
        return Error(ErrorCode::invalid_argument, "the noise is from 0 to 10").at("--noise");
    }
    MPITRAIN_TRY(const auto seed,
                 at_flag(parse_integer(value_or(invocation, "seed", "1"), 0, std::int64_t{1} << 62),
                         "seed"));
    options.seed = static_cast<std::uint64_t>(seed);
    const std::string estimates = value_or(invocation, "estimates", "automatic");
    for (const Estimates one : {Estimates::automatic,
                                Estimates::none,
                                Estimates::exact,
                                Estimates::column,
                                Estimates::noisy,
                                Estimates::learned}) {
        if (to_string(one) == estimates) {
            options.estimates = one;
        }
    }
    options.check = !invocation.is_on("no-check");
    MPITRAIN_TRY_VOID(read_account_options(invocation, options));
    return options;
}

// Those of a file, or all that the trace names, alike.
Result<std::vector<scheduler::AccountSpec>> load_accounts(const std::string& path,
                                                          const Trace& trace) {
    if (path != "equal") {
        MPITRAIN_TRY(const std::string text, read_text(path));
        return read_csv_accounts(text, path);
    }
    std::set<std::string> names;
    for (const TraceJob& job : trace.jobs) {
        names.insert(account_of(job));
    }
    std::vector<scheduler::AccountSpec> accounts;
    for (const std::string& name : names) {
        accounts.push_back({.name = name});
    }
    return accounts;
}

Result<Inputs> read_inputs(const cli::Invocation& invocation) {
    Inputs inputs;
    for (const std::string_view needed : {"cluster", "trace"}) {
        if (invocation.value(needed).empty()) {
            return Error(ErrorCode::invalid_argument, fmt::format("--{} is missing", needed))
                .mend("for example: mpitrain sim --cluster 72x8 --trace jobs.csv.gz");
        }
    }
    MPITRAIN_TRY(inputs.options, read_options(invocation));
    const std::string names = value_or(invocation, "policy", "default");
    for (std::size_t start = 0; start <= names.size();) {
        const std::size_t end = std::min(names.find(',', start), names.size());
        inputs.policies.push_back(names.substr(start, end - start));
        MPITRAIN_TRY_VOID(at_flag(scheduler::make_policy(inputs.policies.back()), "--policy")
                              .map([](const auto&) {}));
        start = end + 1;
    }
    MPITRAIN_TRY(
        const auto gpus,
        at_flag(parse_integer(
                    value_or(invocation, "gpus-per-node", "8"), 1, scheduler::slots_per_node_max),
                "--gpus-per-node"));
    MPITRAIN_TRY(inputs.cluster, load_cluster(invocation.value("cluster"), static_cast<int>(gpus)));
    MPITRAIN_TRY(inputs.trace, load_trace(invocation.value("trace")));
    if (const std::string accounts = invocation.value("accounts"); !accounts.empty()) {
        MPITRAIN_TRY(inputs.options.accounts.accounts, load_accounts(accounts, inputs.trace));
    }
    return inputs;
}

cli::Table table_of(const std::vector<Report>& reports) {
    cli::Table table({"POLICY",
                      "JOBS",
                      "MEAN JCT",
                      "P95 JCT",
                      "MAX JCT",
                      "MEAN WAIT",
                      "GANGS>8 MEAN DELAY",
                      "MAX",
                      "USED",
                      "IDLE+QUEUED",
                      "PREEMPTIONS",
                      "STEPS/S"});
    for (const Report& report : reports) {
        table.add({report.policy,
                   fmt::format("{}", report.result.jobs.size()),
                   fmt::format("{:.0f}", report.completion.mean),
                   fmt::format("{:.0f}", report.completion.p95),
                   fmt::format("{:.0f}", report.completion.max),
                   fmt::format("{:.0f}", report.wait.mean),
                   fmt::format("{:.0f}", report.gang_delay.mean),
                   fmt::format("{:.0f}", report.gang_delay.max),
                   fmt::format("{:.1f}%", 100 * report.utilisation),
                   fmt::format("{:.2f}%", 100 * report.idle_while_queued),
                   fmt::format("{}", report.result.preemptions),
                   fmt::format("{:.0f}", report.decisions_per_s)});
    }
    return table;
}

// What was asked for beside the table.
void print_answers(cli::Terminal& terminal, const std::vector<Report>& reports) {
    for (const Report& report : reports) {
        const Answers& answers = report.result.answers;
        if (answers.asked > 0) {
            const Summary error = summarise(answers.start_error);
            terminal.note(fmt::format(
                "{}: {} jobs had to wait, {} without a cause; starts told for {}, median error "
                "{:.1f}% of the wait; {:.3f} ms at most to say why",
                report.policy,
                answers.asked,
                answers.without_cause,
                error.count,
                100 * error.p50,
                summarise(answers.explain_us).max / 1000));
        }
        if (!report.result.shares.empty()) {
            terminal.note(
                fmt::format("{}: usage is {:.2f}% from the shares, the worst account {:.2f}%",
                            report.policy,
                            100 * report.share_error.total,
                            100 * report.share_error.largest));
        }
    }
}

Result<bool> run_all(const cli::Invocation& invocation) {
    MPITRAIN_TRY(Inputs inputs, read_inputs(invocation));
    cli::Terminal& terminal = invocation.terminal;
    if (inputs.trace.skipped > 0) {
        terminal.note(fmt::format("{} rows of the trace ask for no GPU and are left out",
                                  inputs.trace.skipped));
    }
    std::vector<Report> reports;
    bool clean = true;
    for (const std::string& name : inputs.policies) {
        MPITRAIN_TRY(auto policy, scheduler::make_policy(name));
        if (terminal.shows_colour()) {  // a person is watching
            inputs.options.progress = [&name](double share) {
                static_cast<void>(std::fprintf(stderr, "\r%s: %3.0f%%", name.c_str(), 100 * share));
            };
        }
        MPITRAIN_TRY(auto result,
                     simulate(inputs.cluster, inputs.trace, std::move(policy), inputs.options));
        if (terminal.shows_colour()) {
            static_cast<void>(std::fprintf(stderr, "\r\033[K"));
        }
        if (result.checker_violations > 0) {
            clean = false;
            terminal.warn(fmt::format("{}: {} violations, the first: {}",
                                      name,
                                      result.checker_violations,
                                      result.first_violation));
        }
        reports.push_back(make_report(name, inputs.options, std::move(result)));
        if (terminal.format() == cli::Format::json) {
            terminal.print(to_json(reports.back()));
        }
    }
    if (const std::string path = invocation.value("html"); !path.empty()) {
        const std::string title =
            fmt::format("{} on {}", invocation.value("trace"), invocation.value("cluster"));
        MPITRAIN_TRY_VOID(write_text(path, to_html(reports, title)));
    }
    if (terminal.format() == cli::Format::table) {
        terminal.print(table_of(reports).text());
        print_answers(terminal, reports);
    } else if (terminal.format() == cli::Format::quiet) {
        for (const Report& report : reports) {
            terminal.print(fmt::format("{:.0f}\n", report.completion.mean));
        }
    }
    return clean;
}

int run(cli::Invocation& invocation) {
    const auto clean = run_all(invocation);
    if (!clean) {
        return cli::fail(invocation.terminal, clean.error());
    }
    if (auto closed = invocation.terminal.close(); !closed) {
        return cli::fail(invocation.terminal, closed.error());
    }
    return *clean ? 0 : 125;
}

}  // namespace

constinit const cli::Command sim_command{
    .name = "sim",
    .summary = "replay a workload against a cluster model",
    .usage = "--cluster FILE|NODESxGPUS --trace FILE [--policy NAME[,NAME…]] [options]",
    .description =
        "Runs recorded jobs through the scheduling core on a simulated clock, checks every step, "
        "and says how long jobs took. Times are in seconds. Policies named *-oracle are told the "
        "true durations, as a bound to compare with.",
    .example = "mpitrain sim --cluster 72x8 --trace jobs.csv.gz --policy default,easy,fifo",
    .options = sim_options,
    .run = run,
};

}  // namespace mpitrain::sim
