#include "mpitrain/hosts/plan_on_hosts.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <utility>

#include "mpitrain/hosts/place_on_hosts.hpp"
#include "mpitrain/supervise/slot_registry.hpp"

namespace mpitrain::hosts {
namespace {

using namespace std::chrono_literals;

constexpr auto dark_time = 60s;  // that a host which went dark is not asked

std::string own_name() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

Error invalid(std::string what) {
    return Error(ErrorCode::invalid_argument, std::move(what));
}

Result<void> check_distinct(const std::vector<Answer>& answers) {
    std::map<std::string, std::string> names;
    for (const Answer& answer : answers) {
        const auto [known, fresh] = names.emplace(answer.facts->boot, answer.host.host);
        if (!fresh) {
            return invalid(fmt::format(
                               "{} and {} are the same machine", known->second, answer.host.host))
                .at("--host")
                .mend("name it once, with all of its slots");
        }
    }
    return {};
}

const Interface* interface_with(const NodeFacts& facts, const std::string& address) {
    const auto found = std::ranges::find(facts.interfaces, address, &Interface::address);
    return found == facts.interfaces.end() ? nullptr : &*found;
}

void add_once(std::vector<std::string>& to, const std::string& value) {
    if (!value.empty() && std::ranges::find(to, value) == to.end()) {
        to.push_back(value);
    }
}

// Addresses by which the machines reach each other: those that ssh took.
struct Paths {
    std::vector<std::string> ours;
    std::vector<std::string> networks;
    std::map<std::string, std::string> of_host;
};

Paths find_paths(const std::vector<Candidate>& candidates, const NodeFacts& here) {
    Paths paths;
    bool known = true;
    const auto add_network = [&](const NodeFacts& facts, const std::string& address) {
        const Interface* interface = interface_with(facts, address);
        known = known && interface != nullptr;
        add_once(paths.networks, interface != nullptr ? network_of(*interface) : "");
    };
    for (const Candidate& candidate : candidates) {
        if (!is_here(candidate.entry.host)) {
            add_once(paths.ours, candidate.facts.seen_from);
            paths.of_host[candidate.entry.host] = candidate.facts.seen_at;
            add_network(candidate.facts, candidate.facts.seen_at);
        }
    }
    for (const std::string& address : paths.ours) {
        add_network(here, address);
    }
    for (const Candidate& candidate : candidates) {
        if (is_here(candidate.entry.host) && !paths.ours.empty()) {
            paths.of_host[candidate.entry.host] = paths.ours.front();
        }
    }
    if (!known) {  // an address is translated on the way: mpirun must find its own
        paths.networks.clear();
    }
    return paths;
}

// Each lock belongs to the first rank that uses it, so that ranks which share a core do not wait
// for one another.
std::vector<std::vector<wire::SlotLock>> locks_of(const HostsPlacement& placed,
                                                  const std::vector<Candidate>& candidates) {
    std::vector<std::vector<wire::SlotLock>> locks;
    std::set<std::pair<int, std::string>> taken;
    for (const RankPlacement& rank : placed.placements) {
        const int index = rank.node.value();
        const NodeTopology& node = placed.nodes[static_cast<std::size_t>(index)];
        const bool on_gpus = placed.spec.device != Device::cpu && !node.slots.empty() &&
                             node.slots.front().kind == SlotKind::gpu;
        std::vector<wire::SlotLock>& mine = locks.emplace_back();
        for (const Slot& slot : on_gpus ? node.slots : cpu_slots(node)) {
            if (std::ranges::find(rank.slots, slot.slot) == rank.slots.end()) {
                continue;
            }
            for (const std::string& name : lock_names(resources_of(slot))) {
                if (taken.emplace(index, name).second) {
                    const NodeFacts& facts = candidates[static_cast<std::size_t>(index)].facts;
                    mine.push_back({fmt::format("{}/{}", facts.lock_directory, name),
                                    placed.spec.oversubscribe && name.starts_with("cpu-")});
                }
            }
        }
    }
    return locks;
}

// With --min-ranks, as many ranks as there is room for, where there is none for all.
Result<HostsPlacement> place_elastic(const JobSpec& spec,
                                     const std::vector<Candidate>& candidates) {
    auto placed = place_on_hosts(spec, candidates);
    if (placed || !spec.min_ranks || spec.groups.size() != 1) {
        return placed;
    }
    JobSpec fewer = spec;
    for (int ranks = spec.groups.front().ranks.value_or(0) - 1; ranks >= *spec.min_ranks; --ranks) {
        fewer.groups.front().ranks = ranks;
        if (auto smaller = place_on_hosts(fewer, candidates)) {
            return smaller;
        }
    }
    return placed;
}

std::string describe(const LaunchPlan& plan) {
    std::set<std::string> hosts;
    std::size_t gpus = 0;
    std::size_t slots = 0;
    for (const RankPlan& rank : plan.ranks) {
        hosts.insert(rank.host);
        gpus += rank.gpus.size();
        slots += rank.slots.size();
    }
    const auto count = [](std::size_t n, std::string_view noun) {
        return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
    };
    return fmt::format("{} on {}",
                       gpus > 0 ? count(gpus, "GPU") : count(slots, "core"),
                       count(hosts.size(), "host"));
}

}  // namespace

RemotePrograms below_prefix(const std::string& prefix) {
    return {.mpitrain = prefix + "/bin/mpitrain",
            .agent = prefix + "/libexec/mpitrain/mpitrain-rank",
            .client_library = ""};
}

Result<HostsPlanner> HostsPlanner::make(JobSpec spec,
                                        std::vector<HostEntry> hosts,
                                        EnvironmentMap inherited,
                                        RemotePrograms programs) {
    std::set<std::string> users;
    for (const HostEntry& host : hosts) {
        if (!is_here(host.host)) {
            users.insert(host.user);
        }
    }
    if (users.size() > 1) {
        return Error(ErrorCode::unsatisfiable, "mpirun logs in as one user on all hosts")
            .at("--host")
            .mend("set the users in ssh_config instead");
    }
    if (!users.empty() && !users.begin()->empty()) {
        spec.ssh_args.insert(spec.ssh_args.end(), {"-l", *users.begin()});
    }
    for (HostEntry& host : hosts) {
        host.user.clear();
        if (is_here(host.host)) {  // "localhost" would be each machine itself
            host.host = own_name();
        }
    }
    if (std::ssize(hosts) <= spec.spares) {
        return Error(ErrorCode::unsatisfiable,
                     fmt::format("{} of {} hosts are to stay free", spec.spares, hosts.size()))
            .at("--spares")
            .mend("name more hosts, or keep fewer free");
    }
    return HostsPlanner(
        std::move(spec), std::move(hosts), std::move(inherited), std::move(programs));
}

AskOptions HostsPlanner::ask_options() const {
    return {.program = programs_.mpitrain,
            .ssh_args = spec_.ssh_args,
            .device = spec_.device,
            .share_cpus = spec_.oversubscribe};
}

Result<HostsPlan> HostsPlanner::plan() {
    const std::vector<Answer> answers = ask_hosts(hosts_, ask_options());
    if (!std::ranges::all_of(answers, [](const Answer& one) { return one.facts.has_value(); })) {
        return describe_failures(answers);
    }
    return plan_on(answers);
}

void HostsPlanner::replace(const std::string& lost, const std::set<std::string>& answering) {
    const auto was = std::ranges::find(hosts_, lost, &HostEntry::host);
    const auto fresh = std::ranges::find_if(hosts_, [&](const HostEntry& one) {
        return !used_.contains(one.host) && answering.contains(one.host);
    });
    if (was == hosts_.end()) {
        return;
    }
    if (fresh != hosts_.end()) {
        std::iter_swap(was, fresh);
    }
    // The lost one is the last resort.
    const auto now = std::ranges::find(hosts_, lost, &HostEntry::host);
    std::rotate(now, now + 1, hosts_.end());
}

Result<HostsPlan> HostsPlanner::plan_without(const std::string& lost, bool dark) {
    const auto now = std::chrono::steady_clock::now();
    if (dark) {
        dark_[lost] = now;
    }
    std::erase_if(dark_, [now](const auto& each) { return now - each.second > dark_time; });
    std::vector<HostEntry> asked;
    std::ranges::copy_if(hosts_, std::back_inserter(asked), [this](const HostEntry& host) {
        return !dark_.contains(host.host);
    });
    auto plan = plan_among(asked, lost);
    if (!plan && asked.size() < hosts_.size()) {
        return plan_among(hosts_, lost);
    }
    if (plan && !dark_.empty()) {
        std::vector<std::string> names;
        for (const auto& [host, since] : dark_) {
            names.push_back(host);
        }
        plan->notes.push_back(fmt::format("going on without {}", fmt::join(names, ", ")));
    }
    return plan;
}

Result<HostsPlan> HostsPlanner::plan_among(const std::vector<HostEntry>& asked,
                                           const std::string& lost) {
    AskOptions options = ask_options();
    options.connect_deadline = 2s;
    options.deadline = 3s;
    const std::vector<Answer> answers = ask_hosts(asked, options);
    std::set<std::string> answering;
    for (const Answer& answer : answers) {
        if (answer.facts) {
            answering.insert(answer.host.host);
        }
    }
    if (answering.empty()) {
        return answers.empty() ? Error(ErrorCode::unavailable, "no host is left")
                               : describe_failures(answers);
    }
    replace(lost, answering);
    std::vector<Answer> usable;
    for (const HostEntry& host : hosts_) {
        const auto answer =
            std::ranges::find(answers, host.host, [](const Answer& one) { return one.host.host; });
        if (answer != answers.end() && answer->facts) {
            usable.push_back(*answer);
        }
    }
    const int spares = std::exchange(spec_.spares, 0);
    auto plan = plan_on(usable);
    spec_.spares = spares;
    if (plan && usable.size() < answers.size()) {
        plan->notes.push_back(fmt::format("left out: {}", describe_failures(answers).what()));
    }
    return plan;
}

Result<HostsPlan> HostsPlanner::plan_on(const std::vector<Answer>& answers) {
    MPITRAIN_TRY_VOID(check_distinct(answers));
    MPITRAIN_TRY(const NodeFacts here, facts_of_this_machine(Device::cpu, false));
    std::vector<Candidate> candidates;
    for (const Answer& answer : answers) {
        candidates.push_back({answer.host, *answer.facts});
    }
    const Paths paths = find_paths(candidates, here);
    candidates.resize(candidates.size() - static_cast<std::size_t>(spec_.spares));
    MPITRAIN_TRY(const HostsPlacement placed, place_elastic(spec_, candidates));
    HostsPlan made;
    MPITRAIN_TRY(made.plan,
                 make_launch_plan({.spec = placed.spec,
                                   .nodes = placed.nodes,
                                   .placements = placed.placements,
                                   .inherited = inherited_}));
    used_.clear();
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const std::string& host = candidates[i].entry.host;
        const auto path = paths.of_host.find(host);
        made.access.nodes[host] = {.address = path != paths.of_host.end() ? path->second : host,
                                   .hostname = candidates[i].facts.hostname};
        if (std::ranges::find(made.plan.ranks, host, &RankPlan::host) != made.plan.ranks.end()) {
            used_.insert(host);
        }
    }
    made.access.launch = {.networks = paths.networks,
                          .ssh_args = ssh_arguments(spec_.ssh_args, 5s),
                          .heartbeat = spec_.heartbeat};
    made.access.listen = paths.ours.empty() ? std::vector<std::string>{"127.0.0.1"} : paths.ours;
    made.access.locks = locks_of(placed, candidates);
    made.access.agent_path = programs_.agent;
    made.access.client_library = programs_.client_library;
    made.what = describe(made.plan);
    if (const auto wanted = total_ranks(spec_); wanted && std::ssize(made.plan.ranks) < *wanted) {
        made.notes.push_back(
            fmt::format("there is room for {} of {} ranks", made.plan.ranks.size(), *wanted));
    }
    if (!paths.networks.empty()) {
        made.notes.push_back(
            fmt::format("the hosts reach each other by {}", fmt::join(paths.networks, ", ")));
    }
    return made;
}

}  // namespace mpitrain::hosts
