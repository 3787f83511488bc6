#include "engine_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <boost/asio/buffer.hpp>
#include <cerrno>
#include <csignal>

namespace mpitrain {
namespace {

namespace asio = boost::asio;

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
    std::vector<char*> pointers;
    pointers.reserve(strings.size() + 1);
    for (std::string& text : strings) {
        pointers.push_back(text.data());
    }
    pointers.push_back(nullptr);
    return pointers;
}

// posix_spawn's attribute and action lists, released together.
class SpawnPlan {
  public:
    SpawnPlan() {
        posix_spawnattr_init(&attributes_);
        posix_spawn_file_actions_init(&actions_);
        sigset_t none;
        sigset_t all;
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawnattr_setsigmask(&attributes_, &none);
        posix_spawnattr_setsigdefault(&attributes_, &all);
        // A session of its own, so that the terminal's ^C reaches only mpitrain.
        posix_spawnattr_setflags(
            &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    }
    ~SpawnPlan() {
        posix_spawnattr_destroy(&attributes_);
        posix_spawn_file_actions_destroy(&actions_);
    }
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;

    void redirect(int from, int to) { posix_spawn_file_actions_adddup2(&actions_, from, to); }
    void inherit(int fd) { redirect(fd, fd); }  // clears close-on-exec in the child alone
    void read_null() {
        posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    }

    int spawn(std::vector<std::string> argv, std::vector<std::string> environment, pid_t& pid) {
        return ::posix_spawn(&pid,
                             argv.front().c_str(),
                             &actions_,
                             &attributes_,
                             pointers_to(argv).data(),
                             pointers_to(environment).data());
    }

  private:
    posix_spawnattr_t attributes_{};
    posix_spawn_file_actions_t actions_{};
};

std::vector<std::string> guard_arguments(const EngineProcess::Options& options, int lifeline) {
    std::vector<std::string> argv = {
        options.guard_path, "--guard", "--lifeline", std::to_string(lifeline)};
    for (const std::string& directory : options.remove) {
        argv.insert(argv.end(), {"--remove", directory});
    }
    argv.emplace_back("--");
    argv.insert(argv.end(), options.command.argv.begin(), options.command.argv.end());
    return argv;
}

std::vector<std::string> flatten(const EnvironmentMap& environment) {
    std::vector<std::string> entries;
    for (const auto& [name, value] : environment) {
        entries.push_back(fmt::format("{}={}", name, value));
    }
    return entries;
}

}  // namespace

EngineProcess::EngineProcess(asio::io_context& loop, Callbacks callbacks)
    : callbacks_(std::move(callbacks)), text_(loop), exit_(loop) {}

Result<std::unique_ptr<EngineProcess>> EngineProcess::start(asio::io_context& loop,
                                                            const Options& options,
                                                            Callbacks callbacks) {
    int lifeline[2];
    int text[2];
    if (::pipe2(lifeline, O_CLOEXEC) != 0) {
        return system_error(errno, "make a pipe", options.guard_path);
    }
    const UniqueFd lifeline_end(lifeline[0]);
    UniqueFd lifeline_ours(lifeline[1]);
    if (::pipe2(text, O_CLOEXEC) != 0) {
        return system_error(errno, "make a pipe", options.guard_path);
    }
    UniqueFd text_ours(text[0]);
    const UniqueFd text_end(text[1]);

    SpawnPlan plan;
    plan.read_null();
    plan.redirect(text_end.get(), STDOUT_FILENO);
    plan.redirect(text_end.get(), STDERR_FILENO);
    plan.inherit(lifeline_end.get());
    for (const int fd : options.keep_open) {
        plan.inherit(fd);
    }
    pid_t pid = -1;
    const int error =
        plan.spawn(guard_arguments(options, lifeline_end.get()), flatten(options.environment), pid);
    if (error != 0) {
        return system_error(error, "start", options.guard_path);
    }
    std::unique_ptr<EngineProcess> process(new EngineProcess(loop, std::move(callbacks)));
    process->pid_ = pid;
    process->lifeline_ = std::move(lifeline_ours);
    process->text_.assign(text_ours.release());
    process->exit_.assign(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    process->read_text();
    process->await_exit();
    return process;
}

EngineProcess::~EngineProcess() {
    boost::system::error_code ignored;
    text_.close(ignored);
    exit_.close(ignored);
}

void EngineProcess::read_text() {
    text_.async_read_some(
        asio::buffer(buffer_), [this](boost::system::error_code error, std::size_t count) {
            if (error) {
                return;  // also when this object is being destroyed: nothing of it is touched
            }
            callbacks_.on_text({buffer_.data(), count});
            read_text();
        });
}

void EngineProcess::await_exit() {
    exit_.async_wait(asio::posix::descriptor_base::wait_read,
                     [this](boost::system::error_code error) {
                         if (error) {
                             return;
                         }
                         int status = 0;
                         ::waitpid(pid_, &status, WNOHANG);
                         running_ = false;
                         callbacks_.on_exit(status);
                     });
}

void EngineProcess::kill_guard() {
    if (running_) {
        ::kill(pid_, SIGKILL);
    }
}

}  // namespace mpitrain
