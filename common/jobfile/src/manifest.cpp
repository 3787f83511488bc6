#include "manifest.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/base/number.hpp"
#include "mpitrain/settings/job_options.hpp"
#include "yaml_values.hpp"

namespace mpitrain::jobfile {
namespace {

// Walks a manifest. Whatever it does not look at is put on record, so nothing is dropped in
// silence.
class ManifestReader {
  public:
    ManifestReader(std::string_view name, Manifest& manifest) : name_(name), manifest_(manifest) {}

    Result<void> read_root(const YamlNode& root);

  private:
    void ignore(std::string_view path, const YamlEntry& entry) {
        manifest_.ignored.push_back(fmt::format("{}.{}", path, entry.key));
    }
    void set(std::string_view option, std::string value, const YamlNode& node) {
        add_setting(manifest_.settings, option, std::move(value), name_, node);
    }
    [[nodiscard]] Result<int> integer(const YamlNode& node, int low) const;
    [[nodiscard]] Result<void> must_be_mapping(const YamlEntry& entry) const;

    Result<void> read_metadata(const YamlNode& metadata);
    Result<void> read_spec(const YamlNode& spec);
    Result<void> read_run_policy(const YamlNode& policy);
    Result<void> read_scheduling_policy(const YamlNode& policy);
    Result<void> read_replicas(const YamlNode& specs);
    Result<void> read_role(const YamlNode& node, const std::string& path, ManifestRole& role);
    Result<void> read_pod(const YamlNode& pod, const std::string& path, ManifestRole& role);
    Result<void> read_containers(const YamlNode& list, const std::string& path, ManifestRole& role);
    Result<void> read_container(const YamlNode& node, const std::string& path, ManifestRole& role);
    Result<void> read_env(const YamlNode& list, const std::string& path, ManifestRole& role);
    [[nodiscard]] bool is_launcher(const ManifestRole& role) const {
        return &role == &manifest_.launcher;
    }

    std::string_view name_;
    Manifest& manifest_;
};

Result<int> ManifestReader::integer(const YamlNode& node, int low) const {
    MPITRAIN_TRY(const std::string text, scalar_of(name_, node));
    auto number = parse_integer(text, low, 1'000'000'000);
    if (!number) {
        return std::move(number).error().at(place(name_, node));
    }
    return static_cast<int>(*number);
}

Result<void> ManifestReader::must_be_mapping(const YamlEntry& entry) const {
    if (entry.value.kind != YamlNode::Kind::mapping) {
        return bad_value(name_,
                         entry.value,
                         fmt::format("'{}' holds no fields", entry.key),
                         "see the MPIJob reference");
    }
    return {};
}

Result<void> ManifestReader::read_root(const YamlNode& root) {
    for (const YamlEntry& entry : root.entries) {
        if (entry.key == "metadata") {
            MPITRAIN_TRY_VOID(must_be_mapping(entry));
            MPITRAIN_TRY_VOID(read_metadata(entry.value));
        } else if (entry.key == "spec") {
            MPITRAIN_TRY_VOID(must_be_mapping(entry));
            MPITRAIN_TRY_VOID(read_spec(entry.value));
        } else if (entry.key != "apiVersion" && entry.key != "kind") {
            manifest_.ignored.push_back(entry.key);
        }
    }
    if (manifest_.launcher.container == nullptr) {
        return bad_value(
            name_, root, "spec.mpiReplicaSpecs.Launcher is missing", "every MPIJob has one");
    }
    return {};
}

Result<void> ManifestReader::read_metadata(const YamlNode& metadata) {
    for (const YamlEntry& entry : metadata.entries) {
        if (entry.key == "name") {
            MPITRAIN_TRY(std::string job_name, scalar_of(name_, entry.value));
            set("name", std::move(job_name), entry.value);
        } else {
            ignore("metadata", entry);
        }
    }
    return {};
}

Result<void> ManifestReader::read_spec(const YamlNode& spec) {
    for (const YamlEntry& entry : spec.entries) {
        if (entry.key == "slotsPerWorker") {
            MPITRAIN_TRY(manifest_.slots_per_worker, integer(entry.value, 1));
        } else if (entry.key == "runLauncherAsWorker") {
            MPITRAIN_TRY(const std::string text, scalar_of(name_, entry.value));
            auto works = settings::parse_switch(text);
            if (!works) {
                return std::move(works).error().at(place(name_, entry.value));
            }
            manifest_.launcher_is_worker = *works;
        } else if (entry.key == "mpiImplementation") {
            MPITRAIN_TRY(manifest_.mpi, scalar_of(name_, entry.value));
        } else if (entry.key == "runPolicy") {
            MPITRAIN_TRY_VOID(must_be_mapping(entry));
            MPITRAIN_TRY_VOID(read_run_policy(entry.value));
        } else if (entry.key == "mpiReplicaSpecs") {
            MPITRAIN_TRY_VOID(must_be_mapping(entry));
            MPITRAIN_TRY_VOID(read_replicas(entry.value));
        } else {
            ignore("spec", entry);
        }
    }
    return {};
}

Result<void> ManifestReader::read_run_policy(const YamlNode& policy) {
    for (const YamlEntry& entry : policy.entries) {
        if (entry.key == "activeDeadlineSeconds") {
            MPITRAIN_TRY(const int seconds, integer(entry.value, 1));
            set("time-limit", fmt::format("{}s", seconds), entry.value);
        } else if (entry.key == "backoffLimit") {
            MPITRAIN_TRY(const int restarts, integer(entry.value, 0));
            set("max-restarts", fmt::format("{}", restarts), entry.value);
        } else if (entry.key == "schedulingPolicy" && entry.value.kind == YamlNode::Kind::mapping) {
            MPITRAIN_TRY_VOID(read_scheduling_policy(entry.value));
        } else {
            ignore("spec.runPolicy", entry);
        }
    }
    return {};
}

Result<void> ManifestReader::read_scheduling_policy(const YamlNode& policy) {
    for (const YamlEntry& entry : policy.entries) {
        if (entry.key == "queue") {
            MPITRAIN_TRY(std::string queue, scalar_of(name_, entry.value));
            set("queue", std::move(queue), entry.value);
        } else {
            ignore("spec.runPolicy.schedulingPolicy", entry);
        }
    }
    return {};
}

Result<void> ManifestReader::read_replicas(const YamlNode& specs) {
    for (const YamlEntry& entry : specs.entries) {
        const std::string path = fmt::format("spec.mpiReplicaSpecs.{}", entry.key);
        if (entry.key != "Launcher" && entry.key != "Worker") {
            manifest_.ignored.push_back(path);
            continue;
        }
        MPITRAIN_TRY_VOID(must_be_mapping(entry));
        ManifestRole& role = entry.key == "Launcher" ? manifest_.launcher : manifest_.worker;
        MPITRAIN_TRY_VOID(read_role(entry.value, path, role));
    }
    return {};
}

Result<void> ManifestReader::read_role(const YamlNode& node,
                                       const std::string& path,
                                       ManifestRole& role) {
    role.replicas = is_launcher(role) ? 1 : 0;
    const YamlNode* pod = nullptr;
    for (const YamlEntry& entry : node.entries) {
        if (entry.key == "replicas") {
            MPITRAIN_TRY(role.replicas, integer(entry.value, 1));
        } else if (entry.key == "template") {
            pod = entry.value.find("spec");
        } else {
            ignore(path, entry);
        }
    }
    if (role.replicas < 1 || (is_launcher(role) && role.replicas != 1)) {
        return bad_value(name_,
                         node,
                         fmt::format("{} replicas", role.replicas),
                         is_launcher(role) ? "there is exactly one launcher" : "add replicas: N");
    }
    if (pod == nullptr || pod->kind != YamlNode::Kind::mapping) {
        return bad_value(
            name_, node, "no pod template", "add template: {spec: {containers: [..]}}");
    }
    return read_pod(*pod, path + ".template.spec", role);
}

Result<void> ManifestReader::read_pod(const YamlNode& pod,
                                      const std::string& path,
                                      ManifestRole& role) {
    for (const YamlEntry& entry : pod.entries) {
        if (entry.key == "terminationGracePeriodSeconds" && is_launcher(role)) {
            MPITRAIN_TRY(const int seconds, integer(entry.value, 0));
            set("stop-grace", fmt::format("{}s", seconds), entry.value);
        } else if (entry.key != "containers") {
            ignore(path, entry);
        } else {
            MPITRAIN_TRY_VOID(read_containers(entry.value, path + ".containers", role));
        }
    }
    if (role.container == nullptr) {
        return bad_value(name_, pod, "no container", "add containers: [{image: …}]");
    }
    return {};
}

// Only the first one trains; the others are its helpers in the pod.
Result<void> ManifestReader::read_containers(const YamlNode& list,
                                             const std::string& path,
                                             ManifestRole& role) {
    for (std::size_t i = 0; i < list.items.size(); ++i) {
        const std::string inner = fmt::format("{}[{}]", path, i);
        if (i > 0) {
            manifest_.ignored.push_back(inner);
        } else {
            MPITRAIN_TRY_VOID(read_container(list.items[i], inner, role));
        }
    }
    return {};
}

Result<void> ManifestReader::read_container(const YamlNode& node,
                                            const std::string& path,
                                            ManifestRole& role) {
    if (node.kind != YamlNode::Kind::mapping) {
        return bad_value(name_, node, "no container", "write - image: …");
    }
    role.container = &node;
    for (const YamlEntry& entry : node.entries) {
        const bool is_command = entry.key == "command" || entry.key == "args";
        if (entry.key == "env") {
            MPITRAIN_TRY_VOID(read_env(entry.value, path, role));
        } else if (entry.key != "name" && entry.key != "resources" &&
                   !(is_command && is_launcher(role))) {
            ignore(path, entry);
        }
    }
    return {};
}

Result<void> ManifestReader::read_env(const YamlNode& list,
                                      const std::string& path,
                                      ManifestRole& role) {
    for (const YamlNode& item : list.items) {
        const YamlNode* variable = item.find("name");
        if (variable == nullptr || !is_variable_name(variable->text)) {
            return bad_value(
                name_, item, "a variable without a good name", "write {name: NAME, value: text}");
        }
        const YamlNode* value = item.find("value");
        const bool is_plain = item.find("valueFrom") == nullptr &&
                              (value == nullptr || value->text.find("$(") == std::string::npos);
        if (is_plain && !is_contract_variable(variable->text)) {
            role.env[variable->text] = value == nullptr ? "" : value->text;
        } else {
            manifest_.ignored.push_back(fmt::format("{}.env.{}", path, variable->text));
        }
    }
    return {};
}

}  // namespace

Result<Manifest> read_manifest(std::string_view name, const YamlNode& root) {
    Manifest manifest;
    MPITRAIN_TRY_VOID(ManifestReader(name, manifest).read_root(root));
    return manifest;
}

void add_setting(settings::Layer& layer,
                 std::string_view option,
                 std::string value,
                 std::string_view name,
                 const YamlNode& node) {
    settings::OptionSet set;
    settings::append(set, settings::job_options());
    const settings::Option* known = settings::find(set, option);
    const auto there = std::ranges::find(layer, known, &settings::Setting::option);
    if (there != layer.end()) {
        there->values.push_back(std::move(value));
    } else {
        layer.push_back(
            {known, {std::move(value)}, {settings::OriginKind::job_file, place(name, node)}});
    }
}

}  // namespace mpitrain::jobfile
