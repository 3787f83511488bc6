#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "attempt.hpp"
#include "event_log.hpp"
#include "hang_monitor.hpp"
#include "input_window.hpp"
#include "job_directory.hpp"
#include "job_result.hpp"
#include "last_commit.hpp"
#include "line_tagger.hpp"
#include "mpitrain/supervise/ledger.hpp"
#include "mpitrain/supervise/restart_policy.hpp"
#include "mpitrain/supervise/run.hpp"
#include "progress_line.hpp"
#include "straggler_watch.hpp"
#include "terminal_output.hpp"

namespace mpitrain {

// One job from its first attempt to its result, in one loop. Loop-only.
class Job final : private AttemptObserver {
  public:
    Job(RunRequest request, JobDirectory directory, EventLog events);
    ~Job() override;
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;

    // Errors: the first attempt could not even be tried.
    Result<int> run();

  private:
    // Why the job is to stop although nothing failed.
    struct StopReason {
        int signal = 0;  // 0 = the time limit
    };

    struct ResumePoint {
        std::string path;  // empty = the beginning
        std::optional<std::uint64_t> step;
    };

    Result<ResumePoint> find_resume_point();
    Result<void> start_attempt(const ResumePoint& resume);
    void request_stop(StopReason reason, Nanoseconds grace);
    void await_signal();
    void on_signal(int signal);
    void suspend_with_ranks();
    void start_clock();
    void tick();
    void look_for_stragglers();
    void read_input();
    void finish(AttemptOutcome outcome);
    [[nodiscard]] JobResult conclude(const AttemptOutcome& outcome) const;
    void report(const JobResult& result);
    void say(const std::string& text);
    void restart_later(const Verdict& verdict);
    Result<void> plan_again(const Verdict& verdict);
    Result<void> start_again(const Verdict& verdict);

    void on_rank_started(Rank rank, int pid) override;
    void on_all_running() override;
    void on_output(Rank rank, wire::Stream stream, std::string bytes) override;
    void on_input_taken(std::size_t bytes) override;
    void on_progress(Rank rank, const wire::Progress& progress) override;
    void on_activity(Rank rank, const wire::Activity& activity) override;
    void on_commit(Rank rank, const wire::Commit& commit) override;
    void on_save_failed(Rank rank, const wire::SaveFailed& failure) override;
    void on_rank_ended(const RankEnd& end) override;
    void on_outside_signal(int signal) override;
    void on_finished(AttemptOutcome outcome) override;

    RunRequest request_;
    JobDirectory directory_;
    EventLog events_;
    int max_restarts_;
    std::set<Rank> shown_;
    boost::asio::io_context loop_;
    boost::asio::signal_set signals_;
    boost::asio::steady_timer ticker_;
    boost::asio::steady_timer time_limit_;
    TerminalOutput terminal_;
    LineTagger tagger_;
    ProgressLine progress_;
    Ledger ledger_;
    HangMonitor hang_;
    StragglerWatch stragglers_;
    std::unique_ptr<Engine> engine_;
    std::unique_ptr<Attempt> attempt_;
    std::vector<AttemptRecord> attempts_;
    int attempt_number_ = 0;
    std::optional<StopReason> stop_;
    std::int64_t last_interrupt_ns_ = 0;
    std::optional<std::uint64_t> committed_step_;
    std::optional<FailedSaves> failed_saves_;
    std::int64_t progress_event_ns_ = 0;
    bool reading_input_ = false;
    std::shared_ptr<InputWindow> input_window_;
    int exit_code_ = 125;
};

}  // namespace mpitrain
