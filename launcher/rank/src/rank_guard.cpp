#include "rank_guard.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <new>

#include "agent.hpp"
#include "node_directory.hpp"

namespace mpitrain::rank {
namespace {

using std::chrono::seconds;

constexpr auto cleaning_limit = seconds(4);
constexpr auto agent_limit = seconds(3);  // for an agent that was told of the engine's death
constexpr auto release_limit = seconds(10);
constexpr auto removing_limit = seconds(1);

void complain(int rank, const std::string& text) {
    std::fprintf(stderr, "mpitrain-rank: rank %d: %s\n", rank, text.c_str());
}

void leave_all(std::vector<NodeDirectory>& directories) {
    const TimePoint deadline = Clock::now() + removing_limit;
    for (NodeDirectory& directory : directories) {
        directory.leave(deadline);
    }
}

int run_agent(const RankOptions& options,
              UniqueFd link,
              SharedFacts& facts,
              std::vector<NodeDirectory>& directories) {
    // Out of the engine's reach: its signals go to the guard's process group.
    ::setsid();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    UniqueFd signals = take_signals();
    auto connection = Connection::open(options.control);
    if (!connection) {
        complain(options.rank, connection.error().text());
        return 1;
    }
    Agent agent(options, std::move(link), std::move(signals), facts, *std::move(connection));
    const int status = agent.run();
    if (agent.guard_is_lost()) {  // else it leaves them
        leave_all(directories);
    }
    return status;
}

class Guard {
  public:
    Guard(const RankOptions& options,
          pid_t agent,
          UniqueFd link,
          UniqueFd signals,
          SharedFacts& facts)
        : options_(options),
          agent_(agent),
          link_(std::move(link)),
          signals_(std::move(signals)),
          engine_(open_pidfd(options.engine)),
          facts_(facts) {}

    int run() {
        if (::getppid() != options_.engine) {
            on_engine_lost();
        }
        while (!agent_end_) {
            wait_and_dispatch();
        }
        kill_descendants(Clock::now() + cleaning_limit,
                         [this](const siginfo_t& i) { on_zombie(i); });
        const bool exited = agent_end_->si_code == CLD_EXITED;
        if (!exited && !facts_.ended_sent) {
            report();
        }
        return exited ? agent_end_->si_status : 0;
    }

  private:
    void wait_and_dispatch() {
        std::array<pollfd, 2> sources = {{{signals_.get(), POLLIN, 0}, {engine_.get(), POLLIN, 0}}};
        const int ready = ::poll(sources.data(), sources.size(), poll_timeout(deadline_));
        if (ready > 0 && sources[1].revents != 0) {
            on_engine_lost();
        }
        while (const auto caught = next_signal(signals_)) {
            if (caught->number == SIGCHLD) {
                reap_children([this](const siginfo_t& info) { on_zombie(info); });
            } else {
                tell({GuardNews::Kind::signal, caught->number, caught->sender});
            }
        }
        if (deadline_ && Clock::now() >= *deadline_) {
            ::kill(agent_, SIGKILL);
            deadline_ = Clock::now() + seconds(1);
        }
    }

    void on_engine_lost() {
        engine_.reset();
        deadline_ = Clock::now() + agent_limit;
        tell({GuardNews::Kind::engine_lost, 0, 0});
    }

    void tell(const GuardNews& news) {
        // Never waits: an agent that does not listen any more is about to be noticed otherwise.
        ::send(link_.get(), &news, sizeof news, MSG_NOSIGNAL | MSG_DONTWAIT);
    }

    void on_zombie(const siginfo_t& info) {
        if (info.si_pid == agent_) {
            agent_end_ = info;
        } else if (info.si_pid == facts_.program) {
            program_end_ = info;
        }
    }

    // The agent's last words, said by us: the program's true end if it was not the agent's death
    // that ended it.
    void report() {
        auto connection = Connection::open(options_.control);
        if (!connection) {
            return;
        }
        wire::Hello hello;
        hello.rank = options_.rank;
        hello.guard = true;
        hello.pid = ::getpid();
        connection->send(hello);
        wire::Ended ended;
        ended.how = wire::Ended::How::agent_lost;
        ended.time_ns = realtime_ns();
        ended.detail =
            "the agent of this rank died of signal " + std::to_string(agent_end_->si_status);
        if (program_end_ && program_end_->si_code == CLD_EXITED) {
            ended.how = wire::Ended::How::exited;
            ended.code = program_end_->si_status;
        } else if (program_end_ && program_end_->si_status != SIGKILL) {
            ended.how = wire::Ended::How::signaled;
            ended.signal = program_end_->si_status;
            ended.core_dumped = program_end_->si_code == CLD_DUMPED;
        }
        connection->send(ended);
        connection->send(wire::Drained{});
        await_release(*connection);
    }

    // Until then, so that the engine does not see this rank end before the supervisor has made up
    // its mind.
    static void await_release(Connection& connection) {
        const TimePoint deadline = Clock::now() + release_limit;
        connection.flush_until(deadline);
        while (!connection.lost() && Clock::now() < deadline) {
            pollfd ready{connection.fd(), POLLIN, 0};
            ::poll(&ready, 1, poll_timeout(deadline));
            connection.receive();
            while (const auto message = connection.next()) {
                if (std::holds_alternative<wire::Release>(*message)) {
                    return;
                }
            }
        }
    }

    const RankOptions& options_;
    pid_t agent_;
    UniqueFd link_;
    UniqueFd signals_;
    UniqueFd engine_;  // a pidfd
    SharedFacts& facts_;
    std::optional<siginfo_t> agent_end_;
    std::optional<siginfo_t> program_end_;
    Deadline deadline_;
};

}  // namespace

int run_rank(const RankOptions& options) {
    UniqueFd signals = take_signals();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    std::array<int, 2> ends{};
    void* const memory = ::mmap(
        nullptr, sizeof(SharedFacts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED ||
        ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        complain(options.rank, system_error(errno, "start", "").text());
        return 1;
    }
    auto& facts = *new (memory) SharedFacts();
    UniqueFd link(ends[0]);
    UniqueFd agent_link(ends[1]);
    std::vector<NodeDirectory> directories;
    for (const std::string& path : options.directories) {
        auto entered = NodeDirectory::enter(path);
        if (!entered) {
            complain(options.rank, entered.error().text());
            leave_all(directories);
            return 1;
        }
        directories.push_back(*std::move(entered));
    }
    const pid_t agent = ::fork();
    if (agent < 0) {
        complain(options.rank, system_error(errno, "fork", "").text());
        return 1;
    }
    if (agent == 0) {
        link.reset();
        signals.reset();
        return run_agent(options, std::move(agent_link), facts, directories);
    }
    agent_link.reset();
    const int status = Guard(options, agent, std::move(link), std::move(signals), facts).run();
    leave_all(directories);
    return status;
}

}  // namespace mpitrain::rank
