#pragma once

#include <map>
#include <string>
#include <vector>

#include "mpitrain/engine/engine.hpp"
#include "mpitrain/plan/launch_plan.hpp"
#include "mpitrain/wire/message.hpp"

namespace mpitrain {

struct NodeAccess {
    std::string address;   // by which the other machines reach it
    std::string hostname;  // what it calls itself
};

// What an attempt on several machines needs to know of them.
struct HostsAccess {
    RemoteLaunch launch;
    std::vector<std::string> listen;          // our own addresses as the nodes see us; never empty
    std::map<std::string, NodeAccess> nodes;  // by RankPlan::host
    std::vector<std::vector<wire::SlotLock>> locks;  // by rank
    std::string agent_path;                          // of mpitrain-rank there
    std::string client_library;                      // there, or empty
};

// A plan over several machines and how to carry it out.
struct HostsPlan {
    LaunchPlan plan;
    HostsAccess access;
    std::string what;                // "6 cores on 3 hosts"
    std::vector<std::string> notes;  // for people, a line each
};

}  // namespace mpitrain
