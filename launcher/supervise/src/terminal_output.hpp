#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace mpitrain {

// Writes to our standard output and error from a thread of its own, because a full pipe or a
// stopped terminal may block for ever and must never hold up supervision (and O_NONBLOCK would leak
// into every process that shares the terminal). Below the lines it keeps one status line, where
// standard error is a terminal. Thread-safe.
class TerminalOutput {
  public:
    enum class Sink : std::uint8_t { out, err };
    struct Options {
        bool status_line = false;  // standard error is a terminal and people watch
    };

    explicit TerminalOutput(Options options);
    // Gives up on what cannot be written within `flush()`'s deadline; a blocked write is left to
    // process exit.
    ~TerminalOutput();
    TerminalOutput(const TerminalOutput&) = delete;
    TerminalOutput& operator=(const TerminalOutput&) = delete;

    // Queues whole lines. `written` runs on the writer's thread once they are out, or the sink
    // turned out to be closed. Whoever queues bounds the bytes in flight (the agents' credit); the
    // queue itself does not.
    void write(Sink sink, std::string text, std::function<void()> written = nullptr);
    // Replaces the status line; empty removes it. Only the newest is ever drawn.
    void set_status(std::string line);
    // Waits until all is written, or nothing has moved for `patience_ms`. True if all is out.
    bool flush(int patience_ms);

  private:
    struct Piece {
        Sink sink;
        std::string text;
        std::function<void()> written;
    };
    void run();
    void write_piece(const Piece& piece);

    Options options_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::condition_variable moved_;
    std::deque<Piece> queue_;
    std::string status_;
    bool status_changed_ = false;
    bool writing_ = false;
    bool closing_ = false;
    std::uint64_t bytes_written_ = 0;
    bool closed_[2] = {false, false};  // the reader went away; only the writer's thread uses it
    std::thread thread_;
};

}  // namespace mpitrain
