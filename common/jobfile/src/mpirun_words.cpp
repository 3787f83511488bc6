#include "mpirun_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "mpitrain/base/number.hpp"

namespace mpitrain::jobfile {
namespace {

// What an option of mpirun (Open MPI) or mpiexec (MPICH, Intel MPI) is to us.
enum class Meaning : std::uint8_t { ranks, variable, workdir, parameter, oversubscribe, ignored };

struct MpirunOption {
    std::string_view name;  // without its dashes
    int values = 0;
    Meaning meaning = Meaning::ignored;
};

// Placement, binding and output are mpitrain's own work, so those options are read over and
// reported.
constexpr std::array<MpirunOption, 49> known = {{
    {"n", 1, Meaning::ranks},
    {"np", 1, Meaning::ranks},
    {"c", 1, Meaning::ranks},
    {"x", 1, Meaning::variable},
    {"env", 2, Meaning::variable},
    {"genv", 2, Meaning::variable},
    {"wdir", 1, Meaning::workdir},
    {"wd", 1, Meaning::workdir},
    {"mca", 2, Meaning::parameter},
    {"gmca", 2, Meaning::parameter},
    {"oversubscribe", 0, Meaning::oversubscribe},
    {"allow-run-as-root"},
    {"report-bindings"},
    {"tag-output"},
    {"timestamp-output"},
    {"merge-stderr-to-stdout"},
    {"display-map"},
    {"display-allocation"},
    {"display-devel-map"},
    {"bynode"},
    {"byslot"},
    {"nooversubscribe"},
    {"use-hwthread-cpus"},
    {"quiet"},
    {"q"},
    {"verbose"},
    {"v"},
    {"l"},
    {"prepend-rank"},
    {"map-by", 1},
    {"rank-by", 1},
    {"bind-to", 1},
    {"host", 1},
    {"hosts", 1},
    {"H", 1},
    {"hostfile", 1},
    {"machinefile", 1},
    {"f", 1},
    {"npernode", 1},
    {"N", 1},
    {"ppn", 1},
    {"perhost", 1},
    {"npersocket", 1},
    {"prefix", 1},
    {"output-filename", 1},
    {"stdin", 1},
    {"timeout", 1},
    {"bootstrap", 1},
    {"launcher", 1},
}};

Error invalid(std::string what, std::string_view mend) {
    return Error(ErrorCode::invalid_argument, std::move(what)).mend(mend);
}

Result<void> apply(const MpirunOption& option,
                   std::span<const std::string> words,
                   CommandGroup& group,
                   MpirunWords& result) {
    switch (option.meaning) {
        case Meaning::ranks: {
            const auto ranks = parse_integer(words[1], 1, 1'000'000);
            if (!ranks) {
                return Error(ranks.error()).at(words[0]);
            }
            group.ranks = static_cast<int>(*ranks);
            return {};
        }
        case Meaning::variable: {
            const std::size_t equals = words[1].find('=');
            if (option.values == 2) {
                group.env[words[1]] = words[2];
            } else if (equals != std::string::npos) {
                group.env[words[1].substr(0, equals)] = words[1].substr(equals + 1);
            }  // -x NAME alone: every rank gets the whole environment anyway
            return {};
        }
        case Meaning::workdir:
            result.workdir = words[1];
            return {};
        case Meaning::parameter:
            result.mpirun_args.insert(result.mpirun_args.end(), words.begin(), words.end());
            return {};
        case Meaning::oversubscribe:
            result.oversubscribe = true;
            return {};
        case Meaning::ignored:
            result.ignored.push_back(words[0]);
            return {};
    }
    return {};
}

// One program with the options in front of it.
Result<CommandGroup> read_program(std::span<const std::string> words, MpirunWords& result) {
    CommandGroup group{"default", std::nullopt, {}, {}};
    std::size_t i = 0;
    while (i < words.size() && words[i].size() > 1 && words[i][0] == '-') {
        const std::string_view name = std::string_view(words[i]).substr(words[i][1] == '-' ? 2 : 1);
        if (name.empty()) {  // "--" ends the options
            ++i;
            break;
        }
        const auto option = std::ranges::find(known, name, &MpirunOption::name);
        if (option == known.end()) {
            return invalid(fmt::format("mpirun's option {} is not understood here", words[i]),
                           "leave it out, or write a job file with the program alone");
        }
        const auto count = static_cast<std::size_t>(option->values) + 1;
        if (words.size() - i < count) {
            return invalid(fmt::format("mpirun's option {} needs a value", words[i]), "");
        }
        MPITRAIN_TRY_VOID(apply(*option, words.subspan(i, count), group, result));
        i += count;
    }
    if (i == words.size()) {
        return invalid("mpirun is given no program", "");
    }
    const auto program = words.subspan(i);
    group.command = std::vector<std::string>(program.begin(), program.end());
    return group;
}

}  // namespace

bool is_mpirun(std::string_view program) {
    program.remove_prefix(program.rfind('/') + 1);
    return program == "mpirun" || program == "mpiexec" || program == "orterun" ||
           program == "prterun" || program == "mpiexec.hydra";
}

Result<MpirunWords> read_mpirun_words(const std::vector<std::string>& words) {
    MpirunWords result;
    auto start = words.begin();
    while (true) {
        const auto end = std::find(start, words.end(), ":");
        MPITRAIN_TRY(CommandGroup group, read_program({start, end}, result));
        result.groups.push_back(std::move(group));
        if (end == words.end()) {
            return result;
        }
        start = end + 1;
    }
}

}  // namespace mpitrain::jobfile
