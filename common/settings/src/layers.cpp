#include "mpitrain/settings/layers.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/settings/suggest.hpp"

namespace mpitrain::settings {
namespace {

constexpr std::string_view variable_prefix = "MPITRAIN_OPT_";

Error unknown_variable(const std::string& name, const OptionSet& known) {
    std::vector<std::string> names;
    for (const Option* option : known) {
        names.push_back(variable_name(*option).substr(variable_prefix.size()));
    }
    const std::vector<std::string_view> views(names.begin(), names.end());
    const std::string near = nearest(std::string_view(name).substr(variable_prefix.size()), views);
    return Error(ErrorCode::invalid_argument, "this variable stands for no option")
        .at(name)
        .mend(near.empty() ? "unset it" : fmt::format("did you mean {}{}?", variable_prefix, near));
}

}  // namespace

const Setting* find(const Layer& layer, std::string_view option) {
    const auto found = std::ranges::find_if(
        layer, [option](const Setting& setting) { return setting.option->name == option; });
    return found == layer.end() ? nullptr : &*found;
}

Layer flags_layer(const std::vector<Given>& given) {
    Layer layer;
    for (const Given& one : given) {
        const auto found = std::ranges::find(layer, one.option, &Setting::option);
        if (found != layer.end()) {
            found->values.push_back(one.value);
        } else {
            layer.push_back({one.option, {one.value}, {OriginKind::flag, one.spelled}});
        }
    }
    return layer;
}

Result<Layer> environment_layer(const OptionSet& set,
                                const OptionSet& known,
                                const EnvironmentMap& environment) {
    Layer layer;
    for (auto entry = environment.lower_bound(std::string(variable_prefix));
         entry != environment.end() && entry->first.starts_with(variable_prefix);
         ++entry) {
        const auto stands_for = [&entry](const Option* option) {
            return variable_name(*option) == entry->first;
        };
        const auto option = std::ranges::find_if(set, stands_for);
        if (option == set.end()) {
            if (std::ranges::none_of(known, stands_for)) {
                return unknown_variable(entry->first, known);
            }
            continue;
        }
        if (entry->second.empty()) {
            continue;
        }
        if (auto choice = check_choice(**option, entry->second); !choice) {
            return std::move(choice).error().at(entry->first);
        }
        layer.push_back({*option, {entry->second}, {OriginKind::environment, entry->first}});
    }
    return layer;
}

Layer merge(const std::vector<Layer>& layers) {
    Layer merged;
    for (const Layer& layer : layers) {
        for (const Setting& setting : layer) {
            const auto below = std::ranges::find(merged, setting.option, &Setting::option);
            if (below == merged.end()) {
                merged.push_back(setting);
                continue;
            }
            std::vector<std::string> values;
            if (setting.option->adds) {
                values = std::move(below->values);
            }
            values.insert(values.end(), setting.values.begin(), setting.values.end());
            *below = {setting.option, std::move(values), setting.origin};
        }
    }
    return merged;
}

}  // namespace mpitrain::settings
