#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/settings/job_options.hpp"
#include "mpitrain/settings/layers.hpp"

namespace mpitrain::settings {
namespace {

std::string absolute(const std::string& path, const Places& places) {
    if (path.empty() || path.starts_with('/')) {
        return path;
    }
    if (path.starts_with("~/") && !places.home.empty()) {
        return places.home + path.substr(1);
    }
    std::string_view rest = path;
    while (rest.starts_with("./")) {
        rest.remove_prefix(2);
    }
    if (rest.empty() || rest == ".") {
        return places.current;
    }
    return fmt::format("{}/{}", places.current == "/" ? "" : places.current, rest);
}

// A flag or a variable names its option itself; a place in a file does not.
Error located(Error error, const Setting& setting) {
    const Origin& origin = setting.origin;
    const bool in_file =
        origin.kind == OriginKind::config_file || origin.kind == OriginKind::job_file;
    return in_file ? std::move(error).at(key_name(*setting.option)).at(origin.where)
                   : std::move(error).at(origin.where);
}

// One program with the options in front of it, in an MPMD command line.
Result<CommandGroup> read_group(std::span<const std::string> words, bool is_first) {
    CommandGroup group{"default", std::nullopt, {}, {}};
    if (is_first) {  // its options are the whole job's and were read before
        group.command = std::vector<std::string>(words.begin(), words.end());
        return group;
    }
    OptionSet set;
    for (const Option& option : job_options()) {
        if (option.name == "ranks" || option.name == "env") {
            set.push_back(&option);
        }
    }
    auto line = scan(set, words, Order::options_first);
    if (!line) {
        return Error(ErrorCode::invalid_argument, line.error().what())
            .at("after ':'")
            .mend(
                "only -n and --env may stand before a later program; the others go before the "
                "first");
    }
    JobDraft draft;
    for (const Given& given : line->given) {
        if (auto applied = given.option->apply(draft, given.value); !applied) {
            return std::move(applied).error().at(given.spelled);
        }
    }
    group.ranks = draft.ranks;
    group.env = std::move(draft.spec.env);
    group.command = std::move(line->rest);
    return group;
}

// Gives the setting of --ranks to the group that it is about.
Result<void> give_ranks(std::vector<CommandGroup>& groups,
                        OriginKind groups_origin,
                        const JobDraft& draft,
                        const Setting* setting) {
    if (setting == nullptr || !draft.ranks_given || groups.empty()) {
        return {};
    }
    const bool overrides = setting->origin.kind >= groups_origin;
    const bool is_first_of_many =
        groups_origin == OriginKind::flag && setting->origin.kind == OriginKind::flag;
    if (groups.size() == 1 || is_first_of_many) {
        if (overrides || !groups.front().ranks) {
            groups.front().ranks = draft.ranks;
        }
        return {};
    }
    if (setting->origin.kind >= OriginKind::environment) {
        return Error(ErrorCode::invalid_argument,
                     "the job has several programs, each with ranks of its own")
            .at(setting->origin.where)
            .mend(groups_origin == OriginKind::flag ? "give each program its own -n"
                                                    : "set 'ranks' in each of its groups");
    }
    return {};
}

void make_paths_absolute(JobSpec& spec, const Places& places) {
    for (std::string* path : {&spec.workdir,
                              &spec.hostfile,
                              &spec.checkpoint_dir,
                              &spec.resume.path,
                              &spec.log_dir,
                              &spec.events_file,
                              &spec.result_file}) {
        *path = absolute(*path, places);
    }
}

}  // namespace

Result<CommandGroups> split_groups(const std::vector<std::string>& words) {
    CommandGroups result;
    auto start = words.begin();
    while (start != words.end() || !result.groups.empty()) {
        const auto end = std::find(start, words.end(), ":");
        MPITRAIN_TRY(CommandGroup group, read_group({start, end}, result.groups.empty()));
        result.groups.push_back(std::move(group));
        if (end == words.end()) {
            break;
        }
        start = end + 1;
    }
    return result;
}

Result<JobSpec> make_job(const Layer& settings,
                         const CommandGroups& commands,
                         const Places& places) {
    JobDraft draft;
    for (const Setting& setting : settings) {
        if (setting.option->apply == nullptr) {
            continue;
        }
        for (const std::string& value : setting.values) {
            if (auto applied = setting.option->apply(draft, value); !applied) {
                return located(std::move(applied).error(), setting);
            }
        }
    }
    JobSpec spec = std::move(draft.spec);
    spec.groups = commands.groups;
    MPITRAIN_TRY_VOID(give_ranks(spec.groups, commands.origin, draft, find(settings, "ranks")));
    make_paths_absolute(spec, places);
    if (spec.name.empty() && !spec.groups.empty() && !spec.groups.front().command.empty()) {
        spec.name = program_name(spec.groups.front());
    }
    MPITRAIN_TRY_VOID(validate(spec));
    return spec;
}

}  // namespace mpitrain::settings
