// Cluster descriptions of others: topograph models, Slurm's topology.conf, CSV.
#include <fmt/format.h>

#include <map>

#include "cluster_forms.hpp"
#include "mpitrain/base/host_list.hpp"
#include "rows.hpp"

namespace mpitrain::sim {
namespace {

using jobfile::YamlEntry;
using jobfile::YamlNode;
using scheduler::ClusterSpec;

void add_nodes(ClusterSpec& cluster,
               const std::vector<std::string>& hosts,
               const std::string& leaf,
               const std::string& block,
               const NodeDefaults& defaults) {
    for (const std::string& host : hosts) {
        cluster.nodes.push_back({.name = host,
                                 .leaf = leaf,
                                 .block = block,
                                 .gpu_type = std::string(defaults.gpu_type),
                                 .slots = defaults.gpus_per_node});
    }
}

Error wrong(std::string_view name, int line, std::string_view field, std::string_view what) {
    return Error(ErrorCode::invalid_argument, fmt::format("field '{}' {}", field, what))
        .at(fmt::format("{}:{}", name, line));
}

// KEY=VALUE words of one line.
std::map<std::string_view, std::string_view> settings_of(std::string_view line) {
    std::map<std::string_view, std::string_view> found;
    for (const std::string_view word : split_blanks(line.substr(0, line.find('#')))) {
        const std::size_t equals = word.find('=');
        if (equals != std::string_view::npos) {
            found[word.substr(0, equals)] = word.substr(equals + 1);
        }
    }
    return found;
}

struct Leaf {
    std::string name;
    std::vector<std::string> hosts;
};

// Cluster order: leaves under one parent stand together.
ClusterSpec assemble(const std::vector<Leaf>& leaves,
                     const std::map<std::string, std::string>& parent,
                     const NodeDefaults& defaults) {
    ClusterSpec cluster;
    for (const Leaf& leaf : leaves) {
        const auto above = parent.find(leaf.name);
        add_nodes(
            cluster, leaf.hosts, leaf.name, above == parent.end() ? "" : above->second, defaults);
    }
    return cluster;
}

}  // namespace

Result<ClusterSpec> read_topograph_model(const YamlNode& document,
                                         std::string_view name,
                                         const NodeDefaults& defaults) {
    std::map<std::string, std::string> parent;
    if (const YamlNode* switches = document.find("switches")) {
        for (const YamlEntry& one : switches->entries) {
            if (const YamlNode* below = one.value.find("switches")) {
                for (const YamlNode& child : below->items) {
                    parent[child.text] = one.key;
                }
            }
        }
    }
    std::vector<Leaf> leaves;
    for (const YamlNode& block : document.find("blocks")->items) {
        const YamlNode* leaf = block.find("switch");
        const YamlNode* nodes = block.find("nodes");
        if (nodes == nullptr) {
            return wrong(name, block.line, "nodes", "is missing in a block");
        }
        Leaf found{leaf == nullptr ? fmt::format("block{}", leaves.size()) : leaf->text, {}};
        for (const YamlNode& item : nodes->items) {
            auto hosts = expand_host_list(item.text);
            if (!hosts) {
                return wrong(name, item.line, "nodes", hosts.error().what());
            }
            found.hosts.insert(found.hosts.end(), hosts->begin(), hosts->end());
        }
        leaves.push_back(std::move(found));
    }
    return assemble(leaves, parent, defaults);
}

Result<ClusterSpec> read_topology_conf(std::string_view text,
                                       std::string_view name,
                                       const NodeDefaults& defaults) {
    std::map<std::string, std::string> parent;
    std::vector<Leaf> leaves;
    int number = 0;
    for (const std::string_view line : lines_of(text)) {
        ++number;
        const auto settings = settings_of(line);
        if (settings.empty() || settings.contains("BlockSizes")) {
            continue;
        }
        const bool is_switch = settings.contains("SwitchName");
        if (!is_switch && !settings.contains("BlockName")) {
            return wrong(name, number, "SwitchName", "or BlockName is missing");
        }
        const std::string own(settings.at(is_switch ? "SwitchName" : "BlockName"));
        const auto nodes = settings.find("Nodes");
        const auto below = settings.find("Switches");
        if (nodes == settings.end() && below == settings.end()) {
            return wrong(name, number, "Nodes", "is missing");
        }
        auto names = expand_host_list(nodes != settings.end() ? nodes->second : below->second);
        if (!names) {
            return wrong(
                name, number, nodes != settings.end() ? "Nodes" : "Switches", names.error().what());
        }
        if (nodes != settings.end()) {
            leaves.push_back({own, *std::move(names)});
        } else {
            for (const std::string& child : *names) {
                parent[child] = own;
            }
        }
    }
    return assemble(leaves, parent, defaults);
}

Result<ClusterSpec> read_csv_cluster(std::string_view text,
                                     std::string_view name,
                                     const NodeDefaults& defaults) {
    Row row{name, 0, {}};
    std::optional<Columns> columns;
    std::optional<std::size_t> node;
    std::optional<std::size_t> block;
    ClusterSpec cluster;
    const auto field = [&row](std::optional<std::size_t> column) {
        return column && *column < row.fields.size() ? std::string(row.fields[*column]) : "";
    };
    for (const std::string_view line : lines_of(text)) {
        ++row.line;
        if (line.empty()) {
            continue;
        }
        row.fields = split(line, ',');
        if (!columns) {
            columns.emplace(row.fields);
            node = columns->find("node") ? columns->find("node") : columns->find("host");
            block = columns->find("block") ? columns->find("block") : columns->find("spine");
            if (!node) {
                return row.error("node", "is not in the header");
            }
            continue;
        }
        int gpus = defaults.gpus_per_node;
        if (const auto column = columns->find("gpus")) {
            MPITRAIN_TRY(const auto read,
                         row.integer(*column, "gpus", 0, scheduler::slots_per_node_max));
            gpus = static_cast<int>(read);
        }
        if (gpus > 0) {
            const auto type = columns->find("gpu_type");
            cluster.nodes.push_back(
                {.name = field(node),
                 .leaf = field(columns->find("leaf")),
                 .block = field(block),
                 .gpu_type = type ? field(type) : std::string(defaults.gpu_type),
                 .slots = gpus});
        }
    }
    return cluster;
}

}  // namespace mpitrain::sim
