#pragma once

#include <memory>
#include <string>

#include "connection.hpp"
#include "control_file.hpp"
#include "held_port.hpp"
#include "link.hpp"
#include "oom_watch.hpp"
#include "output_pump.hpp"
#include "process_tree.hpp"
#include "program.hpp"

namespace mpitrain::rank {

// The agent proper: parent of one user's program, for one attempt. Reports to the supervisor, obeys
// it, and leaves nothing behind, whoever dies first. A child subreaper, single-threaded, one poll
// loop.
//
//   waiting --Start--> running --program ended, leftovers killed, output read--> ended --Release-->
//   over
//
// A lost supervisor, guard or engine ends the program from every state.
class Agent {
  public:
    Agent(RankOptions options,
          UniqueFd link,
          UniqueFd signals,
          SharedFacts& facts,
          Connection connection);

    // Lives until all is over. Returns the exit status: always 0, so that the engine never sees a
    // failure.
    int run();
    // Whether our guard died first, so that what it would have tidied up is ours to do.
    [[nodiscard]] bool guard_is_lost() const { return !link_; }

  private:
    enum class State { waiting, running, ended };

    void say_hello();
    void wait_and_dispatch();
    [[nodiscard]] Deadline next_deadline() const;
    [[nodiscard]] bool over() const;
    [[nodiscard]] Deadline silence_deadline() const;
    [[nodiscard]] tl::expected<UniqueFd, StartFailure> output_file(const std::string& path) const;

    void on_link();
    void on_signal(const CaughtSignal& caught);
    void on_message(const wire::Message& message);
    void on_connection_lost();
    void on_silence();
    void on_time();

    void start(const wire::Start& order);
    void start_failed(int error, std::string detail);
    void signal_program(int number);
    void terminate(int number, std::chrono::nanoseconds grace);
    void kill_all();
    void on_zombie(const siginfo_t& info);
    void finish_program();
    void report(wire::Ended ended);
    void take_input(const wire::Input& input);
    void write_input();
    void pass_news();
    // Asks the program for its stacks, and answers when they are there, or soon in any case.
    void begin_inspection();
    void finish_inspection();
    [[nodiscard]] pid_t inspected() const;

    RankOptions options_;
    UniqueFd link_;
    UniqueFd signals_;
    std::vector<UniqueFd> locks_;
    SharedFacts& facts_;
    UniqueFd engine_;  // a pidfd
    Connection connection_;
    HeldPort port_;
    OomWatch oom_;

    State state_ = State::waiting;
    Program program_;
    std::string error_file_;  // where the program may leave its own account of a failure
    std::unique_ptr<ControlFile> page_;
    std::unique_ptr<OutputPump> output_;
    std::uint64_t credit_ = 0;  // bytes of output that the supervisor will still take
    std::string input_;
    bool input_ended_ = false;
    std::uint64_t signals_sent_ = 0;  // bit n: we have sent signal n
    int leftovers_ = 0;
    std::optional<wire::Ended> end_;  // set when the program is dead
    std::string lost_;                // what was lost, when that is why the program is ended
    bool drained_told_ = false;
    bool connection_lost_seen_ = false;
    bool released_ = false;
    Deadline start_deadline_;
    Deadline kill_deadline_;
    Deadline tick_;
    Deadline inspection_end_;  // while one goes on
    Deadline inspection_look_;
    std::uint64_t stacks_awaited_ = 0;
    std::chrono::nanoseconds silence_{};  // of the supervisor, that we live through; 0 = any
};

}  // namespace mpitrain::rank
