#include "program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "mpitrain/base/cpu_set.hpp"

namespace mpitrain::rank {
namespace {

// Enough for the bursts that come while the cores are all busy computing. Not 1 MiB: beyond 64 MiB
// for all pipes of one user (pipe-user-pages-soft) the kernel gives each further one a mere two
// pages.
constexpr int pipe_bytes = 256 << 10;
constexpr auto start_limit = std::chrono::seconds(30);

StartFailure failure(int error, std::string_view operation, std::string_view path) {
    return {error, system_error(error, operation, path).text()};
}

// What the child tells when it fails before its program is there.
enum class Step : std::int32_t { session, terminal, pin, directory, execute };
struct ChildFailure {
    Step step;
    std::int32_t error;
};

struct Streams {
    UniqueFd in, out, err;                    // ours
    UniqueFd child_in, child_out, child_err;  // the program's
    bool terminal = false;
};

struct CpuMask {
    std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set{nullptr,
                                                         [](cpu_set_t* mask) { CPU_FREE(mask); }};
    std::size_t bytes = 0;
};

Result<CpuMask> cpu_mask(const std::string& list) {
    MPITRAIN_TRY(const CpuSet cpus, CpuSet::parse(list));
    CpuMask mask;
    if (!cpus.empty()) {
        const auto count = static_cast<std::size_t>(cpus.members().back()) + 1;
        mask.bytes = CPU_ALLOC_SIZE(count);
        mask.set.reset(CPU_ALLOC(count));
        CPU_ZERO_S(mask.bytes, mask.set.get());
        for (const int cpu : cpus.members()) {
            CPU_SET_S(static_cast<std::size_t>(cpu), mask.bytes, mask.set.get());
        }
    }
    return mask;
}

bool make_pipe(UniqueFd& read_end, UniqueFd& write_end) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return false;
    }
    read_end.reset(ends[0]);
    write_end.reset(ends[1]);
    ::fcntl(ends[0], F_SETPIPE_SZ, pipe_bytes);
    return true;
}

void make_non_blocking(const UniqueFd& fd) {
    ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

bool make_terminal(const wire::Start& start, Streams& streams) {
    UniqueFd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0) {
        return false;
    }
    UniqueFd slave(::ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios mode{};
    if (!slave || ::tcgetattr(slave.get(), &mode) != 0) {
        return false;
    }
    ::cfmakeraw(&mode);  // bytes pass unchanged: no "\n" to "\r\n"
    ::tcsetattr(slave.get(), TCSANOW, &mode);
    if (start.rows > 0 && start.columns > 0) {
        const winsize size{start.rows, start.columns, 0, 0};
        ::ioctl(slave.get(), TIOCSWINSZ, &size);
    }
    streams.out = std::move(master);
    streams.child_out = std::move(slave);
    streams.terminal = true;
    return true;
}

tl::expected<Streams, StartFailure> make_streams(const wire::Start& start) {
    Streams streams;
    const bool in_made = start.input
                             ? make_pipe(streams.child_in, streams.in)
                             : (streams.child_in.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
                                static_cast<bool>(streams.child_in));
    // Without a pseudo-terminal (no /dev/pts in some containers) a pipe serves: only the program's
    // buffering differs.
    const bool out_made =
        (start.pty && make_terminal(start, streams)) || make_pipe(streams.out, streams.child_out);
    if (!in_made || !out_made || !make_pipe(streams.err, streams.child_err)) {
        return tl::unexpected(failure(errno, "open the program's standard streams", ""));
    }
    for (const UniqueFd* ours : {&streams.in, &streams.out, &streams.err}) {
        if (*ours) {
            make_non_blocking(*ours);
        }
    }
    return streams;
}

// Runs in the child; returns only on failure.
ChildFailure become_program(const wire::Start& start,
                            const Streams& streams,
                            const CpuMask& cpus,
                            pid_t parent,
                            char* const* arguments) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) {
        ::_exit(1);  // it died before we asked to be told
    }
    if (::setsid() < 0) {
        return {Step::session, errno};
    }
    if (streams.terminal && ::ioctl(streams.child_out.get(), TIOCSCTTY, 0) != 0) {
        return {Step::terminal, errno};
    }
    ::dup2(streams.child_in.get(), STDIN_FILENO);
    ::dup2(streams.child_out.get(), STDOUT_FILENO);
    ::dup2(streams.child_err.get(), STDERR_FILENO);
    if (cpus.set && ::sched_setaffinity(0, cpus.bytes, cpus.set.get()) != 0) {
        return {Step::pin, errno};
    }
    if (!start.workdir.empty() && ::chdir(start.workdir.c_str()) != 0) {
        return {Step::directory, errno};
    }
    reset_signals();
    ::execvp(arguments[0],
             arguments);  // looks along the PATH of `environ`, which is the program's by now
    return {Step::execute, errno};
}

StartFailure describe(const ChildFailure& told, const wire::Start& start) {
    switch (told.step) {
        case Step::session:
            return failure(told.error, "make a session", "");
        case Step::terminal:
            return failure(told.error, "take the terminal", "");
        case Step::pin:
            return failure(told.error, "pin to cpus " + start.cpus, "");
        case Step::directory:
            return failure(told.error, "change the working directory", start.workdir);
        case Step::execute:
            break;
    }
    return failure(told.error, "execute", start.command.front());
}

// Nothing when the program is there: execve(2) has closed the other end without a word.
std::optional<StartFailure> await_execution(const UniqueFd& words, const wire::Start& start) {
    pollfd ready{words.get(), POLLIN, 0};
    const TimePoint deadline = Clock::now() + start_limit;
    if (retry([&] { return ::poll(&ready, 1, poll_timeout(deadline)); }) <= 0) {
        return failure(ETIMEDOUT, "execute", start.command.front());
    }
    ChildFailure told{};
    const ssize_t count = retry([&] { return ::read(words.get(), &told, sizeof told); });
    if (count == static_cast<ssize_t>(sizeof told)) {
        return describe(told, start);
    }
    return std::nullopt;
}

bool is_from_engine(std::string_view variable) {
    constexpr std::array<std::string_view, 6> prefixes = {
        "OMPI_", "PMIX_", "ORTE_", "OPAL_", "PRTE_", "PMI_"};
    return std::ranges::any_of(prefixes,
                               [&](std::string_view p) { return variable.starts_with(p); });
}

}  // namespace

std::vector<char*> exec_list(const std::vector<std::string>& texts) {
    std::vector<char*> list;
    list.reserve(texts.size() + 1);
    for (const std::string& text : texts) {
        list.push_back(const_cast<char*>(text.c_str()));  // execvp's signature is older than const
    }
    list.push_back(nullptr);
    return list;
}

std::vector<std::string> program_environment(const wire::Start& start, const char* const* ours) {
    std::map<std::string, std::string, std::less<>> variables;
    for (const wire::EnvironmentEntry& entry : start.env) {
        variables[entry.name] = entry.value;
    }
    for (; *ours != nullptr; ++ours) {
        const std::string_view text = *ours;
        const std::size_t equals = text.find('=');
        if (equals != std::string_view::npos && is_from_engine(text)) {
            variables[std::string(text.substr(0, equals))] = text.substr(equals + 1);
        }
    }
    variables.erase("MPITRAIN_CONTROL");
    if (!start.control_path.empty()) {
        variables["MPITRAIN_CONTROL"] = start.control_path;
    }
    std::vector<std::string> environment;
    environment.reserve(variables.size());
    for (const auto& [name, value] : variables) {
        environment.emplace_back(name).append("=").append(value);
    }
    return environment;
}

std::string environment_value(const std::vector<std::string>& environment, std::string_view name) {
    for (const std::string& text : environment) {
        if (text.size() > name.size() && text.starts_with(name) && text[name.size()] == '=') {
            return text.substr(name.size() + 1);
        }
    }
    return "";
}

tl::expected<UniqueFd, StartFailure> create_output_file(const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
        ::mkdir(path.substr(0, slash).c_str(), 0777);  // where this fails, so will open
    }
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file) {
        return tl::unexpected(failure(errno, "create", path));
    }
    return file;
}

tl::expected<UniqueFd, StartFailure> create_nameless_file(const std::string& directory) {
    UniqueFd file(::open(directory.c_str(), O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
    if (!file) {  // not every file system can
        file.reset(::memfd_create("mpitrain output", MFD_CLOEXEC));
    }
    if (!file) {
        return tl::unexpected(failure(errno, "create a file", directory));
    }
    return file;
}

tl::expected<Program, StartFailure> start_program(const wire::Start& start,
                                                  const std::vector<std::string>& environment) {
    if (start.command.empty()) {
        return tl::unexpected(StartFailure{EINVAL, "the command is empty"});
    }
    const Result<CpuMask> cpus = cpu_mask(start.cpus);
    if (!cpus) {
        return tl::unexpected(StartFailure{EINVAL, cpus.error().text()});
    }
    tl::expected<Streams, StartFailure> streams = make_streams(start);
    if (!streams) {
        return tl::unexpected(streams.error());
    }
    UniqueFd words;
    UniqueFd child_words;
    if (!make_pipe(words, child_words)) {
        return tl::unexpected(failure(errno, "open a pipe", ""));
    }
    const std::vector<char*> arguments = exec_list(start.command);
    const std::vector<char*> variables = exec_list(environment);
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) {
        return tl::unexpected(failure(errno, "fork", ""));
    }
    if (pid == 0) {
        environ = const_cast<char**>(variables.data());
        const ChildFailure told = become_program(start, *streams, *cpus, parent, arguments.data());
        [[maybe_unused]] const auto sent = ::write(child_words.get(), &told, sizeof told);
        ::_exit(127);
    }
    child_words.reset();
    if (const auto failed = await_execution(words, start)) {
        ::kill(pid, SIGKILL);
        retry([&] { return ::waitpid(pid, nullptr, 0); });
        return tl::unexpected(*failed);
    }
    return Program{pid,
                   std::move(streams->in),
                   std::move(streams->out),
                   std::move(streams->err),
                   streams->terminal};
}

}  // namespace mpitrain::rank
