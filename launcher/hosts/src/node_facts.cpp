#include "mpitrain/hosts/node_facts.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "mpitrain/supervise/slot_registry.hpp"
#include "mpitrain/topology/discover.hpp"

namespace mpitrain::hosts {
namespace {

using Json = nlohmann::ordered_json;

std::string hostname() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

std::string first_line(const char* path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

int bits_set(const unsigned char* bytes, std::size_t count) {
    int bits = 0;
    for (std::size_t i = 0; i < count; ++i) {
        bits += std::popcount(bytes[i]);
    }
    return bits;
}

// Nothing for what has no internet address.
std::optional<Interface> interface_of(const ifaddrs& entry) {
    if (entry.ifa_addr == nullptr || entry.ifa_netmask == nullptr ||
        (entry.ifa_flags & IFF_UP) == 0 || (entry.ifa_flags & IFF_LOOPBACK) != 0) {
        return std::nullopt;
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    Interface found;
    found.name = entry.ifa_name;
    if (entry.ifa_addr->sa_family == AF_INET) {
        sockaddr_in address{};
        sockaddr_in mask{};
        std::memcpy(&address, entry.ifa_addr, sizeof address);
        std::memcpy(&mask, entry.ifa_netmask, sizeof mask);
        ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
        found.bits = std::popcount(mask.sin_addr.s_addr);
    } else if (entry.ifa_addr->sa_family == AF_INET6) {
        sockaddr_in6 address{};
        sockaddr_in6 mask{};
        std::memcpy(&address, entry.ifa_addr, sizeof address);
        std::memcpy(&mask, entry.ifa_netmask, sizeof mask);
        ::inet_ntop(AF_INET6, &address.sin6_addr, text.data(), text.size());
        found.bits = bits_set(mask.sin6_addr.s6_addr, sizeof mask.sin6_addr.s6_addr);
    } else {
        return std::nullopt;
    }
    found.address = text.data();
    return found;
}

std::vector<Interface> all_interfaces() {
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) {
        return {};
    }
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> list(first, &::freeifaddrs);
    std::vector<Interface> found;
    for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
        if (auto interface = interface_of(*entry)) {
            found.push_back(*std::move(interface));
        }
    }
    return found;
}

// sshd's account of the connection: "client port server port".
void read_ssh_connection(NodeFacts& facts) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes the environment meanwhile
    const char* text = std::getenv("SSH_CONNECTION");
    std::istringstream words(text != nullptr ? text : "");
    std::string port;
    words >> facts.seen_from >> port >> facts.seen_at;
    for (std::string* address : {&facts.seen_from, &facts.seen_at}) {
        address->resize(std::min(address->size(), address->find('%')));  // an IPv6 zone
    }
}

std::vector<Slot> slots_for(const NodeTopology& node, Device device) {
    const bool cpu =
        device == Device::cpu || node.slots.empty() || node.slots.front().kind == SlotKind::cpu;
    return cpu ? cpu_slots(node) : node.slots;
}

std::string text_at(const Json& json, const char* name) {
    return json.at(name).get<std::string>();
}

NodeFacts read_facts(const Json& json) {
    NodeFacts facts;
    facts.version = text_at(json, "version");
    facts.hostname = text_at(json, "hostname");
    facts.boot = text_at(json, "boot");
    facts.seen_from = text_at(json, "seen_from");
    facts.seen_at = text_at(json, "seen_at");
    facts.lock_directory = text_at(json, "lock_directory");
    for (const Json& slot : json.at("busy")) {
        facts.busy.emplace(slot.get<int>());
    }
    for (const Json& interface : json.at("interfaces")) {
        facts.interfaces.push_back({.name = text_at(interface, "name"),
                                    .address = text_at(interface, "address"),
                                    .bits = interface.at("bits").get<int>()});
    }
    return facts;
}

}  // namespace

Result<NodeFacts> facts_of_this_machine(Device device, bool share_cpus) {
    topology::DiscoverOptions options = topology::DiscoverOptions::from_environment();
    options.device = device;
    NodeFacts facts;
    MPITRAIN_TRY(facts.topology, topology::discover(options));
    MPITRAIN_TRY(const SlotRegistry registry, SlotRegistry::open());
    for (const Slot& slot : slots_for(facts.topology, device)) {
        Resources alone = resources_of(slot);
        alone.share_cpus = share_cpus;
        // What a dying job is just letting go of will be free when our ranks start.
        if (!registry.is_free(alone) && !registry.is_being_released(alone)) {
            facts.busy.insert(slot.slot);
        }
    }
    facts.version = MPITRAIN_VERSION;
    facts.hostname = hostname();
    facts.boot = facts.hostname + "/" + first_line("/proc/sys/kernel/random/boot_id");
    facts.lock_directory = registry.directory();
    facts.interfaces = all_interfaces();
    read_ssh_connection(facts);
    return facts;
}

std::string to_json(const NodeFacts& facts) {
    Json busy = Json::array();
    for (const SlotId slot : facts.busy) {
        busy.push_back(slot.value());
    }
    Json interfaces = Json::array();
    for (const Interface& one : facts.interfaces) {
        interfaces.push_back({{"name", one.name}, {"address", one.address}, {"bits", one.bits}});
    }
    const Json json = {{"schema", "mpitrain.node/1"},
                       {"version", facts.version},
                       {"hostname", facts.hostname},
                       {"boot", facts.boot},
                       {"seen_from", facts.seen_from},
                       {"seen_at", facts.seen_at},
                       {"interfaces", std::move(interfaces)},
                       {"lock_directory", facts.lock_directory},
                       {"busy", std::move(busy)},
                       {"topology", Json::parse(mpitrain::to_json(facts.topology))}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<NodeFacts> facts_from_json(std::string_view text) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object() || json.value("schema", "") != "mpitrain.node/1") {
        return Error(ErrorCode::invalid_argument, "not of schema mpitrain.node/1");
    }
    NodeFacts facts;
    try {
        facts = read_facts(json);
    } catch (const nlohmann::json::exception& error) {
        return Error(ErrorCode::invalid_argument, error.what());
    }
    const auto topology = json.find("topology");
    MPITRAIN_TRY(facts.topology,
                 topology_from_json(topology != json.end() ? topology->dump() : ""));
    return facts;
}

std::string network_of(const Interface& interface) {
    in_addr address{};
    if (::inet_pton(AF_INET, interface.address.c_str(), &address) != 1) {
        return interface.name;
    }
    const std::uint32_t mask =
        interface.bits <= 0 ? 0 : ~std::uint32_t{0} << static_cast<unsigned>(32 - interface.bits);
    address.s_addr = htonl(ntohl(address.s_addr) & mask);
    std::array<char, INET_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET, &address, text.data(), text.size());
    return fmt::format("{}/{}", text.data(), interface.bits);
}

}  // namespace mpitrain::hosts
