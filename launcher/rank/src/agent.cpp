#include "agent.hpp"

#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>

#include "sight.hpp"
#include "slot_locks.hpp"
#include "stacks.hpp"
#include "text_file.hpp"

namespace mpitrain::rank {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto start_limit = seconds(60);
constexpr auto cleaning_limit = seconds(2);
constexpr auto orphan_grace = milliseconds(500);  // after SIGTERM, when the supervisor is gone
constexpr auto farewell_limit = seconds(1);
constexpr auto tick_attached = milliseconds(250);
constexpr auto tick_idle = seconds(1);
constexpr auto inspection_limit = milliseconds(600);  // the supervisor waits for a second
constexpr auto inspection_period = milliseconds(10);
constexpr std::size_t error_file_bytes_max = 64U << 10U;

std::string host_name() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

bool asks_to_stop(int signal) {
    return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT;
}

wire::Ended ended_now(wire::Ended::How how, int code, std::string detail) {
    wire::Ended ended;
    ended.how = how;
    ended.code = code;
    ended.time_ns = realtime_ns();
    ended.detail = std::move(detail);
    return ended;
}

// A killed engine closes its connections a moment before it counts as dead, and an MPI rank that is
// woken by that may be over before the engine is.
std::chrono::milliseconds dying_engine_limit(const wire::Ended& ended) {
    const bool may_want_engine =
        !ended.by_us && ended.how == wire::Ended::How::exited && ended.code != 0;
    return std::chrono::milliseconds(may_want_engine ? 25 : 0);
}

}  // namespace

Agent::Agent(
    RankOptions options, UniqueFd link, UniqueFd signals, SharedFacts& facts, Connection connection)
    : options_(std::move(options)),
      link_(std::move(link)),
      signals_(std::move(signals)),
      facts_(facts),
      engine_(open_pidfd(options_.engine)),
      connection_(std::move(connection)),
      start_deadline_(Clock::now() + start_limit) {}

int Agent::run() {
    say_hello();
    while (!over()) {
        wait_and_dispatch();
        on_time();
        if (output_) {
            output_->forward(connection_, credit_);
        }
        // Before Drained: whoever heard that must not hear of this end again, from the guard.
        if (state_ == State::ended && connection_.unsent() == 0) {
            facts_.ended_sent = true;
        }
        if (facts_.ended_sent && !drained_told_ && (!output_ || output_->drained())) {
            drained_told_ = true;
            connection_.send(wire::Drained{});
        }
        if (connection_.lost() && !connection_lost_seen_) {
            on_connection_lost();
        }
    }
    if (output_) {
        output_->seal();
    }
    connection_.flush_until(Clock::now() + farewell_limit);
    return 0;
}

void Agent::say_hello() {
    wire::Hello hello;
    hello.rank = options_.rank;
    hello.host = host_name();
    hello.pid = ::getpid();
    if (options_.rank == 0) {
        port_ = HeldPort::hold();
        hello.held_port = port_.number();
    }
    connection_.send(hello);
}

bool Agent::over() const {
    if (state_ == State::running) {
        return false;
    }
    const bool patient = state_ == State::ended || Clock::now() < *start_deadline_;
    return released_ || connection_.lost() || !patient;
}

Deadline Agent::next_deadline() const {
    Deadline next;
    for (const Deadline& deadline : {state_ == State::waiting ? start_deadline_ : Deadline(),
                                     kill_deadline_,
                                     tick_,
                                     inspection_look_,
                                     silence_deadline()}) {
        if (deadline && (!next || *deadline < *next)) {
            next = deadline;
        }
    }
    return next;
}

Deadline Agent::silence_deadline() const {
    const bool watched = silence_.count() > 0 && !connection_.lost();
    return watched ? Deadline(connection_.heard() + silence_) : Deadline();
}

void Agent::wait_and_dispatch() {
    // poll(2) skips negative descriptors: a source that has ended simply stays silent.
    const bool to_send = connection_.unsent() > 0;
    std::array<pollfd, 6> sources = {{
        {signals_.get(), POLLIN, 0},
        {link_.get(), POLLIN, 0},
        {connection_.fd(), static_cast<short>(to_send ? POLLIN | POLLOUT : POLLIN), 0},
        {output_ ? output_->fd(wire::Stream::out) : -1, POLLIN, 0},
        {output_ ? output_->fd(wire::Stream::err) : -1, POLLIN, 0},
        {input_.empty() ? -1 : program_.in.get(), POLLOUT, 0},
    }};
    if (::poll(sources.data(), sources.size(), poll_timeout(next_deadline())) <= 0) {
        return;
    }
    if (sources[3].revents != 0) {
        output_->read_some(wire::Stream::out);
    }
    if (sources[4].revents != 0) {
        output_->read_some(wire::Stream::err);
    }
    if (sources[5].revents != 0) {
        write_input();
    }
    if (sources[2].revents != 0) {
        connection_.flush();
        connection_.receive();
        while (const auto message = connection_.next()) {
            on_message(*message);
        }
    }
    if (sources[1].revents != 0) {
        on_link();
    }
    if (sources[0].revents != 0) {
        while (const auto caught = next_signal(signals_)) {
            on_signal(*caught);
        }
    }
}

void Agent::on_link() {
    GuardNews news;
    const ssize_t count = retry([&] { return ::read(link_.get(), &news, sizeof news); });
    if (count == static_cast<ssize_t>(sizeof news) && news.kind == GuardNews::Kind::signal) {
        on_signal({news.signal, news.sender});
        return;
    }
    if (count == static_cast<ssize_t>(sizeof news)) {
        lost_ = "the engine process that started this rank died";
    } else {
        link_.reset();
        lost_ = "the guard process of this rank died";
    }
    if (state_ == State::waiting) {
        report(ended_now(wire::Ended::How::agent_lost, 0, lost_));
    }
    kill_all();
}

void Agent::on_signal(const CaughtSignal& caught) {
    const bool from_engine = caught.sender != 0 && caught.sender == options_.engine;
    if (caught.number == SIGCHLD) {
        reap_children([this](const siginfo_t& info) { on_zombie(info); });
        if (end_ && state_ == State::running) {
            finish_program();
        }
    } else if (asks_to_stop(caught.number) || (caught.number == SIGCONT && from_engine)) {
        connection_.send(wire::StopRequested{caught.number, caught.sender, from_engine});
    } else if (caught.number == SIGUSR1 || caught.number == SIGUSR2) {
        signal_program(caught.number);  // a platform's own notice, meant for the program
    }
}

void Agent::on_message(const wire::Message& message) {
    if (const auto* order = std::get_if<wire::Start>(&message)) {
        if (state_ == State::waiting) {
            start(*order);
        }
    } else if (const auto* credit = std::get_if<wire::Credit>(&message)) {
        credit_ += credit->bytes;
    } else if (std::holds_alternative<wire::StopPrepare>(message)) {
        connection_.send(page_ ? page_->prepare_stop() : wire::StopPrepared{});
    } else if (const auto* decision = std::get_if<wire::StopDecide>(&message)) {
        if (page_) {
            page_->decide_stop(decision->step, decision->left_ns);
        }
    } else if (const auto* end = std::get_if<wire::Terminate>(&message)) {
        terminate(end->signal, std::chrono::nanoseconds(end->grace_ns));
    } else if (const auto* relayed = std::get_if<wire::Signal>(&message)) {
        // Nobody is above the program's session to continue it, so the kernel ignores a SIGTSTP
        // there.
        signal_program(relayed->signal == SIGTSTP ? SIGSTOP : relayed->signal);
    } else if (const auto* input = std::get_if<wire::Input>(&message)) {
        take_input(*input);
    } else if (const auto* size = std::get_if<wire::WindowSize>(&message)) {
        if (program_.out_is_terminal && output_) {
            const winsize window{size->rows, size->columns, 0, 0};
            ::ioctl(output_->fd(wire::Stream::out), TIOCSWINSZ, &window);
        }
    } else if (const auto* ping = std::get_if<wire::Ping>(&message)) {
        silence_ = std::chrono::nanoseconds(ping->silence_ns);
        connection_.send(wire::Ping{0, realtime_ns()});
    } else if (std::holds_alternative<wire::Inspect>(message)) {
        begin_inspection();
    } else if (std::holds_alternative<wire::Release>(message)) {
        released_ = true;
        if (state_ == State::running) {
            kill_all();
        }
    }
}

void Agent::on_connection_lost() {
    connection_lost_seen_ = true;
    terminate(SIGTERM, orphan_grace);
}

// Cut off: the supervisor may have taken us for lost, and started the ranks elsewhere. What we run
// must not live on beside them.
void Agent::on_silence() {
    connection_.lose();
    connection_lost_seen_ = true;
    lost_ = "nothing was heard of the supervisor any more";
    kill_all();
}

void Agent::on_time() {
    const TimePoint now = Clock::now();
    if (const Deadline silent = silence_deadline(); silent && now >= *silent) {
        on_silence();
    }
    if (kill_deadline_ && now >= *kill_deadline_) {
        kill_all();
    }
    if (inspection_look_ && now >= *inspection_look_) {
        if (page_->stacks_written() >= stacks_awaited_ || now >= *inspection_end_) {
            finish_inspection();
        } else {
            inspection_look_ = now + inspection_period;
        }
    }
    if (tick_ && now >= *tick_) {
        pass_news();
        if (oom_.needs_ticks()) {
            oom_.tick(program_.pid);
        }
        const bool attached = page_ && (page_->use() != wire::ClientUse::none || page_->records());
        tick_ = now + (attached ? tick_attached : milliseconds(tick_idle));
    }
}

void Agent::pass_news() {
    if (page_) {
        for (const wire::Message& news : page_->news()) {
            connection_.send(news);
        }
    }
}

// A program may be started by a shell; who notes its collectives is the one to look at.
pid_t Agent::inspected() const {
    const pid_t noted = page_ ? page_->recorder() : 0;
    return noted != 0 ? noted : program_.pid;
}

void Agent::begin_inspection() {
    stacks_awaited_ = 0;
    int asked = 0;
    if (page_ && state_ == State::running) {
        static_cast<void>(page_->take_stacks());
        stacks_awaited_ = page_->stacks_written();
        asked = ask_for_stacks(inspected(), page_->stacks_signal());
    }
    if (asked == 0) {
        return finish_inspection();
    }
    stacks_awaited_ += static_cast<std::uint64_t>(asked);
    inspection_look_ = Clock::now() + inspection_period;
    inspection_end_ = Clock::now() + inspection_limit;
}

void Agent::finish_inspection() {
    inspection_look_.reset();
    inspection_end_.reset();
    auto seen = look_at_process(inspected());
    if (page_) {
        seen.operations = page_->operations();
        seen.stacks = page_->take_stacks();
    }
    connection_.send(std::move(seen));
}

// Where the supervisor keeps the files, ours have no name and are only queues.
tl::expected<UniqueFd, StartFailure> Agent::output_file(const std::string& path) const {
    if (!path.empty()) {
        return create_output_file(path);
    }
    const std::string place = options_.directories.empty() ? "/tmp" : options_.directories.front();
    return create_nameless_file(place);
}

void Agent::start(const wire::Start& order) {
    auto locks = take_slot_locks(order.locks);
    if (!locks) {
        return start_failed(EBUSY, locks.error().text());
    }
    locks_ = *std::move(locks);
    auto out_file = output_file(order.out_path);
    auto err_file = out_file ? output_file(order.err_path) : tl::unexpected(StartFailure());
    if (!out_file || !err_file) {
        const StartFailure& failure = out_file ? err_file.error() : out_file.error();
        return start_failed(failure.error, failure.detail);
    }
    if (!order.control_path.empty()) {
        page_ = ControlFile::create(order.control_path, ::getpid());
        if (!page_) {
            const int error = errno;
            return start_failed(error, system_error(error, "create", order.control_path).text());
        }
    }
    const std::vector<std::string> environment = program_environment(order, environ);
    auto started = start_program(order, environment);
    if (!started) {
        return start_failed(started.error().error, started.error().detail);
    }
    program_ = *std::move(started);
    facts_.program = program_.pid;
    error_file_ = environment_value(environment, "TORCHELASTIC_ERROR_FILE");
    if (!error_file_.empty() && error_file_.front() != '/') {
        error_file_.insert(0, order.workdir + "/");
    }
    output_ = std::make_unique<OutputPump>(
        OutputPump::Ends{std::move(program_.out), *std::move(out_file)},
        OutputPump::Ends{std::move(program_.err), *std::move(err_file)},
        order.out_path.empty() ? OutputQueue::Taken::is_freed : OutputQueue::Taken::stays,
        order.forward);
    state_ = State::running;
    if (page_ || oom_.needs_ticks()) {
        tick_ = Clock::now() + tick_attached;
    }
    connection_.send(wire::Started{program_.pid, realtime_ns()});
}

void Agent::start_failed(int error, std::string detail) {
    page_.reset();
    report(ended_now(wire::Ended::How::not_started, error, std::move(detail)));
}

void Agent::report(wire::Ended ended) {
    state_ = State::ended;
    kill_deadline_.reset();
    tick_.reset();
    port_ = HeldPort();
    connection_.send(std::move(ended));
}

void Agent::take_input(const wire::Input& input) {
    if (!program_.in) {  // nobody reads it any more: let it flow away
        connection_.send(wire::Credit{input.bytes.size()});
        return;
    }
    input_ += input.bytes;
    input_ended_ = input.end;
    write_input();
}

void Agent::write_input() {
    while (!input_.empty()) {
        const ssize_t count =
            retry([&] { return ::write(program_.in.get(), input_.data(), input_.size()); });
        if (count < 0 && errno == EAGAIN) {
            return;
        }
        if (count < 0) {  // it does not read any more
            connection_.send(wire::Credit{input_.size()});
            input_.clear();
            input_ended_ = true;
            break;
        }
        input_.erase(0, static_cast<std::size_t>(count));
        connection_.send(wire::Credit{static_cast<std::uint64_t>(count)});
    }
    if (input_ended_) {
        program_.in.reset();
    }
}

void Agent::signal_program(int number) {
    if (state_ != State::running || number <= 0 || number >= NSIG) {
        return;
    }
    signals_sent_ |= std::uint64_t{1} << static_cast<unsigned>(number);
    ::kill(-program_.pid, number);
    for (const ProcessStat& process :
         all_processes()) {  // its session's other groups: a shell's jobs
        if (process.session == program_.pid && process.group != program_.pid) {
            ::kill(process.pid, number);
        }
    }
}

void Agent::terminate(int number, std::chrono::nanoseconds grace) {
    if (state_ == State::waiting) {
        return start_failed(ECANCELED, "stopped before it was started");
    }
    if (state_ != State::running) {
        return;
    }
    signal_program(number);
    signal_program(SIGCONT);  // a stopped process acts on nothing else
    const TimePoint deadline = Clock::now() + std::max(grace, std::chrono::nanoseconds(0));
    kill_deadline_ = std::min(kill_deadline_.value_or(deadline), deadline);
}

void Agent::kill_all() {
    if (state_ != State::running) {
        return;
    }
    signals_sent_ |= std::uint64_t{1} << SIGKILL;
    const int killed = kill_descendants(Clock::now() + cleaning_limit,
                                        [this](const siginfo_t& info) { on_zombie(info); });
    leftovers_ += std::max(0, killed - 1);  // the program itself is none
    if (end_) {
        finish_program();
    } else {
        kill_deadline_ = Clock::now() + seconds(1);  // stuck in the kernel; try again
    }
}

void Agent::on_zombie(const siginfo_t& info) {
    if (info.si_pid != program_.pid || state_ != State::running) {
        return;
    }
    end_.emplace();
    end_->time_ns = realtime_ns();
    if (info.si_code == CLD_EXITED) {
        end_->how = wire::Ended::How::exited;
        end_->code = info.si_status;
        return;
    }
    end_->how = wire::Ended::How::signaled;
    end_->signal = info.si_status;
    end_->core_dumped = info.si_code == CLD_DUMPED;
    end_->by_us = ((signals_sent_ >> static_cast<unsigned>(info.si_status)) & 1U) != 0;
    end_->out_of_memory = info.si_status == SIGKILL && !end_->by_us && oom_.killed(program_.pid);
}

void Agent::finish_program() {
    leftovers_ += kill_descendants(Clock::now() + cleaning_limit, [](const siginfo_t&) {});
    output_->finish();
    pass_news();
    program_.in.reset();
    input_.clear();
    end_->leftovers = leftovers_;
    end_->stderr_tail = output_->err_tail();
    end_->told_stop = page_ && page_->told_stop();
    end_->engine_gone = has_ended(engine_, dying_engine_limit(*end_));
    if (!error_file_.empty()) {
        end_->error_file = read_file(error_file_, error_file_bytes_max).value_or("");
    }
    if (!lost_.empty() && end_->by_us) {
        end_->how = wire::Ended::How::agent_lost;
        end_->detail = lost_;
    }
    report(*std::move(end_));
    end_.reset();
}

}  // namespace mpitrain::rank
