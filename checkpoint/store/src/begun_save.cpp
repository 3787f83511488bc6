#include "begun_save.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agreement.hpp"

namespace mpitrain::checkpoint {

using Json = nlohmann::json;

std::string encode(const BegunSave& begun) {
    return Json({{"step", begun.step},
                 {"token", begun.token},
                 {"plan", begun.plan},
                 {"busy", begun.busy}})
        .dump();
}

Result<BegunSaves> begin_together(Peers& peers,
                                  const Result<std::string>& mine,
                                  std::uint64_t step,
                                  std::chrono::milliseconds deadline) {
    MPITRAIN_TRY(Agreement agreement, agree(peers, mine, deadline, "beginning the save"));
    if (agreement.failed()) {
        return agreement.failure();
    }
    BegunSaves begun;
    for (const std::string& text : agreement.words) {
        const auto json = Json::parse(text);
        if (json.at("step") != step) {
            return Error(ErrorCode::invalid_argument,
                         fmt::format("the ranks save different steps, {} and {}",
                                     step,
                                     json.at("step").get<std::uint64_t>()));
        }
        if (begun.plans.empty()) {
            begun.token = json.at("token").get<std::string>();
        }
        begun.plans.push_back(json.at("plan").get<std::string>());
        begun.any_busy = begun.any_busy || json.at("busy").get<bool>();
    }
    return begun;
}

}  // namespace mpitrain::checkpoint
