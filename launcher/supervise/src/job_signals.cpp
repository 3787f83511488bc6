#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <csignal>
#include <cstring>

#include "job.hpp"
#include "mpitrain/base/duration.hpp"
#include "window.hpp"

// What reaches a job from outside: signals, the clock, its standard input.
namespace mpitrain {

namespace asio = boost::asio;
using namespace std::chrono_literals;

void Job::await_signal() {
    signals_.async_wait([this](boost::system::error_code error, int signal) {
        if (error) {
            return;
        }
        on_signal(signal);
        await_signal();
    });
}

void Job::on_signal(int signal) {
    switch (signal) {
        case SIGINT:
        case SIGTERM:
        case SIGHUP: {
            constexpr std::int64_t force_within_ns = 2'000'000'000;
            const bool forced =
                signal == SIGINT && monotonic_ns() - last_interrupt_ns_ < force_within_ns;
            if (signal == SIGINT) {
                last_interrupt_ns_ = monotonic_ns();
            }
            request_stop({.signal = signal}, forced ? 0ns : request_.spec.stop_grace);
            break;
        }
        case SIGWINCH: {
            const winsize size = window_size();
            if (attempt_) {
                attempt_->resize(size.ws_row, size.ws_col);
            }
            break;
        }
        case SIGTSTP:
            suspend_with_ranks();
            break;
        default:  // USR1, USR2, CONT are the program's business
            if (attempt_) {
                attempt_->signal_ranks(signal);
            }
            break;
    }
}

// ^Z: the ranks stop first, then we do, as the shell expects. CONT comes back through on_signal.
void Job::suspend_with_ranks() {
    if (attempt_) {
        attempt_->signal_ranks(SIGTSTP);
        attempt_->announce_silence();
    }
    auto delay =
        std::make_shared<asio::steady_timer>(loop_, 50ms);  // until the agents have passed it on
    delay->async_wait([delay](boost::system::error_code) { ::raise(SIGSTOP); });
}

void Job::request_stop(StopReason reason, Nanoseconds grace) {
    if (!stop_) {
        stop_ = reason;
        const std::string why = reason.signal == 0
                                    ? std::string("the time limit")
                                    : fmt::format("signal {}", describe_signal(reason.signal));
        events_.emit(
            "stop.requested",
            {.attempt = attempt_number_,
             .more = {{"reason", why}, {"grace_s", std::chrono::duration<double>(grace).count()}}});
        say(fmt::format("mpitrain: stopping on {}, at most {} from now{}\n",
                        why,
                        format_duration(grace),
                        reason.signal == SIGINT ? "; ^C again within 2s forces it" : ""));
    }
    if (attempt_) {
        attempt_->stop(grace);
    }
}

void Job::start_clock() {
    if (request_.spec.time_limit) {
        time_limit_.expires_after(
            std::chrono::duration_cast<asio::steady_timer::duration>(*request_.spec.time_limit));
        time_limit_.async_wait([this](boost::system::error_code error) {
            if (!error) {
                request_stop({.signal = 0}, request_.spec.stop_grace);
            }
        });
    }
    tick();
}

void Job::tick() {
    ticker_.expires_after(250ms);
    ticker_.async_wait([this](boost::system::error_code error) {
        if (!error) {
            look_for_stragglers();
            terminal_.set_status(progress_.text(monotonic_ns(), window_size().ws_col));
            if (const auto stuck = hang_.stuck(monotonic_ns()); stuck && attempt_ && !stop_) {
                attempt_->give_up_on(*stuck, Nanoseconds(hang_.limit_ns()));
            }
            tick();
        }
    });
}

// A thread of its own, since a terminal, a pipe and a file can each block or not be waited for. It
// ends with the process.
void Job::read_input() {
    input_window_ = std::make_shared<InputWindow>();
    std::thread([this, window = input_window_] {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, nullptr);
        char buffer[16 * 1024];
        for (bool end = false; !end;) {
            const ssize_t count = ::read(STDIN_FILENO, buffer, sizeof buffer);
            end = count <= 0;
            std::string bytes(buffer, end ? 0 : static_cast<std::size_t>(count));
            window->wait_for_room(bytes.size());
            asio::post(loop_, [this, bytes = std::move(bytes), end]() mutable {
                if (attempt_) {
                    attempt_->input(std::move(bytes), end);
                }
            });
        }
    }).detach();
}

void Job::on_input_taken(std::size_t bytes) {
    if (input_window_) {
        input_window_->taken(bytes);
    }
}

}  // namespace mpitrain
