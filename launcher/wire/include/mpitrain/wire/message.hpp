#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "mpitrain/base/result.hpp"

// What a rank's agent and its supervisor say to each other, over one stream socket an agent.
//
//   agent                            supervisor
//     Hello ────────────────────────▶           the gang is complete when every rank said it
//           ◀──────────────────────── Start     all ranks at once, or none
//     Started, Output*, Progress*, Activity*, Commit*, SaveFailed* ─▶
//           ◀──────────────────────── Credit*   how many more bytes of output may be sent
//           ◀──────────────────────── StopPrepare, StopDecide | Terminate | Signal
//           ◀──────────────────────── Input     standard input, a window at a time:
//     Credit ───────────────────────▶           the program has taken so many bytes of it
//           ◀──────────────────────── Inspect   answered by Inspected, whatever the program does
//     Ended ────────────────────────▶           the truth about the program; output may follow
//     Drained ──────────────────────▶           all of its output was sent
//           ◀──────────────────────── Release   only now may the agent exit, so the engine never
//                                               sees a failure, nor starts its own kill sequence
//
// A line of output may be 64 KiB long and needs its whole length in credit, so the supervisor's
// window must be at least that, and grow again by all that it has taken.
//
// Where a network lies between the two, both also say Ping all the time, and a silence that lasts
// too long is a lost connection.
//
// A lost connection means, to the agent: the supervisor is gone, end the program and leave nothing.
// To the supervisor: the agent is gone; its guard reports with Hello{guard=true} + Ended.
namespace mpitrain::wire {

constexpr std::uint32_t protocol_version = 2;
constexpr std::uint32_t frame_bytes_max = 32U << 20U;

using Text = std::string;

// --- agent to supervisor ---
struct Hello {
    std::uint32_t version = protocol_version;
    std::int32_t rank = 0;
    bool guard = false;  // sent by the outer process after its agent died
    Text host;
    std::int32_t pid = 0;
    std::uint16_t held_port =
        0;  // rank 0 only: a TCP port that the agent keeps bound for the program
};
struct Started {
    std::int32_t pid = 0;
    std::int64_t time_ns = 0;  // CLOCK_REALTIME, as every time here
};
enum class Stream : std::uint8_t { out, err };
struct Output {  // whole lines only; the last one of a program may lack its end
    Stream stream = Stream::out;
    Text bytes;
};
struct Metric {
    Text name;
    double value = 0;
};
struct Progress {
    std::uint64_t step = 0;
    std::uint64_t total = 0;          // 0 = unknown
    std::uint64_t checkpoint_ns = 0;  // time the program said it spent checkpointing, so far
    std::vector<Metric> metrics;
};
struct Commit {
    std::uint64_t step = 0;
    std::int64_t time_ns = 0;
};
struct SaveFailed {  // a checkpoint of this step could not be saved
    std::uint64_t step = 0;
    Text reason;
};
enum class ClientUse : std::uint8_t { none, attached, polls };  // polls: has called should_stop
struct StopPrepared {
    ClientUse use = ClientUse::none;
    std::optional<std::uint64_t> last_answered;  // highest step whose should_stop may have said no
};
struct StopRequested {  // a stop signal reached this rank from outside of mpitrain
    std::int32_t signal = 0;
    std::int32_t sender_pid = 0;
    bool from_engine = false;  // the engine began its kill sequence (SIGCONT from our parent)
};
struct Ended {
    enum class How : std::uint8_t { exited, signaled, not_started, agent_lost };
    How how = How::exited;
    std::int32_t code = 0;  // exit code; errno for not_started
    std::int32_t signal = 0;
    bool core_dumped = false;
    bool out_of_memory = false;
    bool by_us = false;        // a signal we sent (or relayed) ended it
    bool told_stop = false;    // should_stop said yes at least once
    bool engine_gone = false;  // the engine was dead by then: MPI ranks end of that by themselves
    std::int64_t time_ns = 0;
    std::int32_t leftovers = 0;  // descendants that had to be killed afterwards
    Text detail;       // not_started: the failing operation and path; agent_lost: who died
    Text stderr_tail;  // last 4 KiB
    Text error_file;   // content of TORCHELASTIC_ERROR_FILE, at most 64 KiB
};
struct Drained {};
struct Operation {  // one collective of the flight recorder (mpitrain/recorder/operation_page.hpp)
    std::uint64_t begun_ns = 0;  // CLOCK_MONOTONIC of that machine
    std::uint64_t ended_ns = 0;  // 0 = it has not returned
    std::uint64_t group = 0;
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    std::uint32_t kind = 0;
    std::uint32_t shape = 0;
    std::int32_t root = -1;
    std::uint32_t ranks = 0;
};
struct Activity {                  // the program's collectives go on
    std::uint64_t operations = 0;  // begun so far
    std::uint64_t spent_ns = 0;    // in those that have ended
};
struct Inspected {  // the answer to Inspect
    Text state;     // of the program as the kernel has it: "R", "S", "D", "T" …; empty = gone
    std::uint64_t now_ns = 0;           // CLOCK_MONOTONIC of that machine
    std::vector<Operation> operations;  // the last ones, oldest first
    Text threads;                       // a line each: what the kernel says it is doing
    Text stacks;  // of its threads, where its recorder could say: lines for people
};

// --- supervisor to agent ---
struct EnvironmentEntry {
    Text name;
    Text value;
};
struct SlotLock {  // a file of the machine-wide slot registry
    Text path;
    bool shared = false;
};
struct Start {
    std::vector<Text> command;
    std::vector<EnvironmentEntry>
        env;  // complete but for what the engine gave the agent (OMPI_* PMIX_* …)
    Text workdir;
    Text cpus;      // kernel list format; empty = do not pin
    Text out_path;  // per-rank files; created by the agent. Empty = the supervisor keeps them, so
    Text err_path;  // all output is sent
    std::vector<SlotLock> locks;  // taken first, and held as long as anything of it runs
    Text control_path;            // control page to create, see client/control_page.hpp
    bool forward = true;          // send Output
    bool pty = false;
    std::uint16_t rows = 0;
    std::uint16_t columns = 0;
    bool input = false;  // the program's standard input comes as Input messages; else /dev/null
};
struct Credit {  // either way: supervisor for Output, agent for Input
    std::uint64_t bytes = 0;
};
struct StopPrepare {};
struct StopDecide {
    std::uint64_t step = 0;    // should_stop(s) is true from this step on
    std::int64_t left_ns = 0;  // until the program will be killed
};
struct Terminate {
    std::int32_t signal = 0;    // first this
    std::int64_t grace_ns = 0;  // then, after this long, SIGKILL to everything left
};
struct Signal {
    std::int32_t signal = 0;
};
struct Input {
    Text bytes;
    bool end = false;
};
struct WindowSize {
    std::uint16_t rows = 0;
    std::uint16_t columns = 0;
};
struct Release {};
// Either way, now and again: "I hear you". The agent answers each of the supervisor's.
struct Ping {
    // From the supervisor: an agent that hears nothing for so long must end its program, since the
    // ranks may by then be started elsewhere. 0 = it may wait for ever.
    std::int64_t silence_ns = 0;
    std::int64_t time_ns = 0;  // the sender's CLOCK_REALTIME: clocks of machines differ
};
struct Inspect {};  // look at the program as it is now, and say what it does

using Message = std::variant<Hello,
                             Started,
                             Output,
                             Progress,
                             Commit,
                             StopPrepared,
                             StopRequested,
                             Ended,
                             Drained,
                             Start,
                             Credit,
                             StopPrepare,
                             StopDecide,
                             Terminate,
                             Signal,
                             Input,
                             WindowSize,
                             Release,
                             Activity,
                             Inspect,
                             Inspected,
                             SaveFailed,
                             Ping>;

// A frame: little-endian uint32 body length, one byte type (the variant's index), body. Integers
// little-endian, booleans one byte, texts and lists a uint32 count first.
std::string encode(const Message& message);

// Collects bytes as they come and gives out messages as they complete. Not thread-safe.
class Decoder {
  public:
    void append(const char* bytes, std::size_t count);
    // The next whole message; nullopt when more bytes are needed.
    // Errors: data_loss (unknown type, wrong body, a frame over frame_bytes_max): the connection
    // must be dropped.
    Result<std::optional<Message>> next();

  private:
    std::string buffer_;
    std::size_t consumed_ = 0;
};

}  // namespace mpitrain::wire
