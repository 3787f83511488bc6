#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "mpitrain/base/number.hpp"
#include "mpitrain/engine/engine.hpp"

// Each MCA parameter is passed in the environment, never on the command line, where naming one
// twice is fatal: so what the user sets, in the environment or by --mpirun-arg, wins without a
// clash. Why each of them:
//
//   odls_base_num_threads=0          32 or more ranks that end before MPI_Init hang mpirun 4.1
//   and 5.0 for ever otherwise. odls_base_sigkill_timeout        The engine's kill sequence is
//   CONT, T, TERM, T, KILL. Ours has its own deadline, so T is long:
//                                    CONT is the cue by which agents learn that the engine wants to
//                                    end.
//   mpi_yield_when_idle              Where ranks share cores, spinning ranks starve each other
//   (370x on an allreduce). orte_tmpdir_base, btl_vader_…    Session and shared-memory files live
//   where the guard removes them after a kill -9. btl/oob_tcp_if_include=lo        On one machine
//   nothing else is needed, and a docker-like interface with the same address
//                                    on every machine makes mpirun hang.
//   ras, plm = ^slurm                Inside of a Slurm job mpirun would count the job's nodes
//                                    itself, and find no place for what was planned.
namespace mpitrain {
namespace {

constexpr std::size_t report_text_max = 4096;
constexpr std::string_view sigkill_timeout_s = "86400";
// On other machines nobody ends a daemon that is in the midst of its kill sequence.
constexpr std::string_view remote_sigkill_timeout_s = "1";

class MpirunEngine final : public Engine {
  public:
    [[nodiscard]] EngineCommand command(const EngineInput& input) const override {
        EngineCommand command;
        command.argv = {"mpirun", "--bind-to", "none"};
        if (input.as_root) {
            command.argv.emplace_back("--allow-run-as-root");
        }
        if (input.remote != nullptr) {
            // Rank by rank as planned: by its other mappings mpirun puts its own machine first.
            command.argv.insert(command.argv.end(), {"--map-by", "seq", "--oversubscribe"});
        } else {
            command.argv.insert(command.argv.end(),
                                {"-H", fmt::format("localhost:{}", input.plan.ranks.size())});
        }
        command.argv.insert(command.argv.end(), input.extra_args.begin(), input.extra_args.end());
        add_groups(input, command);
        add_parameters(input, command);
        if (input.remote != nullptr) {
            add_remote_parameters(*input.remote, input, command);
        }
        return command;
    }

    void read(std::string_view text, EngineReport& report) const override {
        report.text += text;
        read_abort(report);
        read_improper_exit(report);
        report.gives_up = report.gives_up ||
                          report.text.find("Primary job  terminated") != std::string::npos ||
                          report.text.find("mpirun noticed that") != std::string::npos;
        if (report.text.size() > report_text_max) {
            report.text.erase(0, report.text.size() - report_text_max);
        }
    }

  private:
    // One application context a group, so that MPI_APPNUM means what it means under plain mpirun.
    static void add_groups(const EngineInput& input, EngineCommand& command) {
        auto rank = input.plan.ranks.begin();
        for (std::size_t group = 0; group < input.plan.groups.size(); ++group) {
            if (group > 0) {
                command.argv.emplace_back(":");
            }
            const int ranks = input.plan.groups[group].ranks;
            if (input.remote != nullptr) {
                std::vector<std::string_view> hosts;
                for (int i = 0; i < ranks; ++i) {
                    hosts.emplace_back((rank++)->host);
                }
                command.argv.insert(command.argv.end(),
                                    {"-H",
                                     fmt::format("{}", fmt::join(hosts, ",")),
                                     "-x",
                                     std::string(job_key_variable)});
            }
            command.argv.insert(command.argv.end(),
                                {"-n",
                                 std::to_string(ranks),
                                 input.agent_path,
                                 "--control",
                                 input.control_address});
            if (input.remote != nullptr) {
                command.argv.insert(
                    command.argv.end(),
                    {"--directory", input.session_dir, "--directory", input.shared_memory_dir});
            }
        }
    }

    static void set(const EngineInput& input,
                    EngineCommand& command,
                    std::string_view name,
                    std::string_view value) {
        const std::string variable = fmt::format("OMPI_MCA_{}", name);
        if (!input.environment.contains(variable)) {
            command.env[variable] = value;
        }
    }

    // The networks that MPI and mpirun itself use. Left to choose, both also try the interface of
    // a container bridge, which has the same address on every machine, and hang.
    static void set_networks(const EngineInput& input,
                             EngineCommand& command,
                             std::string_view networks) {
        for (const std::string_view layer : {"btl_tcp", "oob_tcp"}) {
            if (!input.environment.contains(fmt::format("OMPI_MCA_{}_if_exclude", layer)) &&
                !networks.empty()) {
                set(input, command, fmt::format("{}_if_include", layer), networks);
            }
        }
    }

    static void add_remote_parameters(const RemoteLaunch& remote,
                                      const EngineInput& input,
                                      EngineCommand& command) {
        const auto set_number = [&](std::string_view name, std::int64_t value) {
            set(input, command, name, std::to_string(value));
        };
        set(input, command, "plm", "rsh");
        set(input, command, "plm_rsh_agent", "ssh");
        set(input, command, "plm_rsh_args", fmt::format("{}", fmt::join(remote.ssh_args, " ")));
        set_number("plm_rsh_no_tree_spawn", 1);
        // A little later than our own notice, which knows more.
        const auto seconds = std::chrono::ceil<std::chrono::seconds>(remote.heartbeat).count();
        set_number("oob_tcp_keepalive_time", seconds + 1);
        set_number("oob_tcp_keepalive_intvl", 1);
        set_number("oob_tcp_keepalive_probes", 2);
        // Said aloud, since --oversubscribe, which only lifts mpirun's own count, implies it.
        set_number("mpi_yield_when_idle", input.plan.shares_cores ? 1 : 0);
    }

    static void add_parameters(const EngineInput& input, EngineCommand& command) {
        const bool remote = input.remote != nullptr;
        set(input, command, "odls_base_num_threads", "0");
        set(input,
            command,
            "odls_base_sigkill_timeout",
            remote ? remote_sigkill_timeout_s : sigkill_timeout_s);
        set(input, command, "ras", "^slurm");
        set(input, command, "plm", "^slurm");
        set(input, command, "orte_tmpdir_base", input.session_dir);
        set(input, command, "btl_vader_backing_directory", input.shared_memory_dir);
        set(input, command, "orte_abort_on_non_zero_status", "1");
        if (input.plan.shares_cores) {
            set(input, command, "mpi_yield_when_idle", "1");
        }
        set_networks(
            input,
            command,
            remote ? fmt::format("{}", fmt::join(input.remote->networks, ",")) : std::string("lo"));
    }

    // "MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD\nwith errorcode 7."
    static void read_abort(EngineReport& report) {
        if (report.aborted_rank) {
            return;
        }
        const auto rank = number_after(report.text, "MPI_ABORT was invoked on rank ");
        const auto code = number_after(report.text, "with errorcode ");
        if (rank && code) {
            report.aborted_rank = Rank(static_cast<int>(*rank));
            report.abort_code = static_cast<int>(*code);
        }
    }

    // "… mpirun has exited due to process rank 1 with PID 0 on\nnode x exiting improperly."
    static void read_improper_exit(EngineReport& report) {
        if (!report.improper_rank && report.text.find("exiting improperly") != std::string::npos) {
            if (const auto rank = number_after(report.text, "has exited due to process rank ")) {
                report.improper_rank = Rank(static_cast<int>(*rank));
            }
        }
    }

    static std::optional<std::int64_t> number_after(std::string_view text, std::string_view words) {
        const std::size_t found = text.find(words);
        if (found == std::string_view::npos) {
            return std::nullopt;
        }
        std::string_view rest = text.substr(found + words.size());
        const std::size_t end = rest.find_first_not_of("-0123456789");
        if (end == std::string_view::npos) {
            return std::nullopt;  // the number may go on in what comes next
        }
        const auto number = parse_integer(rest.substr(0, end), INT32_MIN, INT32_MAX);
        return number ? std::optional(*number) : std::nullopt;
    }
};

}  // namespace

std::unique_ptr<Engine> make_mpirun_engine() {
    return std::make_unique<MpirunEngine>();
}

}  // namespace mpitrain
