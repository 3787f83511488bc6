#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/bytes.hpp"
#include "mpitrain/base/duration.hpp"
#include "mpitrain/base/result.hpp"
#include "mpitrain/model/placement.hpp"

namespace mpitrain {

enum class EngineKind : std::uint8_t { automatic, mpirun, srun };
enum class GpuVisibility : std::uint8_t { node, rank };
enum class StdinMode : std::uint8_t { none, rank0 };
enum class HangTimeoutMode : std::uint8_t { off, automatic, fixed };

using EnvironmentMap = std::map<std::string, std::string>;

// Ranks that run the same command; MPMD jobs have several. Group order is rank order.
struct CommandGroup {
    std::string name;          // role name, "default" unless the job file says otherwise
    std::optional<int> ranks;  // nullopt = all that is left (only one group may leave it open)
    std::vector<std::string> command;  // program and arguments, never through a shell
    EnvironmentMap env;                // on top of JobSpec::env
    bool operator==(const CommandGroup&) const = default;
};

// How a job stands to its checkpoints at the start of an attempt.
struct ResumePolicy {
    enum class Kind : std::uint8_t { automatic, never, path };
    Kind kind = Kind::automatic;
    std::string path;  // for Kind::path
    bool operator==(const ResumePolicy&) const = default;
};

// What the user asks for: immutable once read, the same for run, submit and plan. Field names are
// the long option names of CONTRACT section 1. An empty optional means "not said", so that defaults
// are chosen in one place.
struct JobSpec {
    std::string name;  // defaults to the base name of the first program
    std::vector<CommandGroup> groups;
    EnvironmentMap env;
    std::string workdir;  // absolute; empty = where mpitrain was called

    // Shape
    std::optional<int> min_ranks;
    std::optional<int> max_ranks;
    std::optional<int> nodes;
    std::optional<int> ranks_per_node;
    Device device = Device::automatic;
    int gpus_per_rank = 1;
    std::string gpu_type;
    GpuVisibility gpu_visibility = GpuVisibility::node;
    int cpus_per_rank = 0;  // 0 = its natural share, as in SlotRequest
    std::optional<Bytes> mem_per_rank;
    bool oversubscribe = false;
    std::vector<std::string> host;  // one machine each: [user@]host[:slots]
    std::string hostfile;           // absolute, or empty
    EngineKind engine = EngineKind::automatic;
    std::string placement = "pack";
    std::string topology_level;  // "node", "switch" or "block", with ":required" or without

    // Life
    std::optional<int> max_restarts;  // default: 3 with a checkpoint directory, else 0
    std::string checkpoint_dir;       // absolute, or empty
    ResumePolicy resume;
    std::optional<Nanoseconds> time_limit;
    Nanoseconds stop_grace = std::chrono::seconds(30);
    int max_requeues = 100;  // where a resource manager can put the job back into its queue
    HangTimeoutMode hang_timeout_mode = HangTimeoutMode::off;
    Nanoseconds hang_timeout{};
    // On several machines
    Nanoseconds heartbeat = std::chrono::seconds(5);  // a machine that is silent so long is lost
    int spares = 0;  // machines kept free to take a lost one's place
    std::optional<int> max_node_failures;

    // Output and input
    std::string log_dir;  // absolute, or empty
    std::string show;     // ranks whose output is shown, "0,8-15"; empty = all
    bool tag = true;
    bool pty = false;  // force a pseudo-terminal for stdout
    StdinMode stdin_mode = StdinMode::none;
    std::string events_file;  // absolute, or empty
    std::string result_file;  // absolute, or empty

    // Queue
    int priority = 0;
    std::string queue;
    std::vector<std::string> after;

    // Escape hatches and platform blocks, passed through as they are
    std::vector<std::string> mpirun_args;
    std::vector<std::string> ssh_args;
    std::string remote_prefix;  // where mpitrain is installed there; empty = where it is here
    std::vector<std::string> srun_args;
    std::vector<std::string> sbatch_args;
    std::map<std::string, std::string> slurm;  // the job file's slurm block
    std::string kubernetes_json;               // the job file's kubernetes block, as JSON text

    bool operator==(const JobSpec&) const = default;
};

// What the command is called in reports: the base name of the group's program.
std::string program_name(const CommandGroup& group);

// The number of ranks that all groups ask for together; nullopt when one of them takes all that is
// left.
std::optional<int> total_ranks(const JobSpec& spec);

// --max-restarts with its default: 3 with a checkpoint directory, else 0.
int max_restarts(const JobSpec& spec);

// Whether a name can be an environment variable's: letters, digits and '_', no digit first. Shells
// that export functions use others; those are passed on but cannot be set.
bool is_variable_name(std::string_view name);

// Whether mpitrain itself tells every rank this variable (CONTRACT section 2), so that a job cannot
// set it.
bool is_contract_variable(std::string_view name);

// Checks what can be checked without a machine: at least one command, counts > 0, bounds in order,
// names valid. Errors: invalid_argument naming the option and its mend.
Result<void> validate(const JobSpec& spec);

}  // namespace mpitrain
