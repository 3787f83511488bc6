#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "mpitrain/model/topology.hpp"

namespace mpitrain {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view schema = "mpitrain.topo/1";
constexpr std::size_t slots_max = 1 << 16;
constexpr std::int64_t id_max = 1 << 20;
constexpr std::array link_classes = {LinkClass::nvl,
                                     LinkClass::pix,
                                     LinkClass::pxb,
                                     LinkClass::phb,
                                     LinkClass::node,
                                     LinkClass::sys};
constexpr std::array vendors = {Vendor::nvidia, Vendor::amd, Vendor::intel, Vendor::other};

Json gpu_json(const Gpu& gpu) {
    return {{"uuid", gpu.uuid},
            {"pci", gpu.pci.to_string()},
            {"model", gpu.model},
            {"vendor", to_string(gpu.vendor)}};
}

Json slot_json(const Slot& slot) {
    Json gpus = Json::array();
    for (const Gpu& gpu : slot.gpus) {
        gpus.push_back(gpu_json(gpu));
    }
    return {{"slot", slot.slot.value()},
            {"kind", to_string(slot.kind)},
            {"gpus", std::move(gpus)},
            {"numa", slot.numa},
            {"cpus", slot.cpus.to_string()},
            {"nics", slot.nics}};
}

template <typename Cell, typename Encode>
Json matrix_json(const std::vector<std::vector<std::optional<Cell>>>& matrix, Encode encode) {
    Json rows = Json::array();
    for (const auto& row : matrix) {
        Json cells = Json::array();
        for (const std::optional<Cell>& cell : row) {
            cells.push_back(cell ? Json(encode(*cell)) : Json(nullptr));
        }
        rows.push_back(std::move(cells));
    }
    return rows;
}

Json links_json(const Links& links) {
    return {
        {"unit", "MB/s"},
        {"matrix", matrix_json(links.bandwidth_mb_s, [](int value) { return value; })},
        {"class", matrix_json(links.link_class, [](LinkClass value) { return to_string(value); })}};
}

Error wrong(std::string_view field, std::string_view what) {
    return Error(ErrorCode::invalid_argument, fmt::format("field '{}' {}", field, what))
        .at("topology JSON")
        .mend("give the output of mpitrain topo --output json");
}

// One object being read, and its name for errors. Every getter checks presence and type.
class Reader {
  public:
    Reader(const Json& object, std::string name) : object_(object), name_(std::move(name)) {}

    template <typename T>
    Result<T> get(std::string_view key) const {
        const auto found = object_.find(key);
        if (found == object_.end()) {
            return wrong(path(key), "is missing");
        }
        return as<T>(*found, path(key));
    }

    Result<CpuSet> cpus(std::string_view key) const {
        MPITRAIN_TRY(const std::string text, get<std::string>(key));
        return CpuSet::parse(text);
    }

    // The elements of the array `key`, each with its name.
    Result<std::vector<Reader>> objects(std::string_view key) const {
        const auto found = object_.find(key);
        if (found == object_.end() || !found->is_array() || found->size() > slots_max) {
            return wrong(path(key), "is not an array");
        }
        std::vector<Reader> readers;
        for (std::size_t index = 0; index < found->size(); ++index) {
            if (!(*found)[index].is_object()) {
                return wrong(fmt::format("{}[{}]", path(key), index), "is not an object");
            }
            readers.emplace_back((*found)[index], fmt::format("{}[{}]", path(key), index));
        }
        return readers;
    }

    [[nodiscard]] const Json* find(std::string_view key) const {
        const auto found = object_.find(key);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }

    [[nodiscard]] std::string path(std::string_view key) const {
        return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key);
    }

  private:
    template <typename T>
    static Result<T> as(const Json& value, const std::string& name) {
        try {
            if constexpr (std::is_same_v<T, int>) {
                if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
                    value.get<std::int64_t>() > id_max) {
                    return wrong(name, "is not a small whole number");
                }
            }
            return value.get<T>();
        } catch (const nlohmann::json::exception&) {
            return wrong(name, "has the wrong type");
        }
    }

    const Json& object_;
    std::string name_;
};

Result<Gpu> read_gpu(const Reader& reader) {
    Gpu gpu;
    MPITRAIN_TRY(gpu.uuid, reader.get<std::string>("uuid"));
    MPITRAIN_TRY(gpu.model, reader.get<std::string>("model"));
    MPITRAIN_TRY(const std::string pci, reader.get<std::string>("pci"));
    MPITRAIN_TRY(gpu.pci, PciAddress::parse(pci));
    MPITRAIN_TRY(const std::string vendor, reader.get<std::string>("vendor"));
    for (const Vendor candidate : vendors) {
        if (to_string(candidate) == vendor) {
            gpu.vendor = candidate;
        }
    }
    return gpu;
}

Result<Slot> read_slot(const Reader& reader, int expected) {
    Slot slot;
    MPITRAIN_TRY(const int id, reader.get<int>("slot"));
    if (id != expected) {
        return wrong(reader.path("slot"), "is out of order");
    }
    slot.slot = SlotId(id);
    MPITRAIN_TRY(const std::string kind, reader.get<std::string>("kind"));
    if (kind != "gpu" && kind != "cpu") {
        return wrong(reader.path("kind"), "is neither gpu nor cpu");
    }
    slot.kind = kind == "gpu" ? SlotKind::gpu : SlotKind::cpu;
    MPITRAIN_TRY(const std::vector<Reader> gpus, reader.objects("gpus"));
    for (const Reader& gpu_reader : gpus) {
        MPITRAIN_TRY(Gpu gpu, read_gpu(gpu_reader));
        slot.gpus.push_back(std::move(gpu));
    }
    MPITRAIN_TRY(slot.numa, reader.get<std::vector<int>>("numa"));
    MPITRAIN_TRY(slot.cpus, reader.cpus("cpus"));
    MPITRAIN_TRY(slot.nics, reader.get<std::vector<std::string>>("nics"));
    return slot;
}

std::optional<int> read_bandwidth(const Json& cell) {
    return cell.is_number_integer() ? std::optional<int>(cell.get<int>()) : std::nullopt;
}

std::optional<LinkClass> read_class(const Json& cell) {
    for (const LinkClass candidate : link_classes) {
        if (cell == Json(to_string(candidate))) {
            return candidate;
        }
    }
    return std::nullopt;
}

template <typename Cell>
Result<std::vector<std::vector<Cell>>> read_matrix(const Reader& links,
                                                   std::string_view key,
                                                   std::size_t side,
                                                   Cell (*decode)(const Json&)) {
    const Json* rows = links.find(key);
    const bool square = rows != nullptr && rows->is_array() && rows->size() == side &&
                        std::all_of(rows->begin(), rows->end(), [side](const Json& row) {
                            return row.is_array() && row.size() == side;
                        });
    if (!square) {
        return wrong(links.path(key), "is not square over the slots");
    }
    std::vector<std::vector<Cell>> matrix(side, std::vector<Cell>(side));
    for (std::size_t row = 0; row < side; ++row) {
        for (std::size_t column = 0; column < side; ++column) {
            matrix[row][column] = decode((*rows)[row][column]);
        }
    }
    return matrix;
}

Result<Links> read_links(const Reader& root, std::size_t side) {
    const Json* object = root.find("links");
    if (object == nullptr || !object->is_object()) {
        return wrong("links", "is missing");
    }
    const Reader reader(*object, "links");
    Links links;
    const Json* matrix = reader.find("matrix");
    // CPU slots have no links: the matrices are empty, not square over thousands of cores.
    const bool none = matrix != nullptr && matrix->is_array() && matrix->empty();
    const std::size_t wanted = none ? 0 : side;
    MPITRAIN_TRY(links.bandwidth_mb_s, read_matrix(reader, "matrix", wanted, read_bandwidth));
    MPITRAIN_TRY(links.link_class, read_matrix(reader, "class", wanted, read_class));
    return links;
}

// What a newer or foreign writer may leave out: cores, NUMA nodes and limits.
Result<void> read_processors(const Reader& root, NodeTopology& node) {
    MPITRAIN_TRY(const auto cores, root.get<std::vector<std::string>>("cores"));
    for (const std::string& text : cores) {
        MPITRAIN_TRY(CpuSet core, CpuSet::parse(text));
        node.cores.push_back(std::move(core));
    }
    MPITRAIN_TRY(const std::vector<Reader> numa_nodes, root.objects("numa_nodes"));
    for (const Reader& reader : numa_nodes) {
        NumaNode numa;
        MPITRAIN_TRY(numa.id, reader.get<int>("id"));
        MPITRAIN_TRY(numa.cpus, reader.cpus("cpus"));
        MPITRAIN_TRY(const std::uint64_t memory, reader.get<std::uint64_t>("memory_bytes"));
        numa.memory = Bytes(memory);
        node.numa_nodes.push_back(std::move(numa));
    }
    MPITRAIN_TRY(node.allowed, root.cpus("allowed"));
    if (root.find("cpu_quota") != nullptr) {
        MPITRAIN_TRY(const double quota, root.get<double>("cpu_quota"));
        node.cpu_quota = quota;
    }
    MPITRAIN_TRY(node.pinning_allowed, root.get<bool>("pinning_allowed"));
    return {};
}

}  // namespace

std::string to_json(const NodeTopology& node) {
    Json slots = Json::array();
    for (const Slot& slot : node.slots) {
        slots.push_back(slot_json(slot));
    }
    Json cores = Json::array();
    for (const CpuSet& core : node.cores) {
        cores.push_back(core.to_string());
    }
    Json numa_nodes = Json::array();
    for (const NumaNode& numa : node.numa_nodes) {
        numa_nodes.push_back({{"id", numa.id},
                              {"cpus", numa.cpus.to_string()},
                              {"memory_bytes", numa.memory.count()}});
    }
    const Json root = {{"schema", schema},
                       {"host", node.host},
                       {"slots", std::move(slots)},
                       {"links", links_json(node.links)},
                       {"cores", std::move(cores)},
                       {"numa_nodes", std::move(numa_nodes)},
                       {"allowed", node.allowed.to_string()},
                       {"cpu_quota", node.cpu_quota ? Json(*node.cpu_quota) : Json(nullptr)},
                       {"pinning_allowed", node.pinning_allowed},
                       {"warnings", node.warnings}};
    // A device name may hold bytes that are not UTF-8; they must not make the whole answer fail.
    return root.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<NodeTopology> topology_from_json(std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    if (json.is_discarded() || !json.is_object()) {
        return Error(ErrorCode::invalid_argument, "this is not a JSON object").at("topology JSON");
    }
    const Reader root(json, "");
    NodeTopology node;
    MPITRAIN_TRY(const std::string found_schema, root.get<std::string>("schema"));
    if (found_schema != schema) {
        return wrong("schema", fmt::format("is '{}', not '{}'", found_schema, schema));
    }
    MPITRAIN_TRY(node.host, root.get<std::string>("host"));
    MPITRAIN_TRY(const std::vector<Reader> slots, root.objects("slots"));
    for (const Reader& reader : slots) {
        MPITRAIN_TRY(Slot slot, read_slot(reader, static_cast<int>(node.slots.size())));
        node.slots.push_back(std::move(slot));
    }
    MPITRAIN_TRY(node.links, read_links(root, node.slots.size()));
    MPITRAIN_TRY_VOID(read_processors(root, node));
    MPITRAIN_TRY(node.warnings, root.get<std::vector<std::string>>("warnings"));
    return node;
}

}  // namespace mpitrain
