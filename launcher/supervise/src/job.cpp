#include "job.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <csignal>
#include <filesystem>

#include "window.hpp"

namespace mpitrain {

namespace asio = boost::asio;

namespace {

constexpr int default_restarts_with_checkpoints = 3;
constexpr int exit_requeue = 75;  // EX_TEMPFAIL
constexpr int exit_time_limit = 124;

std::set<Rank> shown_ranks(const JobSpec& spec, std::size_t world_size) {
    std::set<Rank> all;
    for (std::size_t i = 0; i < world_size; ++i) {
        all.emplace(static_cast<int>(i));
    }
    if (spec.show.empty()) {
        return all;
    }
    std::set<Rank> shown;
    const auto list =
        CpuSet::parse(spec.show);  // the same "0,8-15" grammar; validated with the spec
    for (const Rank rank : all) {
        if (list && list->contains(rank.value())) {
            shown.insert(rank);
        }
    }
    return shown;
}

int restarts_of(const JobSpec& spec) {
    return spec.max_restarts.value_or(
        spec.checkpoint_dir.empty() ? 0 : default_restarts_with_checkpoints);
}

}  // namespace

Job::Job(RunRequest request, JobDirectory directory, EventLog events)
    : request_(std::move(request)),
      directory_(std::move(directory)),
      events_(std::move(events)),
      max_restarts_(restarts_of(request_.spec)),
      shown_(shown_ranks(request_.spec, request_.plan.ranks.size())),
      signals_(loop_),
      ticker_(loop_),
      time_limit_(loop_),
      terminal_({.status_line = request_.talk == Talk::people && ::isatty(STDERR_FILENO) == 1}),
      tagger_({.tag = request_.spec.tag, .color = request_.color}),
      progress_(static_cast<int>(request_.plan.ranks.size()), request_.what),
      ledger_(monotonic_ns()),
      hang_(request_.spec.hang_timeout_mode, request_.spec.hang_timeout),
      engine_(make_mpirun_engine()) {}

Job::~Job() = default;

Result<int> Job::run() {
    for (const int signal :
         {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT}) {
        signals_.add(signal);
    }
    ::signal(SIGPIPE, SIG_IGN);
    await_signal();
    for (const std::string& note : request_.notes) {
        say(fmt::format("mpitrain: {}\n", note));
    }
    events_.emit("job.submitted",
                 {.attempt = 0,
                  .more = {{"name", request_.spec.name},
                           {"ranks", static_cast<std::int64_t>(request_.plan.ranks.size())},
                           {"plan", request_.plan.hash}}});
    MPITRAIN_TRY(const ResumePoint resume, find_resume_point());
    MPITRAIN_TRY_VOID(start_attempt(resume));
    start_clock();
    loop_.run();
    return exit_code_;
}

// What the next attempt resumes from. Errors: data_loss (there are checkpoints, and none is whole:
// to start anew over them is for the user to say).
Result<Job::ResumePoint> Job::find_resume_point() {
    const ResumePolicy& policy = request_.spec.resume;
    if (policy.kind != ResumePolicy::Kind::automatic && !committed_step_) {
        return ResumePoint{.path = policy.path, .step = {}};  // no path for "never"
    }
    const LastCommit last = find_last_commit(request_.files, request_.spec.checkpoint_dir);
    for (const std::string& why : last.damaged) {
        say(fmt::format("mpitrain: a checkpoint is damaged, left out: {}\n", why));
    }
    if (last.good) {
        return ResumePoint{.path = last.good->path, .step = last.good->step};
    }
    if (!last.damaged.empty()) {
        return Error(ErrorCode::data_loss, "no checkpoint is whole")
            .at(request_.spec.checkpoint_dir)
            .mend("put a whole one back, or start anew with --resume never");
    }
    return ResumePoint();
}

Result<void> Job::start_attempt(const ResumePoint& resume) {
    ++attempt_number_;
    MPITRAIN_TRY(const AttemptDirectories directories,
                 make_attempt_directories(
                     directory_,
                     attempt_number_,
                     // The same path must be possible on every machine, logged in there or not.
                     request_.hosts ? EnvironmentMap() : request_.submit_environment));
    std::vector<int> locks;
    for (const UniqueFd& lock : request_.claim.locks) {
        locks.push_back(lock.get());
    }
    const winsize size = window_size();
    AttemptObserver& observer = *this;
    attempt_ = std::make_unique<Attempt>(
        loop_,
        AttemptInput{.spec = request_.spec,
                     .plan = request_.plan,
                     .engine = *engine_,
                     .number = attempt_number_,
                     .job = directory_.id,
                     .directories = directories,
                     .agent_path = request_.agent_path,
                     .client_library = request_.client_library,
                     .resume = resume.path,
                     .resume_step = resume.step,
                     .restart_count = attempt_number_ - 1,
                     .max_restarts = max_restarts_,
                     .rank_environment = request_.rank_environment,
                     .slot_locks = locks,
                     .shown = shown_,
                     .pty = request_.spec.pty ||
                            (request_.talk != Talk::json && ::isatty(STDOUT_FILENO) == 1),
                     .rows = size.ws_row,
                     .columns = size.ws_col,
                     .hosts = request_.hosts ? &*request_.hosts : nullptr},
        observer);
    ledger_.attempt_started(monotonic_ns());
    hang_.attempt_started();
    stragglers_.attempt_started();
    progress_.started(attempt_number_, monotonic_ns());
    events_.emit("attempt.started",
                 {.attempt = attempt_number_,
                  .more = {{"resume", resume.path},
                           {"ranks", static_cast<std::int64_t>(request_.plan.ranks.size())}}});
    return attempt_->start();
}

// --- what the attempt tells ---

void Job::on_rank_started(Rank rank, int pid) {
    events_.emit("rank.started",
                 {.attempt = attempt_number_,
                  .rank = rank,
                  .more = {{"pid", static_cast<std::int64_t>(pid)}}});
}

void Job::on_all_running() {
    ledger_.ranks_running(monotonic_ns());
    if (request_.spec.stdin_mode == StdinMode::rank0 && !reading_input_) {
        reading_input_ = true;
        read_input();
    }
}

void Job::on_output(Rank rank, wire::Stream stream, std::string bytes) {
    const bool to_err = stream == wire::Stream::err || request_.talk == Talk::json;
    const std::size_t count = bytes.size();
    terminal_.write(to_err ? TerminalOutput::Sink::err : TerminalOutput::Sink::out,
                    tagger_.show(rank, bytes),
                    [this, rank, count, attempt = attempt_number_] {
                        asio::post(loop_, [this, rank, count, attempt] {
                            if (attempt_ && attempt == attempt_number_) {
                                attempt_->grant(rank, count);
                            }
                        });
                    });
}

void Job::on_progress(Rank rank, const wire::Progress& progress) {
    ledger_.checkpointing_total(static_cast<std::int64_t>(progress.checkpoint_ns));
    hang_.progressed(rank, progress.step, monotonic_ns());
    stragglers_.progressed(rank, progress.step);
    if (rank != Rank(0)) {
        return;
    }
    progress_.progressed(progress, monotonic_ns());
    constexpr std::int64_t event_period_ns = 1'000'000'000;
    const bool last = progress.total > 0 && progress.step >= progress.total;
    if (last || monotonic_ns() - progress_event_ns_ >= event_period_ns) {
        progress_event_ns_ = monotonic_ns();
        EventFields fields{.attempt = attempt_number_, .rank = rank};
        fields.more.emplace_back("step", static_cast<std::int64_t>(progress.step));
        fields.more.emplace_back("total", static_cast<std::int64_t>(progress.total));
        for (const wire::Metric& metric : progress.metrics) {
            fields.more.emplace_back(metric.name, metric.value);
        }
        events_.emit("rank.progress", fields);
    }
}

void Job::on_activity(Rank rank, const wire::Activity& activity) {
    hang_.active(rank, activity.operations, monotonic_ns());
    stragglers_.active(rank, activity.operations, activity.spent_ns);
}

void Job::look_for_stragglers() {
    for (const StragglerWatch::Change& change : stragglers_.look(monotonic_ns())) {
        EventFields fields{.attempt = attempt_number_, .rank = change.rank};
        if (change.slow) {
            fields.more.emplace_back("others_wait_share", change.share);
        }
        events_.emit(change.slow ? "rank.slow" : "rank.recovered", fields);
    }
    progress_.straggling(stragglers_.text());
}

void Job::on_commit(Rank /*rank*/, const wire::Commit& commit) {
    if (committed_step_ == commit.step) {
        return;  // another rank's word of the same commit
    }
    committed_step_ = commit.step;
    const std::int64_t age_ns = std::max<std::int64_t>(0, realtime_ns() - commit.time_ns);
    ledger_.committed(monotonic_ns() - age_ns);
    progress_.committed(commit.step, monotonic_ns() - age_ns);
    events_.emit(
        "checkpoint.committed",
        {.attempt = attempt_number_, .more = {{"step", static_cast<std::int64_t>(commit.step)}}});
}

void Job::on_save_failed(Rank /*rank*/, const wire::SaveFailed& failure) {
    if (failed_saves_ && failed_saves_->step == failure.step) {
        return;  // another rank's word of the same save
    }
    failed_saves_ =
        FailedSaves{failed_saves_ ? failed_saves_->count + 1 : 1, failure.step, failure.reason};
    EventFields fields{.attempt = attempt_number_};
    fields.more.emplace_back("step", static_cast<std::int64_t>(failure.step));
    fields.more.emplace_back("reason", failure.reason);
    events_.emit("checkpoint.failed", fields);
    say(fmt::format(
        "mpitrain: the checkpoint of step {} failed: {}\n", failure.step, failure.reason));
}

void Job::on_rank_ended(const RankEnd& end) {
    EventFields fields{.attempt = attempt_number_, .rank = end.rank};
    using How = wire::Ended::How;
    if (end.ended.how == How::signaled) {
        fields.more.emplace_back("signal", static_cast<std::int64_t>(end.ended.signal));
    } else if (end.ended.how == How::exited) {
        fields.more.emplace_back("exit_code", static_cast<std::int64_t>(end.ended.code));
    } else {
        fields.more.emplace_back("reason", end.ended.detail);
    }
    if (end.ended.leftovers > 0) {
        fields.more.emplace_back("leftovers_killed",
                                 static_cast<std::int64_t>(end.ended.leftovers));
    }
    events_.emit("rank.ended", fields);
}

void Job::on_outside_signal(int signal) {
    request_stop({.signal = signal}, request_.spec.stop_grace);
}

void Job::on_finished(AttemptOutcome outcome) {
    // From outside of the attempt's own call, so that it can be destroyed.
    asio::post(loop_,
               [this, outcome = std::move(outcome)]() mutable { finish(std::move(outcome)); });
}

void Job::finish(AttemptOutcome outcome) {
    attempt_.reset();
    EventFields ended{.attempt = attempt_number_};
    if (outcome.verdict) {
        ended.more.emplace_back("cause", std::string(to_string(outcome.verdict->cause)));
        ended.more.emplace_back("verdict", describe(*outcome.verdict));
    }
    events_.emit("attempt.ended", ended);
    if (outcome.verdict) {
        attempts_.push_back(
            {.verdict = *outcome.verdict, .committed = outcome.commit_step.has_value()});
        const RestartDecision decision =
            decide_restart(attempts_, max_restarts_, request_.spec.max_node_failures);
        if (!stop_ && decision.restart) {
            restart_later(*outcome.verdict);
            return;
        }
        if (!stop_ && max_restarts_ > 0) {
            say(fmt::format("mpitrain: not restarting: {}\n", decision.reason));
        }
    }
    const bool keeps = outcome.succeeded || outcome.stopped_with_commit;
    keeps ? ledger_.finished(monotonic_ns()) : ledger_.attempt_failed(monotonic_ns());
    if (!keeps) {
        ledger_.finished(monotonic_ns());
    }
    report(conclude(outcome));
    boost::system::error_code ignored;
    signals_.cancel(ignored);
    ticker_.cancel();
    time_limit_.cancel();
    loop_.stop();
}

// Where a node was lost, the next attempt runs where the planner finds room now.
Result<void> Job::plan_again(const Verdict& verdict) {
    if (!request_.replan || verdict.cause != Cause::node_lost) {
        return {};
    }
    MPITRAIN_TRY(HostsPlan next, request_.replan(verdict.host, !verdict.rank));
    for (const std::string& note : next.notes) {
        say(fmt::format("mpitrain: {}\n", note));
    }
    request_.plan = std::move(next.plan);
    request_.hosts = std::move(next.access);
    return {};
}

Result<void> Job::start_again(const Verdict& verdict) {
    MPITRAIN_TRY(const ResumePoint resume, find_resume_point());
    const std::string from =
        resume.step ? fmt::format("from step {}", *resume.step) : "from the beginning";
    say(fmt::format("mpitrain: {}; restarting {} (restart {} of at most {})\n",
                    describe(verdict),
                    from,
                    attempts_.size(),
                    max_restarts_));
    events_.emit("job.restarting", {.attempt = attempt_number_, .more = {{"from", from}}});
    MPITRAIN_TRY_VOID(plan_again(verdict));
    return start_attempt(resume);
}

void Job::restart_later(const Verdict& verdict) {
    ledger_.attempt_failed(monotonic_ns());
    if (const auto started = start_again(verdict); !started) {
        say(fmt::format("mpitrain: error: cannot restart: {}\n", started.error().text()));
        AttemptOutcome outcome;
        outcome.verdict = verdict;
        ledger_.finished(monotonic_ns());
        report(conclude(outcome));
        loop_.stop();
    }
}

JobResult Job::conclude(const AttemptOutcome& outcome) const {
    JobResult result;
    result.job = directory_.id;
    result.attempts = attempt_number_;
    result.ledger = ledger_.columns(monotonic_ns());
    result.failed_saves = failed_saves_;
    result.last_checkpoint = find_last_commit(request_.files, request_.spec.checkpoint_dir).good;
    if (outcome.succeeded) {
        result.outcome = Outcome::succeeded;
        result.exit_code = 0;
        return result;
    }
    if (!stop_) {
        result.outcome = Outcome::failed;
        result.verdict = outcome.verdict;
        result.exit_code = outcome.verdict ? exit_code(*outcome.verdict) : exit_code_;
        return result;
    }
    Verdict verdict;
    verdict.first_seen_ns = realtime_ns();
    verdict.cause = stop_->signal == 0 ? Cause::time_limit : Cause::cancelled;
    if (stop_->signal != 0) {
        verdict.signal = stop_->signal;
    }
    result.verdict = outcome.verdict ? *outcome.verdict : verdict;
    if (stop_->signal == 0) {
        result.outcome = Outcome::timeout;
        result.exit_code = exit_time_limit;
    } else if (outcome.stopped_with_commit) {
        result.outcome = Outcome::stopped;
        result.exit_code = exit_requeue;
        result.requeue = true;
    } else {
        result.outcome = Outcome::cancelled;
        result.exit_code = 128 + stop_->signal;
    }
    return result;
}

void Job::report(const JobResult& result) {
    exit_code_ = result.exit_code;
    events_.emit("job.ended",
                 {.attempt = 0,
                  .more = {{"outcome", std::string(to_string(result.outcome))},
                           {"exit_code", static_cast<std::int64_t>(result.exit_code)}}});
    const std::string json = to_json(result) + "\n";
    for (const std::string& path : {directory_.path + "/result.json", request_.spec.result_file}) {
        if (path.empty()) {
            continue;
        }
        if (const auto written = write_file_atomically(path, json); !written) {
            say(fmt::format("mpitrain: error: {}\n", written.error().text()));
        }
    }
    if (events_.error()) {
        say(fmt::format("mpitrain: warning: events are missing: {}\n", events_.error()->text()));
    }
    terminal_.set_status("");
    say(account(result, directory_.path));
    if (request_.talk == Talk::json) {
        terminal_.write(TerminalOutput::Sink::out, json);
    }
    boost::system::error_code ignored;
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        signals_.remove(signal, ignored);  // it now ends the wait for a reader that stands still
    }
    constexpr int patience_ms = 60'000;
    terminal_.flush(patience_ms);
}

void Job::say(const std::string& text) {
    if (request_.talk != Talk::quiet) {
        terminal_.write(TerminalOutput::Sink::err, text);
    }
}

namespace {

Result<EventLog> open_events(const JobSpec& spec, const JobDirectory& directory) {
    std::vector<std::string> paths = {directory.path + "/events.jsonl"};
    if (!spec.events_file.empty()) {
        paths.push_back(spec.events_file);
    }
    MPITRAIN_TRY(EventLog events, EventLog::open(paths, directory.id));
    events.emit("job.created");
    if (events.error()) {
        // Not resource_exhausted: to callers that means slots.
        return Error(ErrorCode::io, events.error()->what())
            .at(events.error()->where())
            .mend("choose a place with room by --log-dir");
    }
    return events;
}

}  // namespace

Result<int> run_job(RunRequest request) {
    if (!request.spec.result_file.empty()) {
        MPITRAIN_TRY_VOID(check_writable(request.spec.result_file));
    }
    MPITRAIN_TRY(JobDirectory directory,
                 make_job_directory(request.spec, request.submit_environment));
    auto events = open_events(request.spec, directory);
    if (!events) {
        std::error_code ignored;  // a job that never was leaves nothing
        std::filesystem::remove_all(directory.path, ignored);
        return std::move(events).error();
    }
    Job job(std::move(request), std::move(directory), *std::move(events));
    return job.run();
}

}  // namespace mpitrain
