#include "mpitrain/sim/cluster_file.hpp"

#include <fmt/format.h>

#include "cluster_forms.hpp"
#include "rows.hpp"

namespace mpitrain::sim {
namespace {

enum class Form : std::uint8_t { yaml, conf, csv };

// By the first line that says something.
Form form_of(std::string_view text) {
    for (const std::string_view line : lines_of(text)) {
        const auto words = split_blanks(line);
        if (words.empty() || words[0].front() == '#') {
            continue;
        }
        if (words[0].starts_with("SwitchName=") || words[0].starts_with("BlockName=") ||
            words[0].starts_with("BlockSizes=")) {
            return Form::conf;
        }
        return line.find(',') != std::string_view::npos && line.find(':') == std::string_view::npos
                   ? Form::csv
                   : Form::yaml;
    }
    return Form::yaml;
}

Result<scheduler::ClusterSpec> read_yaml_form(std::string_view text,
                                              std::string_view name,
                                              const NodeDefaults& defaults) {
    MPITRAIN_TRY(const auto documents, jobfile::read_yaml(text, name));
    if (documents.size() != 1 || documents[0].kind != jobfile::YamlNode::Kind::mapping) {
        return Error(ErrorCode::invalid_argument, "a cluster file is one mapping")
            .at(name)
            .mend("start with 'nodes: 8'");
    }
    if (documents[0].find("blocks") != nullptr) {
        return read_topograph_model(documents[0], name, defaults);
    }
    return read_yaml_cluster(documents[0], name, defaults);
}

}  // namespace

Result<scheduler::ClusterSpec> read_cluster(std::string_view text,
                                            std::string_view name,
                                            const NodeDefaults& defaults) {
    const auto read = [&]() -> Result<scheduler::ClusterSpec> {
        switch (form_of(text)) {
            case Form::conf:
                return read_topology_conf(text, name, defaults);
            case Form::csv:
                return read_csv_cluster(text, name, defaults);
            case Form::yaml:
                return read_yaml_form(text, name, defaults);
        }
        return Error(ErrorCode::internal, "an unknown form");
    };
    MPITRAIN_TRY(auto cluster, read());
    if (auto valid = scheduler::validate(cluster); !valid) {
        return std::move(valid.error()).at(name);
    }
    return cluster;
}

}  // namespace mpitrain::sim
