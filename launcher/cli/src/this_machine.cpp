#include "this_machine.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>

namespace mpitrain::cli {
namespace {

// The slots that the entries give this machine; nullopt = all it has.
std::optional<int> slots_of(const std::vector<HostEntry>& hosts) {
    constexpr int slots_max = 1'000'000'000;
    int sum = 0;
    for (const HostEntry& entry : hosts) {
        if (!entry.slots) {
            return std::nullopt;
        }
        sum += std::min(*entry.slots, slots_max - sum);
    }
    return sum;
}

// Lets the ranks be no more than `most`, as `option` says; "all" means that many.
Result<void> bound_ranks(JobSpec& spec, int most, std::string_view option) {
    int fixed = 0;
    CommandGroup* open = nullptr;
    for (CommandGroup& group : spec.groups) {
        fixed += group.ranks.value_or(0);
        open = group.ranks ? open : &group;
    }
    const int wanted = fixed + (open != nullptr ? 1 : 0);
    if (wanted > most) {
        return Error(ErrorCode::unsatisfiable,
                     fmt::format("{} ranks on this machine, at most {} are allowed", wanted, most))
            .at(option)
            .mend("allow more, or ask for fewer ranks");
    }
    if (open != nullptr) {
        open->ranks = most - fixed;
    }
    return {};
}

// Each host once, in the order of its first mention. A host given again by another --host adds its
// slots; one mention without a number is all that it has.
std::vector<HostEntry> merged(std::vector<HostEntry> hosts) {
    std::vector<HostEntry> once;
    std::map<std::string, std::size_t> known;
    for (HostEntry& host : hosts) {
        const auto [at, fresh] = known.emplace(host.host, once.size());
        if (fresh) {
            once.push_back(std::move(host));
        } else if (HostEntry& first = once[at->second]; first.slots && host.slots) {
            *first.slots += *host.slots;
        } else {
            first.slots.reset();
        }
    }
    return once;
}

}  // namespace

bool is_this_machine(std::string_view host) {
    std::array<char, 256> buffer{};
    gethostname(buffer.data(), buffer.size() - 1);
    const std::string_view own = buffer.data();
    return host == "localhost" || host.starts_with("127.") ||
           (!own.empty() && (host == own || host == own.substr(0, own.find('.'))));
}

Result<std::vector<HostEntry>> settle_on_this_machine(JobSpec& spec, std::vector<HostEntry> hosts) {
    for (const std::string& entry : spec.host) {
        MPITRAIN_TRY(const std::vector<HostEntry> named, parse_host_option(entry));
        hosts.insert(hosts.end(), named.begin(), named.end());
    }
    const auto is_here = [](const HostEntry& entry) { return is_this_machine(entry.host); };
    if (!std::ranges::all_of(hosts, is_here)) {
        return merged(std::move(hosts));
    }
    const std::optional<int> slots = slots_of(hosts);
    if (!hosts.empty() && slots && !spec.oversubscribe) {
        MPITRAIN_TRY_VOID(
            bound_ranks(spec, *slots, spec.hostfile.empty() ? "--host" : "--hostfile"));
    }
    if (spec.ranks_per_node) {
        MPITRAIN_TRY_VOID(bound_ranks(spec, *spec.ranks_per_node, "--ranks-per-node"));
    }
    if (!hosts.empty()) {
        spec.hostfile.clear();
        spec.host = {slots ? fmt::format("localhost:{}", *slots) : "localhost"};
    }
    return std::vector<HostEntry>();
}

}  // namespace mpitrain::cli
