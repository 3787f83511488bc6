#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/hosts/node_facts.hpp"
#include "mpitrain/model/hostfile.hpp"
#include "mpitrain/model/job_spec.hpp"

namespace mpitrain::hosts {

// How the hosts of a job are asked for their facts.
struct AskOptions {
    std::string program;  // mpitrain's path there
    std::vector<std::string> ssh_args;
    Device device = Device::automatic;
    bool share_cpus = false;
    std::chrono::milliseconds connect_deadline{5000};
    std::chrono::milliseconds deadline{15000};  // for all of them together
};

// A host's answer, or why there is none.
struct Answer {
    HostEntry host;
    Result<NodeFacts> facts;
};

// The arguments of ssh before the host's name: the user's, which win, then ours.
std::vector<std::string> ssh_arguments(const std::vector<std::string>& users,
                                       std::chrono::milliseconds connect_deadline);

// Whether a host's name means the machine we are on: it is not reached by ssh then.
bool is_here(const std::string& host);

// Asks all hosts at once by ssh, in the order given. Each error says what is wrong with that host
// and the mend: unsatisfiable (unknown name, no mpitrain there), unavailable (no route, refused, no
// answer in time), permission_denied (ssh let us not in), unsupported (another version),
// data_loss (something else answered).
std::vector<Answer> ask_hosts(const std::vector<HostEntry>& hosts, const AskOptions& options);

// One error for all that failed, each named with its reason, the first eight of them; the code is
// the first one's. There must be one.
Error describe_failures(const std::vector<Answer>& answers);

}  // namespace mpitrain::hosts
