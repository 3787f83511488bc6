#include <fmt/format.h>

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

class MpirunEngine final : public Engine {
  public:
    [[nodiscard]] EngineCommand command(const EngineInput& input) const override {
        EngineCommand command;
        command.argv = {"mpirun", "--bind-to", "none"};
        if (input.as_root) {
            command.argv.emplace_back("--allow-run-as-root");
        }
        command.argv.insert(command.argv.end(),
                            {"-H", fmt::format("localhost:{}", input.plan.ranks.size())});
        command.argv.insert(command.argv.end(), input.extra_args.begin(), input.extra_args.end());
        // One application context a group, so that MPI_APPNUM means what it means under plain
        // mpirun.
        for (std::size_t group = 0; group < input.plan.groups.size(); ++group) {
            if (group > 0) {
                command.argv.emplace_back(":");
            }
            command.argv.insert(command.argv.end(),
                                {"-n",
                                 std::to_string(input.plan.groups[group].ranks),
                                 input.agent_path,
                                 "--control",
                                 input.control_address});
        }
        add_parameters(input, command);
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
    static void add_parameters(const EngineInput& input, EngineCommand& command) {
        const auto set = [&](std::string_view name, std::string_view value) {
            const std::string variable = fmt::format("OMPI_MCA_{}", name);
            if (!input.environment.contains(variable)) {
                command.env[variable] = value;
            }
        };
        set("odls_base_num_threads", "0");
        set("odls_base_sigkill_timeout", sigkill_timeout_s);
        set("ras", "^slurm");
        set("plm", "^slurm");
        set("orte_tmpdir_base", input.session_dir);
        set("btl_vader_backing_directory", input.shared_memory_dir);
        set("orte_abort_on_non_zero_status", "1");
        if (input.plan.shares_cores) {
            set("mpi_yield_when_idle", "1");
        }
        for (const std::string_view layer : {"btl_tcp", "oob_tcp"}) {
            if (!input.environment.contains(fmt::format("OMPI_MCA_{}_if_exclude", layer))) {
                set(fmt::format("{}_if_include", layer), "lo");
            }
        }
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
