#pragma once

#include <string_view>
#include <vector>

#include "mpitrain/model/hostfile.hpp"
#include "mpitrain/model/job_spec.hpp"

namespace mpitrain::cli {

// Whether a host name means the machine we are on: localhost, its own name in full or short, a
// loopback address.
bool is_this_machine(std::string_view host);

// When all hosts that the job names (--host, or `hosts` of its hostfile) are this machine, or it
// names none, makes it a job for this machine: the hosts' slots and --ranks-per-node bound its
// ranks, and a hostfile becomes the same in spec.host; gives no hosts then. A job that names other
// machines is left as it is; gives all its hosts, each once. Errors: unsatisfiable, when the ranks
// are more than is allowed; invalid_argument (--host).
Result<std::vector<HostEntry>> settle_on_this_machine(JobSpec& spec, std::vector<HostEntry> hosts);

}  // namespace mpitrain::cli
