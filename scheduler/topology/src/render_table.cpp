#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "mpitrain/topology/render.hpp"
#include "summary.hpp"

namespace mpitrain::topology {
namespace {

using Row = std::vector<std::string>;

// Columns as wide as their widest cell, two blanks apart, nothing behind the last.
std::string columns(const std::vector<Row>& rows) {
    std::vector<std::size_t> widths;
    for (const Row& row : rows) {
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t column = 0; column < row.size(); ++column) {
            widths[column] = std::max(widths[column], row[column].size());
        }
    }
    std::string text;
    for (const Row& row : rows) {
        std::string line;
        for (std::size_t column = 0; column < row.size(); ++column) {
            line += fmt::format("{:<{}}  ", row[column], widths[column]);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        text += line + "\n";
    }
    return text;
}

std::string gpu_rows(const NodeTopology& node) {
    std::vector<Row> rows = {{"SLOT", "GPU", "PCI", "UUID", "NUMA", "CPUS", "NIC"}};
    for (const Slot& slot : node.slots) {
        const Gpu gpu = slot.gpus.empty() ? Gpu() : slot.gpus.front();
        rows.push_back({fmt::format("{}", slot.slot.value()),
                        gpu.model.empty() ? std::string(to_string(gpu.vendor)) : gpu.model,
                        gpu.pci.to_string(),
                        gpu.uuid.empty() ? "?" : gpu.uuid,
                        numa_text(slot),
                        slot.cpus.empty() ? "-" : slot.cpus.to_string(),
                        slot.nics.empty() ? "-" : fmt::format("{}", fmt::join(slot.nics, ","))});
    }
    return columns(rows);
}

std::string link_rows(const Links& links) {
    std::vector<Row> rows = {{"LINK"}};
    for (std::size_t slot = 0; slot < links.link_class.size(); ++slot) {
        rows.front().push_back(fmt::format("{}", slot));
        Row row{fmt::format("{}", slot)};
        for (std::size_t other = 0; other < links.link_class.size(); ++other) {
            row.push_back(slot == other ? "-" : link_text(links, slot, other));
        }
        rows.push_back(std::move(row));
    }
    return columns(rows);
}

// Neighbouring CPU slots of one NUMA node.
std::string cpu_rows(const NodeTopology& node) {
    std::vector<Row> rows = {{"SLOTS", "NUMA", "CPUS"}};
    for (std::size_t first = 0; first < node.slots.size();) {
        std::size_t last = first;
        CpuSet cpus = node.slots[first].cpus;
        while (last + 1 < node.slots.size() &&
               node.slots[last + 1].numa == node.slots[first].numa) {
            cpus |= node.slots[++last].cpus;
        }
        rows.push_back(
            {first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last),
             numa_text(node.slots[first]),
             cpus.empty() ? "any" : cpus.to_string()});
        first = last + 1;
    }
    return columns(rows);
}

}  // namespace

std::string render_table(const NodeTopology& node) {
    std::string text = fmt::format("{}: {}\n\n", node.host, summary_of(node));
    if (!has_gpu_slots(node)) {
        return text + cpu_rows(node);
    }
    text += gpu_rows(node);
    if (node.links.link_class.size() > 1) {
        text += "\n" + link_rows(node.links);
    }
    return text;
}

}  // namespace mpitrain::topology
