#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/hosts/ask_hosts.hpp"
#include "mpitrain/model/hostfile.hpp"
#include "mpitrain/model/job_spec.hpp"
#include "mpitrain/supervise/hosts_access.hpp"

namespace mpitrain::hosts {

// Where mpitrain is installed on the hosts: as here, or below --remote-prefix.
struct RemotePrograms {
    std::string mpitrain;
    std::string agent;
    std::string client_library;  // may be empty
};
RemotePrograms below_prefix(const std::string& prefix);

// Plans one job on the hosts that it names, again and again as it loses some.
class HostsPlanner {
  public:
    // `hosts` in the user's order. Errors: invalid_argument (no host, logins of different users).
    static Result<HostsPlanner> make(JobSpec spec,
                                     std::vector<HostEntry> hosts,
                                     EnvironmentMap inherited,
                                     RemotePrograms programs);

    // Asks all hosts and plans. All of them must answer. Errors: those of ask_hosts, together; of
    // place_on_hosts; invalid_argument when two names are one machine; takes at most 15 s.
    Result<HostsPlan> plan();
    // After something of `lost` was lost: asks again, at most some seconds. Who does not answer is
    // left out, and `lost`, which may answer, is only taken where it must be; another host takes
    // its place, and all other ranks stay where they were. A host that went dark is not asked
    // before a minute has passed, but where there is no room without it. Errors: as plan().
    Result<HostsPlan> plan_without(const std::string& lost, bool dark);

  private:
    HostsPlanner(JobSpec spec,
                 std::vector<HostEntry> hosts,
                 EnvironmentMap inherited,
                 RemotePrograms programs)
        : spec_(std::move(spec)),
          hosts_(std::move(hosts)),
          inherited_(std::move(inherited)),
          programs_(std::move(programs)) {}
    [[nodiscard]] AskOptions ask_options() const;
    Result<HostsPlan> plan_on(const std::vector<Answer>& answers);
    Result<HostsPlan> plan_among(const std::vector<HostEntry>& asked, const std::string& lost);
    void replace(const std::string& lost, const std::set<std::string>& answering);

    JobSpec spec_;
    std::vector<HostEntry> hosts_;  // in the order in which they are filled
    EnvironmentMap inherited_;
    RemotePrograms programs_;
    std::set<std::string> used_;                                         // by the last plan
    std::map<std::string, std::chrono::steady_clock::time_point> dark_;  // since when
};

}  // namespace mpitrain::hosts
