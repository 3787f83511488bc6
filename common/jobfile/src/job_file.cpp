#include "mpitrain/jobfile/job_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "mpijob.hpp"
#include "mpitrain/base/number.hpp"
#include "mpitrain/settings/job_options.hpp"
#include "yaml_values.hpp"

namespace mpitrain::jobfile {
namespace {

using settings::OptionSet;
using settings::OriginKind;
using settings::Setting;

constexpr std::array<std::string_view, 4> job_blocks = {"command", "groups", "slurm", "kubernetes"};
constexpr std::array<std::string_view, 5> slurm_keys = {
    "partition", "account", "qos", "constraint", "sbatch_args"};
constexpr std::array<std::string_view, 6> kubernetes_keys = {
    "image", "namespace", "gpu_resource", "volumes", "service_account", "pod_template"};
constexpr std::array<std::string_view, 4> group_keys = {"name", "ranks", "command", "env"};

template <std::size_t Count>
bool is_one_of(const std::array<std::string_view, Count>& keys, std::string_view key) {
    return std::ranges::find(keys, key) != keys.end();
}

template <std::size_t Count>
Error unknown_key_of(const std::array<std::string_view, Count>& keys,
                     std::string_view name,
                     const YamlEntry& entry) {
    return unknown_key(name, entry, {keys.begin(), keys.end()});
}

const settings::Option* find_key(const OptionSet& known, std::string_view key) {
    const auto found = std::ranges::find_if(known, [key](const settings::Option* option) {
        return settings::key_name(*option) == key;
    });
    return found == known.end() ? nullptr : *found;
}

// One option's value in a file: a scalar, a list where the option repeats, NAME: value pairs for
// env.
Result<std::vector<std::string>> values_of(std::string_view name,
                                           const settings::Option& option,
                                           const YamlNode& node) {
    if (option.repeats && node.kind == YamlNode::Kind::sequence) {
        return list_of(name, node);
    }
    if (option.name == "env") {
        MPITRAIN_TRY(const EnvironmentMap env, map_of(name, node));
        std::vector<std::string> values;
        for (const auto& [variable, value] : env) {
            values.push_back(fmt::format("{}={}", variable, value));
        }
        return values;
    }
    MPITRAIN_TRY(std::string value, scalar_of(name, node));
    return std::vector<std::string>{std::move(value)};
}

Result<Setting> setting_of(std::string_view name,
                           const settings::Option& option,
                           const YamlNode& node,
                           OriginKind kind) {
    MPITRAIN_TRY(std::vector<std::string> values, values_of(name, option, node));
    for (const std::string& value : values) {
        if (auto choice = settings::check_choice(option, value); !choice) {
            return std::move(choice).error().at(settings::key_name(option)).at(place(name, node));
        }
    }
    return Setting{&option, std::move(values), {kind, place(name, node)}};
}

Result<CommandGroup> group_of(std::string_view name, const YamlNode& node) {
    if (node.kind != YamlNode::Kind::mapping) {
        return bad_value(name, node, "a group belongs here", "write {name, ranks, command, env}");
    }
    CommandGroup group{"default", std::nullopt, {}, {}};
    for (const YamlEntry& entry : node.entries) {
        if (entry.key == "name") {
            MPITRAIN_TRY(group.name, scalar_of(name, entry.value));
        } else if (entry.key == "ranks") {
            MPITRAIN_TRY(const std::string ranks, scalar_of(name, entry.value));
            const auto number = parse_integer(ranks, 1, 1'000'000);
            if (!number && ranks != "all") {
                return Error(number.error())
                    .mend("give a whole number, or all")
                    .at("ranks")
                    .at(place(name, entry.value));
            }
            group.ranks = number ? std::optional(static_cast<int>(*number)) : std::nullopt;
        } else if (entry.key == "command") {
            MPITRAIN_TRY(group.command, command_of(name, entry.value));
        } else if (entry.key == "env") {
            MPITRAIN_TRY(group.env, map_of(name, entry.value));
        } else {
            return unknown_key_of(group_keys, name, entry);
        }
    }
    if (group.command.empty()) {
        return bad_value(
            name, node, "the group has no command", "add command: [program, argument, …]");
    }
    return group;
}

Result<void> read_groups(std::string_view name, const YamlNode& node, JobFile& job) {
    if (node.kind != YamlNode::Kind::sequence || node.items.empty()) {
        return bad_value(
            name, node, "a list of groups belongs here", "write - {name, ranks, command, env}");
    }
    for (const YamlNode& item : node.items) {
        MPITRAIN_TRY(CommandGroup group, group_of(name, item));
        job.groups.push_back(std::move(group));
    }
    return {};
}

Result<void> read_slurm(std::string_view name, const YamlNode& node, JobFile& job) {
    if (node.kind != YamlNode::Kind::mapping) {
        return bad_value(
            name, node, "Slurm's settings belong here", "write {partition, account, …}");
    }
    for (const YamlEntry& entry : node.entries) {
        if (!is_one_of(slurm_keys, entry.key)) {
            return unknown_key_of(slurm_keys, name, entry);
        }
        if (entry.key == "sbatch_args") {
            MPITRAIN_TRY(std::vector<std::string> arguments, list_of(name, entry.value));
            OptionSet set;
            settings::append(set, settings::job_options());
            job.settings.push_back({settings::find(set, "sbatch-arg"),
                                    std::move(arguments),
                                    {OriginKind::job_file, place(name, entry.value)}});
        } else {
            MPITRAIN_TRY(job.slurm[entry.key], scalar_of(name, entry.value));
        }
    }
    return {};
}

Result<void> read_kubernetes(std::string_view name, const YamlNode& node, JobFile& job) {
    if (node.kind != YamlNode::Kind::mapping) {
        return bad_value(
            name, node, "Kubernetes' settings belong here", "write {image, namespace, …}");
    }
    for (const YamlEntry& entry : node.entries) {
        if (!is_one_of(kubernetes_keys, entry.key)) {
            return unknown_key_of(kubernetes_keys, name, entry);
        }
    }
    job.kubernetes_json = json_of(node);
    return {};
}

// What two keys of one file must not both say.
Result<void> check_consistency(std::string_view name, const YamlNode& root) {
    const YamlNode* groups = root.find("groups");
    for (const char* key : {"command", "ranks"}) {
        if (const YamlNode* other = root.find(key); groups != nullptr && other != nullptr) {
            return bad_value(
                name, *other, fmt::format("'{}' beside 'groups'", key), "put it into the groups");
        }
    }
    const YamlNode* slurm = root.find("slurm");
    const YamlNode* arguments = root.find("sbatch_arg");
    if (slurm != nullptr && arguments != nullptr && slurm->find("sbatch_args") != nullptr) {
        return bad_value(
            name, *arguments, "'sbatch_arg' beside 'sbatch_args' of 'slurm'", "keep one");
    }
    return {};
}

Result<JobFile> read_own(std::string_view name, const YamlNode& root) {
    OptionSet known;
    settings::append(known, settings::job_options());
    JobFile job;
    for (const YamlEntry& entry : root.entries) {
        if (entry.key == "command") {
            MPITRAIN_TRY(std::vector<std::string> command, command_of(name, entry.value));
            job.groups.push_back({"default", std::nullopt, std::move(command), {}});
        } else if (entry.key == "groups") {
            MPITRAIN_TRY_VOID(read_groups(name, entry.value, job));
        } else if (entry.key == "slurm") {
            MPITRAIN_TRY_VOID(read_slurm(name, entry.value, job));
        } else if (entry.key == "kubernetes") {
            MPITRAIN_TRY_VOID(read_kubernetes(name, entry.value, job));
        } else if (const settings::Option* option = find_key(known, entry.key)) {
            MPITRAIN_TRY(Setting setting,
                         setting_of(name, *option, entry.value, OriginKind::job_file));
            job.settings.push_back(std::move(setting));
        } else {
            std::vector<std::string> keys(job_blocks.begin(), job_blocks.end());
            std::ranges::transform(
                known, std::back_inserter(keys), [](const settings::Option* one) {
                    return settings::key_name(*one);
                });
            return unknown_key(name, entry, {keys.begin(), keys.end()});
        }
    }
    MPITRAIN_TRY_VOID(check_consistency(name, root));
    return job;
}

}  // namespace

Result<JobFile> read_job_file(std::string_view text, std::string_view name) {
    MPITRAIN_TRY(const std::vector<YamlNode> documents, read_yaml(text, name));
    if (documents.empty() || documents.front().kind == YamlNode::Kind::null) {
        return Error(ErrorCode::invalid_argument, "the file is empty")
            .at(name)
            .mend("write at least command: [program, argument, …]");
    }
    for (const YamlNode& document : documents) {
        if (document.kind != YamlNode::Kind::mapping) {
            return bad_value(
                name, document, "no key: value here", "see 'mpitrain run --help' for the keys");
        }
    }
    if (std::ranges::any_of(documents,
                            [](const YamlNode& one) { return one.find("kind") != nullptr; })) {
        return read_mpijob(name, documents);
    }
    if (documents.size() > 1) {
        return bad_value(name, documents[1], "a second document", "one file describes one job");
    }
    return read_own(name, documents.front());
}

Result<settings::Layer> read_config_file(std::string_view text,
                                         std::string_view name,
                                         const OptionSet& known) {
    MPITRAIN_TRY(const std::vector<YamlNode> documents, read_yaml(text, name));
    settings::Layer layer;
    for (const YamlNode& document : documents) {
        if (document.kind == YamlNode::Kind::null) {
            continue;
        }
        if (document.kind != YamlNode::Kind::mapping || &document != &documents.front()) {
            return bad_value(name, document, "no key: value here", "write option: value");
        }
        for (const YamlEntry& entry : document.entries) {
            const settings::Option* option = find_key(known, entry.key);
            if (option == nullptr) {
                std::vector<std::string> keys;
                std::ranges::transform(
                    known, std::back_inserter(keys), [](const settings::Option* one) {
                        return settings::key_name(*one);
                    });
                return unknown_key(name, entry, {keys.begin(), keys.end()});
            }
            MPITRAIN_TRY(Setting setting,
                         setting_of(name, *option, entry.value, OriginKind::config_file));
            layer.push_back(std::move(setting));
        }
    }
    return layer;
}

}  // namespace mpitrain::jobfile
