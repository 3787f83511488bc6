// The policies by name: the one list to add a new one to.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "mpitrain/scheduler/policy.hpp"

namespace mpitrain::scheduler {
namespace {

struct Entry {
    std::string_view name;
    std::unique_ptr<Policy> (*make)();
};

constexpr Entry entries[] = {
    {"default", [] { return service_policy({}); }},
    {"fair-share", fair_share_policy},
    {"priority", priority_policy},
    {"fifo", fifo_policy},
    {"easy", easy_policy},
    {"conservative", conservative_policy},
    {"first-fit", first_fit_policy},
    {"sjf-oracle", shortest_oracle_policy},
    {"srsf-oracle", remaining_oracle_policy},
    {"las2",
     [] {
         return las_policy("las2", {1, 32});
     }},
    {"las7",
     [] {
         return las_policy("las7", {0.25, 1, 4, 16, 64, 256, 1024});
     }},
};

}  // namespace

std::vector<std::string_view> policy_names() {
    std::vector<std::string_view> names;
    for (const Entry& entry : entries) {
        names.push_back(entry.name);
    }
    return names;
}

Result<std::unique_ptr<Policy>> make_policy(std::string_view name) {
    for (const Entry& entry : entries) {
        if (entry.name == name) {
            return entry.make();
        }
    }
    return Error(ErrorCode::not_found, fmt::format("no policy '{}'", name))
        .mend(fmt::format("take one of {}", fmt::join(policy_names(), ", ")));
}

}  // namespace mpitrain::scheduler
