#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent_link.hpp"
#include "control_listener.hpp"
#include "engine_process.hpp"
#include "mpitrain/plan/launch_plan.hpp"
#include "mpitrain/supervise/hosts_access.hpp"
#include "mpitrain/supervise/verdict.hpp"
#include "rank_output.hpp"
#include "stop_agreement.hpp"
#include "stuck_ranks.hpp"

namespace mpitrain {

// Where one attempt lives. All exist, are private to this user, and are this attempt's alone.
struct AttemptDirectories {
    std::string logs;     // rank-<r>.{out,err}; kept
    std::string runtime;  // control socket and engine session; removed by the guard
    std::string
        shared_memory;  // control pages and MPI's shared memory, on tmpfs; removed by the guard
};

struct AttemptInput {
    const JobSpec& spec;
    const LaunchPlan& plan;
    const Engine& engine;
    int number = 1;
    std::string job;
    AttemptDirectories directories;
    std::string agent_path;
    std::string client_library;  // for programs that load it at run time, may be empty
    std::string resume;          // the commit to resume from, or empty
    std::optional<std::uint64_t> resume_step = std::nullopt;
    int restart_count = 0;
    int max_restarts = 0;
    const EnvironmentMap&
        rank_environment;  // the submitter's, less what an outer launcher left in it
    std::vector<int> slot_locks;
    std::set<Rank> shown;  // ranks whose output is forwarded to us
    bool pty = false;
    std::uint16_t rows = 0;
    std::uint16_t columns = 0;
    const HostsAccess* hosts = nullptr;  // null = all ranks are on this machine
};

struct AttemptOutcome {
    bool succeeded = false;  // every rank ended cleanly, and none because of a stop
    bool stop_requested = false;
    std::optional<Verdict> verdict;            // of a failure
    std::optional<std::uint64_t> commit_step;  // the last commit of this attempt
    bool stopped_with_commit = false;  // the commit covers all that was trained when it stopped
};

// What an attempt tells while it runs. Loop-only.
class AttemptObserver {
  public:
    virtual ~AttemptObserver() = default;
    virtual void on_rank_started(Rank rank, int pid) = 0;
    virtual void on_all_running() = 0;
    // Must lead to grant(rank, bytes.size()) once the bytes are on their way out.
    virtual void on_output(Rank rank, wire::Stream stream, std::string bytes) = 0;
    virtual void on_input_taken(
        std::size_t bytes) = 0;  // the program read this much of its standard input
    virtual void on_progress(Rank rank, const wire::Progress& progress) = 0;
    virtual void on_activity(Rank rank, const wire::Activity& activity) = 0;
    virtual void on_commit(Rank rank, const wire::Commit& commit) = 0;
    virtual void on_save_failed(Rank rank, const wire::SaveFailed& failure) = 0;
    virtual void on_rank_ended(const RankEnd& end) = 0;
    virtual void on_outside_signal(int signal) = 0;
    virtual void on_finished(
        AttemptOutcome outcome) = 0;  // the last call; every process of the attempt is gone
};

// One execution of a job: brings the whole gang up or nothing, keeps it, and ends all of it when
// one rank fails. Loop-only.
//
//   launching ── all Hello ──▶ running ── failure ──▶ settling ─▶ ending ─▶ closing ─▶
//   (on_finished)
//       │                         └──── stop ────▶ stopping ──────┘            ▲
//       └── engine gone, stop, deadline ───────────────────────────────────────┘
class Attempt {
  public:
    Attempt(boost::asio::io_context& loop, AttemptInput input, AttemptObserver& observer);
    ~Attempt();
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;

    // Errors: those of starting the engine; nothing runs then.
    Result<void> start();
    // Ask every rank to stop at one common step, and end whatever is left after `grace`. A second
    // call only shortens it.
    void stop(Nanoseconds grace);
    // No progress for `pause`: looks at every rank, then ends the attempt and names those that the
    // others wait for, or this one where that cannot be told. Further calls change nothing.
    void give_up_on(Rank rank, Nanoseconds pause);
    void signal_ranks(int signal);
    void grant(Rank rank, std::size_t bytes);  // more output may come from this rank
    void input(std::string bytes, bool end);   // rank 0's standard input
    void resize(std::uint16_t rows, std::uint16_t columns);
    // Before this process is stopped: agents must not take its silence for its death.
    void announce_silence();

  private:
    enum class Phase : std::uint8_t {
        launching,
        running,
        settling,
        stopping,
        ending,
        closing,
        finished
    };
    struct Member {
        std::shared_ptr<AgentLink> link;
        std::string host;
        bool started = false;
        bool drained = false;
        bool released = false;
        bool nudged = false;  // was sent TERM while stopping
        std::int64_t started_ns = 0;
        std::optional<wire::Ended> ended;
        // On another machine only.
        std::unique_ptr<RankOutput> output;
        std::int64_t heard_ns = 0;               // when anything was last heard of its agent
        bool silent = false;                     // lost without a word
        std::int64_t clock_ns = 0;               // how far its machine's clock is ahead of ours
        std::int64_t round_trip_ns = INT64_MAX;  // of the ping that told
    };
    using Timer = boost::asio::steady_timer;

    Result<std::string> listen();
    Result<void> open_outputs();
    void accept(AgentLink::Socket socket);
    [[nodiscard]] EngineProcess::Options engine_options(const std::string& control_address) const;
    void on_message(const std::shared_ptr<AgentLink>& link, wire::Message message);
    void on_link_closed(const AgentLink& link);
    void await_guard(Rank rank);
    [[nodiscard]] bool is_known(const AgentLink& link, const wire::Hello& hello) const;
    void handle(Rank rank, const wire::Ping& ping);
    void handle(Rank rank, wire::Output output);
    void handle(Rank rank, const wire::Started& started);
    void handle(Rank rank, const wire::Commit& commit);
    void handle(Rank rank, const wire::SaveFailed& failure);
    void handle(Rank rank, const wire::StopPrepared& reply);
    void handle(Rank rank, const wire::StopRequested& request);
    void handle(Rank rank, wire::Ended ended);
    void handle(Rank rank, const wire::Drained& drained);
    void handle(Rank rank, wire::Inspected seen);
    void hello(const std::shared_ptr<AgentLink>& link, const wire::Hello& hello);
    void start_gang();
    [[nodiscard]] wire::Start start_message(const RankPlan& rank) const;
    [[nodiscard]] EnvironmentMap environment_of(const RankPlan& rank) const;
    [[nodiscard]] std::string master_address() const;
    // Of ranks on other machines.
    void beat();
    void ping_all();
    void check_silence();
    void lose(Rank rank, std::string why, std::int64_t last_ns);
    void show_output(Rank rank);
    [[nodiscard]] bool awaits_news() const;
    [[nodiscard]] std::vector<std::string> lost_hosts() const;
    [[nodiscard]] const std::string& host_of(Rank rank) const;
    [[nodiscard]] bool is_elsewhere(Rank rank) const;  // not where mpirun is
    void finish_when_gone();
    [[nodiscard]] bool is_drained(const Member& member) const;

    void settle(std::chrono::milliseconds for_reports);
    void wait_for_origin(const wire::Ended& failure);
    void conclude();
    void end_with(Verdict verdict);
    void judge_stall();
    [[nodiscard]] std::string recorder_library() const;
    void begin_stop(std::chrono::steady_clock::time_point deadline, Nanoseconds grace);
    void ask_ranks_to_stop();
    void decide_stop();
    void tell_stop();
    void nudge();  // while stopping: TERM to programs that will not ask by themselves
    void terminate_all(int signal, Nanoseconds grace);
    void end_if_all_ended();
    void close_when_drained();
    void close(bool engine_may_finish);
    void on_engine_text(std::string_view text);
    void on_engine_exit(int wait_status);
    void finish();
    [[nodiscard]] bool nothing_lost() const;
    void remove_directories() const;
    void after(Timer& timer, std::chrono::nanoseconds delay, void (Attempt::*then)());
    void cut_engine();
    [[nodiscard]] bool all_ended() const;
    [[nodiscard]] std::vector<Rank> alive() const;
    Member& member(Rank rank) { return members_[static_cast<std::size_t>(rank.value())]; }

    boost::asio::io_context& loop_;
    AttemptInput input_;
    AttemptObserver& observer_;
    ControlListener listener_;
    sealed::Key key_{};  // of this attempt alone
    std::unique_ptr<EngineProcess> engine_;
    EngineReport report_;
    std::vector<Member> members_;
    std::map<const AgentLink*, Rank> rank_of_;
    std::deque<std::shared_ptr<AgentLink>> strangers_;  // connected, no Hello yet
    std::vector<RankEnd> ends_;                         // until the verdict
    Phase phase_ = Phase::launching;
    int hellos_ = 0;
    int started_ = 0;
    std::uint16_t master_port_ = 0;
    bool launch_failed_ = false;  // before every agent had come up
    bool engine_stopping_ = false;
    bool awaits_engine_text_ = false;  // settling, and it may tell an MPI_Abort
    bool only_echoes_ = false;         // settling, and every failure so far blames a peer
    std::int64_t stop_asked_ns_ = 0;
    std::optional<std::uint64_t> stop_step_;
    bool terminated_ = false;
    bool all_drained_ = false;
    std::chrono::steady_clock::time_point stop_deadline_;
    std::chrono::steady_clock::time_point stop_half_;
    StopAgreement agreement_;
    std::int64_t commit_ns_ = 0;
    AttemptOutcome outcome_;
    // A stall, while ranks are looked at.
    struct Stall {
        Rank behind;
        Nanoseconds pause;
        std::vector<RankSight> sights;  // by rank
    };
    std::optional<Stall> stall_;
    Timer phase_timer_;
    Timer nudge_timer_;
    Timer deadline_timer_;
    Timer beat_timer_;
    std::int64_t beat_ns_ = 0;  // the last look for silence
    std::int64_t pinged_ns_ = 0;
    std::int64_t settle_began_ns_ = 0;
    bool leaving_ = false;  // all is released; only the agents' own ends are waited for
};

}  // namespace mpitrain
