#include "engine_guard.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>

#include "node_directory.hpp"
#include "posix.hpp"
#include "process_tree.hpp"
#include "program.hpp"
#include "remove_tree.hpp"

namespace mpitrain::rank {
namespace {

using std::chrono::milliseconds;

// After the engine's own end the rank agents may still have to say how their programs ended.
constexpr auto agents_grace = milliseconds(300);
constexpr auto cleaning_limit = milliseconds(3500);
constexpr auto removing_limit = milliseconds(1000);

[[noreturn]] void become_command(const std::vector<std::string>& command, pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
        ::_exit(1);
    }
    ::setsid();
    reset_signals();
    const std::vector<char*> arguments = exec_list(command);
    ::execvp(arguments[0], arguments.data());
    const int error = errno;
    std::fprintf(
        stderr, "mpitrain-rank: %s\n", system_error(error, "execute", command[0]).text().c_str());
    ::_exit(error == ENOENT ? 127 : 126);
}

class EngineGuard {
  public:
    EngineGuard(pid_t command, UniqueFd lifeline, UniqueFd signals)
        : command_(command), lifeline_(std::move(lifeline)), signals_(std::move(signals)) {}

    int run() {
        while (children_left_ && !lost_ && !(deadline_ && Clock::now() >= *deadline_)) {
            wait_and_dispatch();
            if (status_ && !deadline_) {
                deadline_ = Clock::now() + agents_grace;
            }
        }
        kill_descendants(Clock::now() + cleaning_limit,
                         [this](const siginfo_t& i) { on_zombie(i); });
        return status_.value_or(128 + SIGKILL);
    }

  private:
    void wait_and_dispatch() {
        std::array<pollfd, 2> sources = {
            {{signals_.get(), POLLIN, 0}, {lifeline_.get(), POLLIN, 0}}};
        ::poll(sources.data(), sources.size(), poll_timeout(deadline_));
        if (sources[1].revents != 0) {
            // A byte is no news; end of file is, and a pidfd, which cannot be read, is readable
            // only when its process is dead.
            char byte = 0;
            const ssize_t count = retry([&] { return ::read(lifeline_.get(), &byte, 1); });
            lost_ = count == 0 || (count < 0 && errno != EAGAIN);
        }
        while (const auto caught = next_signal(signals_)) {
            if (caught->number == SIGCHLD) {
                children_left_ = reap_children([this](const siginfo_t& info) { on_zombie(info); });
            }
            // Nothing is passed on: a resource manager's TERM reaches the engine anyway, and at a
            // second one mpirun kills its ranks at once. The supervisor decides.
        }
    }

    void on_zombie(const siginfo_t& info) {
        if (info.si_pid == command_) {
            status_ = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
        }
    }

    pid_t command_;
    UniqueFd lifeline_;
    UniqueFd signals_;
    std::optional<int> status_;
    bool lost_ = false;
    bool children_left_ = true;
    Deadline deadline_;
};

}  // namespace

int run_engine_guard(const EngineGuardOptions& options) {
    UniqueFd lifeline(options.lifeline >= 0 ? options.lifeline : open_pidfd(::getppid()).release());
    if (::fcntl(lifeline.get(), F_SETFD, FD_CLOEXEC) != 0) {
        std::fprintf(stderr, "mpitrain-rank: the lifeline is not an open file descriptor\n");
        return 2;
    }
    ::setsid();  // no ^C of a terminal may end us; fails only where we lead a group already
    UniqueFd signals = take_signals();
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    // So that an agent beside us does not take itself for their last user.
    std::vector<NodeDirectory> directories;
    for (const std::string& path : options.remove) {
        if (auto entered = NodeDirectory::enter(path)) {
            directories.push_back(*std::move(entered));
        }
    }
    const pid_t self = ::getpid();
    const pid_t command = ::fork();
    if (command < 0) {
        std::fprintf(stderr, "mpitrain-rank: %s\n", system_error(errno, "fork", "").text().c_str());
        return 125;
    }
    if (command == 0) {
        become_command(options.command, self);
    }
    const int status = EngineGuard(command, std::move(lifeline), std::move(signals)).run();
    for (const std::string& directory : options.remove) {
        remove_tree(directory, Clock::now() + removing_limit);
    }
    return status;
}

}  // namespace mpitrain::rank
