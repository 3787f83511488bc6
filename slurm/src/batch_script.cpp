#include "mpitrain/slurm/batch_script.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "mpitrain/base/number.hpp"

namespace mpitrain::slurm {
namespace {

using namespace std::chrono_literals;

// How much sooner than the grace the signal is asked for: slurmd delivers it, and mpitrain tidies
// up after the ranks have ended.
constexpr auto signal_margin = 10s;
constexpr std::int64_t signal_seconds_max = 65535;  // sbatch(1), --signal

bool is_safe(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-.,:=/@%+[]").find(c) != std::string_view::npos;
}

bool is_safe(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return is_safe(c); });
}

class Options {
  public:
    void add(std::string_view name, std::string_view value) {
        add_word(fmt::format("--{}={}", name, value));
    }
    void add(std::string_view name, std::int64_t value) { add(name, fmt::format("{}", value)); }
    void add_word(std::string word) {
        (is_safe(word) ? lines_ : arguments_).push_back(std::move(word));
    }
    [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }
    [[nodiscard]] const std::vector<std::string>& arguments() const { return arguments_; }

  private:
    std::vector<std::string> lines_;
    std::vector<std::string> arguments_;
};

std::int64_t whole_seconds(Nanoseconds time) {
    return std::chrono::ceil<std::chrono::seconds>(time).count();
}

// What the ranks need, in Slurm's words.
void add_shape(const ScriptInput& input, Options& options) {
    const JobSpec& spec = input.spec;
    const std::optional<int> ranks = total_ranks(spec);
    const std::optional<int> per_node = spec.ranks_per_node;
    std::optional<int> nodes = spec.nodes;
    if (!nodes && ranks && per_node) {
        nodes = (*ranks + *per_node - 1) / *per_node;
    }
    if (nodes) {
        options.add("nodes", *nodes);
    } else if (!ranks) {
        options.add("nodes", 1);
    }
    if (ranks) {
        options.add("ntasks", *ranks);
    }
    if (per_node) {
        options.add("ntasks-per-node", *per_node);
    } else if (!ranks) {
        options.add_word("--exclusive");  // "all" is all of a node
    }
    if (spec.cpus_per_rank > 0) {
        options.add("cpus-per-task", spec.cpus_per_rank);
    }
    if (spec.mem_per_rank) {
        const std::uint64_t cores = static_cast<std::uint64_t>(std::max(1, spec.cpus_per_rank));
        const std::uint64_t kib = (spec.mem_per_rank->count() + 1023) / 1024;
        options.add("mem-per-cpu", fmt::format("{}K", (kib + cores - 1) / cores));
    }
    const bool wants_gpus = spec.device == Device::gpu || !spec.gpu_type.empty() ||
                            (spec.device == Device::automatic && input.has_gpus);
    if (!wants_gpus || spec.gpus_per_rank <= 0) {
        return;
    }
    const std::string type = spec.gpu_type.empty() ? "" : spec.gpu_type + ":";
    if (per_node) {
        options.add("gres", fmt::format("gpu:{}{}", type, *per_node * spec.gpus_per_rank));
    } else if (ranks) {
        options.add("gpus", fmt::format("{}{}", type, *ranks * spec.gpus_per_rank));
    }  // else a whole node, with its GPUs
}

void add_life(const JobSpec& spec, Options& options) {
    if (spec.time_limit) {
        // The job's own limit is mpitrain's to keep; Slurm's must not come before it.
        const auto minutes =
            std::chrono::ceil<std::chrono::minutes>(*spec.time_limit + spec.stop_grace) + 1min;
        options.add("time", minutes.count());
    }
    const std::int64_t notice =
        std::min(whole_seconds(spec.stop_grace + signal_margin), signal_seconds_max);
    options.add("signal", fmt::format("B:TERM@{}", notice));
    options.add_word("--requeue");
    options.add("open-mode", "append");
    options.add("output", "mpitrain-%j.log");
}

// "41", "slurm:41", "any:41", "ok:slurm:41": what must have ended before.
Result<std::string> dependency_of(std::string_view after) {
    std::string_view kind = "afterok";
    for (const auto& [prefix, meaning] :
         {std::pair<std::string_view, std::string_view>{"ok:", "afterok"},
          {"any:", "afterany"},
          {"start:", "after"}}) {
        if (after.starts_with(prefix)) {
            kind = meaning;
            after.remove_prefix(prefix.size());
        }
    }
    if (after.starts_with("slurm:")) {
        after.remove_prefix(6);
    }
    if (!parse_integer(after, 1, 0xffff'ffff)) {
        return Error(ErrorCode::invalid_argument, fmt::format("'{}' is no Slurm job", after))
            .at("--after")
            .mend("give a number, or ok:N, any:N or start:N");
    }
    return fmt::format("{}:{}", kind, after);
}

Result<void> add_queue(const JobSpec& spec, Options& options) {
    if (!spec.queue.empty()) {
        options.add("partition", spec.queue);
    }
    if (spec.priority != 0) {
        options.add("nice", -spec.priority);
    }
    std::string dependencies;
    for (const std::string& after : spec.after) {
        MPITRAIN_TRY(const std::string one, dependency_of(after));
        dependencies += dependencies.empty() ? one : "," + one;
    }
    if (!dependencies.empty()) {
        options.add("dependency", dependencies);
        options.add("kill-on-invalid-dep", "yes");  // else it waits for ever
    }
    for (const auto& [key, value] : spec.slurm) {
        if (key != "sbatch_args") {
            options.add(key, value);
        }
    }
    return {};
}

}  // namespace

std::string shell_word(std::string_view word) {
    if (is_safe(word)) {
        return std::string(word);
    }
    std::string quoted = "'";
    for (const char c : word) {
        quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return quoted + "'";
}

Result<BatchScript> write_batch_script(const ScriptInput& input) {
    for (const std::string& word : input.command) {
        if (word.find('\0') != std::string::npos) {
            return Error(ErrorCode::invalid_argument, "a word holds a zero byte");
        }
    }
    Options options;
    options.add("job-name", input.spec.name);
    add_shape(input, options);
    add_life(input.spec, options);
    MPITRAIN_TRY_VOID(add_queue(input.spec, options));
    for (const std::string& word : input.spec.sbatch_args) {
        options.add_word(word);
    }
    BatchScript script;
    script.text = "#!/bin/bash\n";
    for (const std::string& line : options.lines()) {
        script.text += fmt::format("#SBATCH {}\n", line);
    }
    script.text += fmt::format("\nexec {} run", shell_word(input.program));
    for (const std::string& word : input.command) {
        script.text += " " + shell_word(word);
    }
    script.text += "\n";
    script.arguments = options.arguments();
    return script;
}

}  // namespace mpitrain::slurm
