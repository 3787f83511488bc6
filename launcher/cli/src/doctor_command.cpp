#include <fmt/format.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "doctor.hpp"

namespace mpitrain::cli {
namespace {

std::string_view word_of(Health health) {
    switch (health) {
        case Health::ok:
            return "ok";
        case Health::warn:
            return "warn";
        case Health::fail:
            return "FAIL";
    }
    return "FAIL";
}

std::string json_text(const std::vector<Finding>& findings, bool healthy) {
    using Json = nlohmann::ordered_json;
    Json list = Json::array();
    for (const Finding& finding : findings) {
        list.push_back(
            {{"check", finding.what},
             {"state", finding.health == Health::fail ? "fail" : word_of(finding.health)},
             {"found", finding.found},
             {"mend", finding.mend.empty() ? Json() : Json(finding.mend)}});
    }
    const Json json = {
        {"schema", "mpitrain.doctor/1"}, {"healthy", healthy}, {"checks", std::move(list)}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string table_text(const std::vector<Finding>& findings, const Terminal& terminal) {
    Table table({"", "CHECK", "FOUND"});
    for (const Finding& finding : findings) {
        const Style style = finding.health == Health::ok     ? Style::good
                            : finding.health == Health::warn ? Style::warn
                                                             : Style::bad;
        table.add({terminal.styled(style, word_of(finding.health)), finding.what, finding.found});
        if (!finding.mend.empty()) {
            table.add({"", "", "-> " + finding.mend});
        }
    }
    return table.text();
}

int examine_machine(Invocation& invocation) {
    const std::vector<Finding> findings = examine();
    const bool healthy = std::ranges::none_of(
        findings, [](const Finding& finding) { return finding.health == Health::fail; });
    switch (invocation.terminal.format()) {
        case Format::json:
            invocation.terminal.print(json_text(findings, healthy));
            break;
        case Format::table:
            invocation.terminal.print(table_text(findings, invocation.terminal));
            break;
        case Format::quiet:
            break;
    }
    return healthy ? 0 : 1;
}

}  // namespace

constinit const Command doctor_command{
    .name = "doctor",
    .summary = "look at what a run needs here, and say how to mend what is missing",
    .usage = "[options]",
    .description =
        "Looks at the engine, the rank agent, topology, shared memory, limits and optional tools. "
        "Every line that "
        "is not ok says what to do. Exit code 1 when something that every run needs is broken.",
    .example = "mpitrain doctor",
    .run = examine_machine,
};

}  // namespace mpitrain::cli
