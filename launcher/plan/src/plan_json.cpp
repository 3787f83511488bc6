#include <nlohmann/json.hpp>

#include "mpitrain/plan/launch_plan.hpp"
#include "mpitrain/plan/rank_environment.hpp"

namespace mpitrain {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const EnvironmentMap& environment) {
    Json json = Json::object();
    for (const auto& [name, value] : environment) {
        json[name] = is_secret(name) ? "[redacted]" : value;
    }
    return json;
}

Json json_of(const RankPlan& rank) {
    Json slots = Json::array();
    for (const SlotId slot : rank.slots) {
        slots.push_back(slot.value());
    }
    return {{"rank", rank.rank.value()},
            {"local_rank", rank.local_rank.value()},
            {"group", rank.group},
            {"host", rank.host},
            {"slots", std::move(slots)},
            {"gpus", rank.gpus},
            {"cpus", rank.cpus.to_string()},
            {"numa", rank.numa},
            {"nic", rank.nics.empty() ? Json() : Json(rank.nics.front())},
            {"nics", rank.nics},
            {"env", json_of(rank.env)}};
}

}  // namespace

std::string to_json(const LaunchPlan& plan, const std::vector<std::string>& engine_command) {
    Json groups = Json::array();
    for (const GroupPlan& group : plan.groups) {
        groups.push_back(
            {{"name", group.name}, {"ranks", group.ranks}, {"command", group.command}});
    }
    Json ranks = Json::array();
    for (const RankPlan& rank : plan.ranks) {
        ranks.push_back(json_of(rank));
    }
    const Json json = {{"schema", "mpitrain.plan/1"},
                       {"hash", plan.hash},
                       {"engine", plan.engine == EngineKind::srun ? "srun" : "mpirun"},
                       {"command", engine_command},
                       {"shares_cores", plan.shares_cores},
                       {"groups", std::move(groups)},
                       {"ranks", std::move(ranks)}};
    // Names and arguments may hold any bytes; JSON may not.
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace mpitrain
