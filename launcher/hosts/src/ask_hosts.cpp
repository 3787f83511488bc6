#include "mpitrain/hosts/ask_hosts.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "parallel_commands.hpp"

namespace mpitrain::hosts {
namespace {

// For a shell, whatever is in it.
std::string quoted(std::string_view word) {
    std::string text = "'";
    for (const char c : word) {
        text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return text + "'";
}

std::vector<std::string> command_for(const HostEntry& host, const AskOptions& options) {
    std::vector<std::string> command = {"ssh"};
    for (std::string& argument : ssh_arguments(options.ssh_args, options.connect_deadline)) {
        command.push_back(std::move(argument));
    }
    if (!host.user.empty()) {
        command.insert(command.end(), {"-l", host.user});
    }
    const bool gpu = options.device == Device::gpu;
    const std::string device = gpu ? "cuda" : std::string(to_string(options.device));
    command.insert(command.end(),
                   {"--",
                    host.host,
                    fmt::format("{} topo --for-launch{} --device {} --output json",
                                quoted(options.program),
                                options.share_cpus ? " --oversubscribe" : "",
                                device)});
    return command;
}

std::string last_line(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
        text.remove_suffix(1);
    }
    return std::string(text.substr(text.rfind('\n') + 1));  // npos + 1 is 0
}

// What ssh itself says, which is all that there is to know of it.
Error ssh_error(const std::string& text) {
    const auto says = [&text](std::string_view words) {
        return text.find(words) != std::string::npos;
    };
    const std::string line = last_line(text);
    if (says("Could not resolve hostname") || says("Name or service not known")) {
        return Error(ErrorCode::unsatisfiable, "unknown host")
            .mend("check the name, or give an address");
    }
    if (says("Permission denied") || says("Host key verification failed")) {
        return Error(ErrorCode::permission_denied, line)
            .mend("make `ssh HOST true` work without a question, by a key or an agent");
    }
    return Error(ErrorCode::unavailable, line.empty() ? "ssh failed without a word" : line)
        .mend("make `ssh HOST true` work from here");
}

Result<NodeFacts> read_answer(const CommandEnd& end, const AskOptions& options) {
    constexpr int ssh_failed = 255;
    constexpr int usage = 2;
    if (!end.in_time) {
        return Error(ErrorCode::unavailable, "no answer in time")
            .mend("see what keeps `ssh HOST true` waiting");
    }
    if (end.status == -1) {
        return Error(ErrorCode::not_found, "ssh cannot be started: " + end.err)
            .mend("install openssh-client");
    }
    if (end.status == ssh_failed) {
        return ssh_error(end.err);
    }
    if (end.status == 126 || end.status == 127) {
        return Error(ErrorCode::unsatisfiable,
                     fmt::format("no mpitrain at {} there", options.program))
            .mend("install it there, or say where it is with --remote-prefix");
    }
    if (end.status != 0) {
        const bool older = end.status == usage && end.err.find("for-launch") != std::string::npos;
        return Error(older ? ErrorCode::unsupported : ErrorCode::unavailable,
                     older ? "an older mpitrain" : last_line(end.err))
            .mend(older ? "install the same version on all machines" : "run it there by hand");
    }
    // A login script may talk before it.
    const std::size_t begin = end.out.find("{\"schema\"");
    auto facts =
        facts_from_json(begin == std::string::npos ? "" : std::string_view(end.out).substr(begin));
    if (!facts) {
        return Error(ErrorCode::data_loss, "its answer cannot be read: " + facts.error().what())
            .mend("see what `ssh HOST mpitrain topo --for-launch` prints");
    }
    if (facts->version != MPITRAIN_VERSION) {
        return Error(ErrorCode::unsupported,
                     fmt::format("mpitrain {} there, {} here", facts->version, MPITRAIN_VERSION))
            .mend("install the same version on all machines");
    }
    return facts;
}

}  // namespace

std::vector<std::string> ssh_arguments(const std::vector<std::string>& users,
                                       std::chrono::milliseconds connect_deadline) {
    std::vector<std::string> arguments = users;
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(connect_deadline).count();
    arguments.insert(arguments.end(),
                     {"-o", "BatchMode=yes", "-o", fmt::format("ConnectTimeout={}", seconds)});
    return arguments;
}

bool is_here(const std::string& host) {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    const std::string own = name.data();
    return host == "localhost" || host.starts_with("127.") || host == own ||
           (!own.empty() && host == own.substr(0, own.find('.')));
}

std::vector<Answer> ask_hosts(const std::vector<HostEntry>& hosts, const AskOptions& options) {
    std::vector<std::vector<std::string>> commands;
    for (const HostEntry& host : hosts) {
        if (!is_here(host.host)) {
            commands.push_back(command_for(host, options));
        }
    }
    const std::vector<CommandEnd> ends = run_in_parallel(commands, options.deadline);
    std::vector<Answer> answers;
    auto end = ends.begin();
    for (const HostEntry& host : hosts) {
        answers.push_back({host,
                           is_here(host.host)
                               ? facts_of_this_machine(options.device, options.share_cpus)
                               : read_answer(*end++, options)});
    }
    return answers;
}

Error describe_failures(const std::vector<Answer>& answers) {
    constexpr int named_max = 8;
    std::string text;
    const Error* first = nullptr;
    int failed = 0;
    for (const Answer& answer : answers) {
        if (answer.facts) {
            continue;
        }
        first = first != nullptr ? first : &answer.facts.error();
        if (++failed <= named_max) {
            text += fmt::format("{}{}: {}",
                                text.empty() ? "" : "; ",
                                answer.host.host,
                                answer.facts.error().what());
        }
    }
    if (failed > named_max) {
        text += fmt::format("; and {} more hosts", failed - named_max);
    }
    return Error(first->code(), text).mend(first->mend());
}

}  // namespace mpitrain::hosts
