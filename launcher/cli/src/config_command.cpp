#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "mpitrain/plan/rank_environment.hpp"
#include "read_job.hpp"

namespace mpitrain::cli {
namespace {

constexpr settings::Option options_table[] = {
    {.name = "origin",
     .summary = "say where each setting was made",
     .heading = "Options of config"},
};

std::string_view kind_of(const settings::Origin& origin) {
    switch (origin.kind) {
        case settings::OriginKind::built_in:
            return "default";
        case settings::OriginKind::config_file:
            return "config file";
        case settings::OriginKind::job_file:
            return "job file";
        case settings::OriginKind::environment:
            return "environment";
        case settings::OriginKind::flag:
            return "flag";
    }
    return "default";
}

// The setting of an option, or its default.
settings::Setting setting_of(const settings::Option& option, const settings::Layer& layer) {
    if (const settings::Setting* made = settings::find(layer, option.name)) {
        settings::Setting shown = *made;
        for (std::string& value : shown.values) {
            const std::size_t equals = value.find('=');
            if (option.name == "env" && is_secret(value.substr(0, equals))) {
                value = value.substr(0, equals) + "=[redacted]";
            }
        }
        return shown;
    }
    settings::Setting fallback{&option, {}, {}};
    if (option.value.empty()) {
        fallback.values.emplace_back("false");
    } else if (!option.fallback.empty()) {
        fallback.values.emplace_back(option.fallback);
    }
    return fallback;
}

std::string json_text(const std::vector<settings::Setting>& settings) {
    using Json = nlohmann::ordered_json;
    Json list = Json::array();
    for (const settings::Setting& setting : settings) {
        const bool is_default = setting.origin.kind == settings::OriginKind::built_in;
        list.push_back({{"name", setting.option->name},
                        {"values", setting.values},
                        {"origin", kind_of(setting.origin)},
                        {"where", is_default ? Json() : Json(setting.origin.where)}});
    }
    const Json json = {{"schema", "mpitrain.config/1"}, {"settings", std::move(list)}};
    return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string table_text(const std::vector<settings::Setting>& settings, bool with_origin) {
    Table table(with_origin ? std::vector<std::string>{"SETTING", "VALUE", "ORIGIN"}
                            : std::vector<std::string>{"SETTING", "VALUE"});
    for (const settings::Setting& setting : settings) {
        std::vector<std::string> cells = {std::string(setting.option->name),
                                          fmt::format("{}", fmt::join(setting.values, " "))};
        if (with_origin) {
            cells.push_back(
                setting.origin.where.empty()
                    ? std::string(kind_of(setting.origin))
                    : fmt::format("{} {}", kind_of(setting.origin), setting.origin.where));
        }
        table.add(std::move(cells));
    }
    return table.text();
}

int show(Invocation& invocation) {
    const auto job = read_job_settings(invocation);
    if (!job) {
        return fail(invocation.terminal, job.error());
    }
    std::vector<settings::Setting> settings;
    for (const settings::Option* option : all_options(invocation.command)) {
        if (option->apply != nullptr || option->name == "output" || option->name == "color") {
            settings.push_back(setting_of(*option, job->settings));
        }
    }
    if (invocation.terminal.format() == Format::json) {
        invocation.terminal.print(json_text(settings));
    } else {
        invocation.terminal.print(table_text(settings, invocation.is_on("origin")));
    }
    return 0;
}

}  // namespace

constinit const Command config_command{
    .name = "config",
    .summary = "show every setting, and with --origin where it was made",
    .usage = "show [--origin] [options of run]",
    .description =
        "Shows what each option would be if `mpitrain run` were given the same options: from a "
        "flag, MPITRAIN_OPT_<FLAG>, the "
        "job file, the config files or the built-in default, in this order of precedence.",
    .example =
        "mpitrain config show --origin\n"
        "mpitrain config show --origin --file job.yaml -n 4",
    .options = options_table,
    .describes_job = true,
    .verbs = "show",
    .run = show,
};

}  // namespace mpitrain::cli
