#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain {

// A machine that the user names, and how much of it may be used.
struct HostEntry {
    std::string host;
    std::string user;          // for ssh; empty = the same as here
    std::optional<int> slots;  // nullopt = all that the machine has
    std::optional<int> max_slots;
    bool operator==(const HostEntry&) const = default;
};

// Reads a hostfile in any of the common dialects, mixed as they may be, one entry a line and '#'
// comments:
//   host slots=8 max_slots=8    Open MPI          host slots=8      DeepSpeed
//   user@host                   Open MPI          host              plain; repeated lines add up
//   host:8                      MPICH, Horovod    gpu[01-04]:8      Slurm's host lists
// Hosts come in the order of their first line. A host that is named once without a number has
// nullopt slots; named k times without one, k slots. Linear in the text and the hosts it names; at
// most 2^20 hosts. Errors: invalid_argument at "file:line:column".
Result<std::vector<HostEntry>> parse_hostfile(std::string_view text, std::string_view file_name);

// Reads the value of --host, "a:8,b:8,gpu[01-04]:2,user@c". Errors: invalid_argument naming the
// column.
Result<std::vector<HostEntry>> parse_host_option(std::string_view text);

}  // namespace mpitrain
