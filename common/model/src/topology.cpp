#include "mpitrain/model/topology.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace mpitrain {
namespace {

// The whole of `text` as a hexadecimal number of one to `digits_max` digits.
std::optional<std::uint32_t> parse_hex(std::string_view text, std::size_t digits_max) {
    if (text.empty() || text.size() > digits_max) {
        return std::nullopt;
    }
    std::uint32_t value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (code != std::errc() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

// The NUMA node that holds the core; empty where none does, or where it straddles two.
std::vector<int> numa_of(const CpuSet& core, const std::vector<NumaNode>& nodes) {
    for (const NumaNode& node : nodes) {
        if (!node.cpus.empty() && node.cpus.includes(core)) {
            return {node.id};
        }
    }
    return {};
}

}  // namespace

std::string_view to_string(Vendor vendor) {
    switch (vendor) {
        case Vendor::nvidia:
            return "nvidia";
        case Vendor::amd:
            return "amd";
        case Vendor::intel:
            return "intel";
        case Vendor::other:
            return "other";
    }
    return "other";
}

std::string_view to_string(SlotKind kind) {
    return kind == SlotKind::gpu ? "gpu" : "cpu";
}

std::string_view to_string(LinkClass link_class) {
    switch (link_class) {
        case LinkClass::nvl:
            return "NVL";
        case LinkClass::pix:
            return "PIX";
        case LinkClass::pxb:
            return "PXB";
        case LinkClass::phb:
            return "PHB";
        case LinkClass::node:
            return "NODE";
        case LinkClass::sys:
            return "SYS";
    }
    return "SYS";
}

Result<PciAddress> PciAddress::parse(std::string_view text) {
    const auto refuse = [text] {
        return Error(ErrorCode::invalid_argument, fmt::format("'{}' is not a PCI address", text))
            .mend("write it like 0000:1b:00.0");
    };
    const std::size_t dot = text.rfind('.');
    const std::size_t colon = text.substr(0, dot).rfind(':');
    if (dot == std::string_view::npos || colon == std::string_view::npos) {
        return refuse();
    }
    std::string_view bus = text.substr(0, colon);
    std::string_view domain = "0";
    if (const std::size_t first = bus.find(':'); first != std::string_view::npos) {
        domain = bus.substr(0, first);
        bus = bus.substr(first + 1);
    }
    const auto domain_number = parse_hex(domain, 8);
    const auto bus_number = parse_hex(bus, 2);
    const auto device = parse_hex(text.substr(colon + 1, dot - colon - 1), 2);
    const auto function = parse_hex(text.substr(dot + 1), 1);
    if (!domain_number || !bus_number || !device || *device > 0x1f || !function || *function > 7) {
        return refuse();
    }
    return PciAddress{*domain_number, *bus_number, *device, *function};
}

std::string PciAddress::to_string() const {
    return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain, bus, device, function);
}

std::vector<Slot> cpu_slots(const NodeTopology& node) {
    std::size_t count = node.cores.size();
    if (node.cpu_quota) {
        // A quota of 1.5 CPUs feeds one busy rank, not two.
        const double whole = std::max(1.0, std::floor(*node.cpu_quota));
        if (whole < static_cast<double>(count)) {
            count = static_cast<std::size_t>(whole);
        }
    }
    std::vector<Slot> slots;
    for (std::size_t index = 0; index < count; ++index) {
        Slot slot;
        slot.slot = SlotId(static_cast<int>(index));
        if (node.pinning_allowed) {
            slot.cpus = node.cores[index];
            slot.numa = numa_of(slot.cpus, node.numa_nodes);
        }
        slots.push_back(std::move(slot));
    }
    return slots;
}

}  // namespace mpitrain
