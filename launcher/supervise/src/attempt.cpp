#include "attempt.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <thread>

#include "event_log.hpp"
#include "mpitrain/base/duration.hpp"

namespace mpitrain {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto launch_deadline = 60s;          // from the engine's start to the last agent's Hello
constexpr auto engine_exit_deadline = 5s;      // from the last Release to the engine's own end
constexpr auto daemons_exit_deadline = 200ms;  // the same after a failure
constexpr auto guard_exit_deadline = 6s;       // from the cut lifeline to the guard's end
constexpr auto stranger_patience = 5s;         // for the Hello of whoever connects over a network
constexpr auto drain_patience = 60s;  // without any output moving: a reader may stand still

}  // namespace

Attempt::Attempt(asio::io_context& loop, AttemptInput input, AttemptObserver& observer)
    : loop_(loop),
      input_(std::move(input)),
      observer_(observer),
      listener_(loop),
      members_(input_.plan.ranks.size()),
      phase_timer_(loop),
      nudge_timer_(loop),
      deadline_timer_(loop),
      beat_timer_(loop) {}

Attempt::~Attempt() {
    for (const Member& member : members_) {
        if (member.link) {
            member.link->close();
        }
    }
    for (const auto& stranger : strangers_) {
        stranger->close();
    }
}

void Attempt::after(Timer& timer, std::chrono::nanoseconds delay, void (Attempt::*then)()) {
    timer.expires_after(std::chrono::duration_cast<Timer::duration>(delay));
    timer.async_wait([this, then](boost::system::error_code error) {
        if (!error) {  // cancelled, or this attempt is gone
            (this->*then)();
        }
    });
}

Result<std::string> Attempt::listen() {
    const int backlog = static_cast<int>(members_.size()) + 16;
    if (input_.hosts == nullptr) {
        return listener_.listen_local(input_.directories.runtime + "/control", backlog);
    }
    key_ = sealed::random_key();
    return listener_.listen_network(input_.hosts->listen, backlog);
}

EngineProcess::Options Attempt::engine_options(const std::string& control_address) const {
    const HostsAccess* hosts = input_.hosts;
    EngineProcess::Options options;
    options.guard_path = input_.agent_path;
    options.command =
        input_.engine.command({.plan = input_.plan,
                               .agent_path = hosts ? hosts->agent_path : input_.agent_path,
                               .control_address = control_address,
                               .session_dir = input_.directories.runtime,
                               .shared_memory_dir = input_.directories.shared_memory,
                               .as_root = ::geteuid() == 0,
                               .extra_args = input_.spec.mpirun_args,
                               .environment = input_.rank_environment,
                               .remote = hosts ? &hosts->launch : nullptr});
    options.environment = input_.rank_environment;
    for (const auto& [name, value] : options.command.env) {
        options.environment[name] = value;
    }
    if (hosts != nullptr) {
        options.environment[std::string(job_key_variable)] = sealed::to_text(key_);
    }
    options.remove = {input_.directories.runtime, input_.directories.shared_memory};
    options.keep_open = input_.slot_locks;
    return options;
}

Result<void> Attempt::start() {
    MPITRAIN_TRY_VOID(open_outputs());
    MPITRAIN_TRY(const std::string control_address, listen());
    listener_.start([this](AgentLink::Socket socket) { accept(std::move(socket)); });
    MPITRAIN_TRY(
        engine_,
        EngineProcess::start(loop_,
                             engine_options(control_address),
                             {.on_text = [this](std::string_view text) { on_engine_text(text); },
                              .on_exit = [this](int status) { on_engine_exit(status); }}));
    after(phase_timer_, launch_deadline, &Attempt::conclude);
    if (input_.hosts != nullptr) {
        beat();
    }
    return {};
}

void Attempt::accept(AgentLink::Socket socket) {
    auto link =
        std::make_shared<AgentLink>(std::move(socket), input_.hosts != nullptr ? &key_ : nullptr);
    strangers_.push_back(link);
    link->start(
        [this](AgentLink& from, wire::Message message) {
            on_message(from.shared_from_this(), std::move(message));
        },
        [this](AgentLink& from) { on_link_closed(from); });
    if (!link->is_sealed()) {
        return;
    }
    // Anybody may connect here: those that do not say Hello are few, and not here for long.
    const std::size_t strangers_max = members_.size() * 2 + 64;
    if (strangers_.size() > strangers_max) {
        strangers_.front()->close();
        strangers_.pop_front();
    }
    auto timer = std::make_shared<Timer>(loop_, stranger_patience);
    timer->async_wait([this, timer, watched = std::weak_ptr(link)](boost::system::error_code) {
        const auto still = watched.lock();  // expires with this attempt
        if (still && std::erase(strangers_, still) > 0) {
            still->close();
        }
    });
}

void Attempt::start_gang() {
    phase_ = Phase::running;
    phase_timer_.cancel();
    for (const RankPlan& rank : input_.plan.ranks) {
        const auto& link = member(rank.rank).link;
        link->send(start_message(rank));
        constexpr std::uint64_t window = 64U << 10U;
        constexpr std::uint64_t network_window = 256U << 10U;  // granted anew after a round trip
        link->send(wire::Credit{.bytes = input_.hosts ? network_window : window});
    }
}

EnvironmentMap Attempt::environment_of(const RankPlan& rank) const {
    EnvironmentMap env = input_.rank_environment;
    for (const auto& [name, value] : rank.env) {
        env[name] = value;
    }
    const std::string& place =
        input_.hosts ? input_.directories.shared_memory : input_.directories.logs;
    const std::string& client_library =
        input_.hosts ? input_.hosts->client_library : input_.client_library;
    env["MASTER_ADDR"] = master_address();
    env["MASTER_PORT"] = std::to_string(master_port_);
    env["TORCHELASTIC_RESTART_COUNT"] = std::to_string(input_.restart_count);
    env["TORCHELASTIC_MAX_RESTARTS"] = std::to_string(input_.max_restarts);
    env["TORCHELASTIC_RUN_ID"] = input_.job;
    env["TORCHELASTIC_ERROR_FILE"] = fmt::format("{}/rank-{}.error.json", place, rank.rank.value());
    env["MPITRAIN_JOB_ID"] = input_.job;
    env["MPITRAIN_ATTEMPT"] = std::to_string(input_.number);
    env["MPITRAIN_CHECKPOINT_DIR"] = input_.spec.checkpoint_dir;
    env["MPITRAIN_RESUME"] = input_.resume;
    env["MPITRAIN_CONTROL"] =
        fmt::format("{}/rank-{}.control", input_.directories.shared_memory, rank.rank.value());
    if (!client_library.empty()) {
        env["MPITRAIN_CLIENT_LIBRARY"] = client_library;
    }
    const GroupPlan& group = input_.plan.groups[static_cast<std::size_t>(rank.group)];
    for (const auto& [name, value] : group.env) {
        env[name] = value;  // what the user says of a variable comes last
    }
    if (const std::string recorder = recorder_library(); !recorder.empty()) {
        const std::string others = env["LD_PRELOAD"];
        env["LD_PRELOAD"] = others.empty() ? recorder : recorder + ":" + others;
    }
    return env;
}

wire::Start Attempt::start_message(const RankPlan& rank) const {
    EnvironmentMap env = environment_of(rank);
    wire::Start start;
    start.command = input_.plan.groups[static_cast<std::size_t>(rank.group)].command;
    start.control_path = env["MPITRAIN_CONTROL"];
    for (const auto& [name, value] : env) {
        start.env.push_back({name, value});
    }
    start.workdir = input_.spec.workdir;
    start.cpus = rank.cpus.to_string();
    start.forward = input_.shown.contains(rank.rank);
    if (input_.hosts != nullptr) {
        start.locks = input_.hosts->locks[static_cast<std::size_t>(rank.rank.value())];
        start.forward = true;  // its files are here
    } else {
        const std::string log =
            fmt::format("{}/rank-{}", input_.directories.logs, rank.rank.value());
        start.out_path = log + ".out";
        start.err_path = log + ".err";
    }
    start.pty = input_.pty;
    start.rows = input_.rows;
    start.columns = input_.columns;
    start.input = input_.spec.stdin_mode == StdinMode::rank0 && rank.rank == Rank(0);
    return start;
}

// --- the end ---

bool Attempt::all_ended() const {
    return std::ranges::all_of(members_,
                               [](const Member& member) { return member.ended.has_value(); });
}

std::vector<Rank> Attempt::alive() const {
    std::vector<Rank> ranks;
    for (std::size_t i = 0; i < members_.size(); ++i) {
        if (!members_[i].ended) {
            ranks.emplace_back(static_cast<int>(i));
        }
    }
    return ranks;
}

// Waits for reports that are on their way, so that the cause is not taken for its first victim.
void Attempt::settle(std::chrono::milliseconds for_reports) {
    if (phase_ == Phase::launching) {
        launch_failed_ = true;
    } else if (phase_ != Phase::running && phase_ != Phase::stopping) {
        return;
    }
    phase_ = Phase::settling;
    settle_began_ns_ = monotonic_ns();
    ping_all();
    nudge_timer_.cancel();
    after(phase_timer_, for_reports, &Attempt::conclude);
}

void Attempt::conclude() {
    phase_timer_.cancel();
    if (awaits_news()) {
        after(phase_timer_, 20ms, &Attempt::conclude);
        return;
    }
    if (report_.text.empty() && phase_ == Phase::launching && engine_->running()) {
        report_.text = fmt::format("only {} of {} rank agents came up within {} s",
                                   hellos_,
                                   members_.size(),
                                   std::chrono::seconds(launch_deadline).count());
    }
    end_with(
        judge({.ends = ends_,
               .engine = report_,
               .engine_stopping = engine_stopping_,
               .engine_dead = !engine_->running() || launch_failed_ || phase_ == Phase::launching,
               .alive = alive(),
               .lost_hosts = lost_hosts(),
               .now_ns = realtime_ns()}));
}

void Attempt::end_with(Verdict verdict) {
    phase_timer_.cancel();
    nudge_timer_.cancel();
    outcome_.verdict = std::move(verdict);
    if (launch_failed_) {  // no program was started yet
        cut_engine();
        return;
    }
    constexpr auto grace =
        300ms;  // nobody can agree on a checkpoint any more; this is for handlers that tidy up
    constexpr auto reports = 2s;
    phase_ = Phase::ending;
    terminate_all(SIGTERM, grace);
    after(phase_timer_, grace + reports, &Attempt::cut_engine);
    end_if_all_ended();
}

void Attempt::terminate_all(int signal, Nanoseconds grace) {
    terminated_ = true;
    for (const Member& member : members_) {
        if (member.link && !member.ended) {
            member.link->send(wire::Terminate{.signal = signal, .grace_ns = grace.count()});
        }
    }
}

void Attempt::end_if_all_ended() {
    if (!all_ended()) {
        return;
    }
    switch (phase_) {
        case Phase::running:
        case Phase::stopping: {
            const auto clean = [](const Member& member) {
                return member.ended->how == wire::Ended::How::exited && member.ended->code == 0;
            };
            const bool told = std::ranges::any_of(members_, [](const Member& member) {
                return member.nudged || member.ended->told_stop;
            });
            if (std::ranges::all_of(members_, clean) && !told) {
                outcome_.succeeded = true;
            } else if (phase_ == Phase::running && !told) {
                settle(0ms);  // ended by hands that were not ours: the engine is going down
                return;
            }
            phase_ = Phase::closing;
            close_when_drained();
            break;
        }
        case Phase::settling:
            if (!awaits_engine_text_) {
                conclude();
            }
            break;
        case Phase::ending:
            phase_ = Phase::closing;
            close_when_drained();
            break;
        case Phase::launching:
        case Phase::closing:
        case Phase::finished:
            break;
    }
}

void Attempt::close_when_drained() {
    const bool drained =
        std::ranges::all_of(members_, [this](const Member& member) { return is_drained(member); });
    if (all_drained_) {
        return;
    }
    if (drained) {
        all_drained_ = true;
        // An engine in its own kill sequence waits that out before it ends.
        close(!outcome_.verdict && !engine_stopping_);
    } else {
        after(phase_timer_, drain_patience, &Attempt::cut_engine);
    }
}

void Attempt::close(bool engine_may_finish) {
    for (Member& member : members_) {
        if (member.link && !member.released) {
            member.released = true;
            member.link->send(wire::Release{});
        }
    }
    // Left alone, mpirun ends its daemons on other machines; when it is killed they take seconds.
    const bool ends_daemons = input_.hosts != nullptr && lost_hosts().empty();
    if (engine_may_finish && engine_->running()) {
        after(phase_timer_, engine_exit_deadline, &Attempt::cut_engine);
    } else if (ends_daemons && engine_->running()) {
        after(phase_timer_, daemons_exit_deadline, &Attempt::cut_engine);
    } else {
        cut_engine();
    }
}

void Attempt::cut_engine() {
    phase_ = Phase::closing;
    if (!engine_->running()) {
        finish_when_gone();
        return;
    }
    engine_->cut();
    phase_timer_.expires_after(guard_exit_deadline);
    phase_timer_.async_wait([this](boost::system::error_code error) {
        if (!error) {
            engine_->kill_guard();  // its own bound has long passed; the agents' guards still clean
        }
    });
}

void Attempt::on_engine_exit(int /*wait_status*/) {
    switch (phase_) {
        case Phase::launching:
        case Phase::running:
        case Phase::stopping:
        case Phase::settling:
            // The guard has ended every process by now. Give what the agents still said a moment to
            // be read.
            phase_ = Phase::settling;
            after(phase_timer_, 20ms, &Attempt::conclude);
            break;
        case Phase::ending:
            if (input_.hosts != nullptr && !all_ended()) {
                break;  // other machines' ranks are being ended without it
            }
            finish_when_gone();
            break;
        case Phase::closing:
            finish_when_gone();
            break;
        case Phase::finished:
            break;
    }
}

// The engine's guard does this too, also when we are killed; this is for when the guard was. Then a
// process that is still dying may add a file while we remove, so it takes another try.
void Attempt::remove_directories() const {
    constexpr int tries_max = 50;
    for (const std::string& directory :
         {input_.directories.runtime, input_.directories.shared_memory}) {
        std::error_code error;
        for (int tries = 0; tries < tries_max; ++tries) {
            std::filesystem::remove_all(directory, error);
            if (!error) {
                break;
            }
            std::this_thread::sleep_for(20ms);
        }
    }
}

// Whether a commit covers all that was trained when the stop was asked for.
bool Attempt::nothing_lost() const {
    const auto covers = [this](std::uint64_t commit) {
        return commit + 1 >= stop_step_.value_or(0);
    };
    if (outcome_.commit_step) {
        return commit_ns_ >= stop_asked_ns_ || (stop_step_ && covers(*outcome_.commit_step));
    }
    // Without a step since, the commit that this attempt began with is as good as one of its own.
    return input_.resume_step && covers(*input_.resume_step) &&
           std::ranges::all_of(members_, [](const Member& member) {
               return !member.started || (member.ended && member.ended->told_stop);
           });
}

void Attempt::finish() {
    if (phase_ == Phase::finished) {
        return;
    }
    phase_ = Phase::finished;
    phase_timer_.cancel();
    nudge_timer_.cancel();
    deadline_timer_.cancel();
    beat_timer_.cancel();
    listener_.close();
    for (const Member& member : members_) {
        if (member.output) {
            member.output->seal();
        }
    }
    remove_directories();
    outcome_.stopped_with_commit = outcome_.stop_requested && nothing_lost();
    observer_.on_finished(std::move(outcome_));
}

}  // namespace mpitrain
