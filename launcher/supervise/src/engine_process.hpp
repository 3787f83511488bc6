#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/engine/engine.hpp"
#include "mpitrain/supervise/unique_fd.hpp"

namespace mpitrain {

// A running engine under its guard: `mpitrain-rank --guard -- mpirun …`. The guard ends the engine
// and every descendant, and removes the attempt's directories, as soon as cut() is called or this
// process is gone, however it went. Loop-only.
class EngineProcess {
  public:
    struct Options {
        std::string guard_path;
        EngineCommand command;
        EnvironmentMap environment;       // complete
        std::vector<std::string> remove;  // directories that the guard removes at the end
        std::vector<int> keep_open;       // descriptors the guard holds: the slot locks
    };
    struct Callbacks {
        std::function<void(std::string_view)> on_text;  // what the engine printed
        std::function<void(int wait_status)> on_exit;   // the guard is gone, and everything with it
    };
    // Errors: resource_exhausted, io (fork), not_found (guard).
    static Result<std::unique_ptr<EngineProcess>> start(boost::asio::io_context& loop,
                                                        const Options& options,
                                                        Callbacks callbacks);
    ~EngineProcess();
    EngineProcess(const EngineProcess&) = delete;
    EngineProcess& operator=(const EngineProcess&) = delete;

    void cut() { lifeline_.reset(); }
    void kill_guard();  // the last resort, when the guard itself does not end
    [[nodiscard]] bool running() const { return running_; }
    [[nodiscard]] int pid() const { return pid_; }

  private:
    EngineProcess(boost::asio::io_context& loop, Callbacks callbacks);
    void read_text();
    void await_exit();

    Callbacks callbacks_;
    int pid_ = -1;
    bool running_ = true;
    UniqueFd lifeline_;  // the guard reads the other end; nobody ever writes
    boost::asio::posix::stream_descriptor text_;
    boost::asio::posix::stream_descriptor exit_;  // a pidfd
    std::array<char, 4096> buffer_{};
};

}  // namespace mpitrain
