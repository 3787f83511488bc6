#include "terminal_output.hpp"

#include <pthread.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>

namespace mpitrain {
namespace {

constexpr std::string_view erase_line = "\r\033[K";

}  // namespace

TerminalOutput::TerminalOutput(Options options) : options_(options) {
    thread_ = std::thread([this] { run(); });
}

TerminalOutput::~TerminalOutput() {
    constexpr int last_patience_ms = 200;
    set_status("");
    const bool all_out = flush(last_patience_ms);
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
        queue_.clear();
    }
    wake_.notify_one();
    if (all_out) {
        thread_.join();
    } else {
        thread_.detach();  // blocked in write(2); the process is about to exit
    }
}

void TerminalOutput::write(Sink sink, std::string text, std::function<void()> written) {
    {
        const std::lock_guard lock(mutex_);
        queue_.push_back({sink, std::move(text), std::move(written)});
    }
    wake_.notify_one();
}

void TerminalOutput::set_status(std::string line) {
    if (!options_.status_line) {
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        status_ = std::move(line);
        status_changed_ = true;
    }
    wake_.notify_one();
}

bool TerminalOutput::flush(int patience_ms) {
    std::unique_lock lock(mutex_);
    const auto idle = [this] { return queue_.empty() && !writing_ && !status_changed_; };
    while (!idle()) {
        const std::uint64_t before = bytes_written_;
        const bool moved = moved_.wait_for(lock, std::chrono::milliseconds(patience_ms), [&] {
            return idle() || bytes_written_ != before;
        });
        if (!moved) {
            return false;
        }
    }
    return true;
}

void TerminalOutput::run() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);  // signals are the main thread's
    bool status_shown = false;
    std::unique_lock lock(mutex_);
    while (true) {
        wake_.wait(lock, [this] { return closing_ || !queue_.empty() || status_changed_; });
        if (closing_) {
            return;
        }
        std::deque<Piece> pieces = std::move(queue_);
        queue_.clear();
        const std::string status = status_;
        status_changed_ = false;
        writing_ = true;
        lock.unlock();
        if (status_shown) {
            write_piece({Sink::err, std::string(erase_line), nullptr});
        }
        for (const Piece& piece : pieces) {
            write_piece(piece);
            if (piece.written) {
                piece.written();
            }
        }
        status_shown = !status.empty();
        if (status_shown) {
            write_piece({Sink::err, status, nullptr});
        }
        lock.lock();
        writing_ = false;
        moved_.notify_all();
    }
}

void TerminalOutput::write_piece(const Piece& piece) {
    const int fd = piece.sink == Sink::out ? STDOUT_FILENO : STDERR_FILENO;
    bool& closed = closed_[piece.sink == Sink::out ? 0 : 1];
    std::size_t done = 0;
    while (!closed && done < piece.text.size()) {
        const ssize_t count = ::write(fd, piece.text.data() + done, piece.text.size() - done);
        if (count < 0 && errno != EINTR && errno != EAGAIN) {
            closed = true;  // EPIPE or EIO: nobody reads any more; the per-rank files go on
        }
        if (count > 0) {
            done += static_cast<std::size_t>(count);
            const std::lock_guard lock(mutex_);
            bytes_written_ += static_cast<std::uint64_t>(count);
            moved_.notify_all();
        }
    }
}

}  // namespace mpitrain
