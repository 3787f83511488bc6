#include "yaml_values.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "mpitrain/base/number.hpp"
#include "mpitrain/settings/suggest.hpp"

namespace mpitrain::jobfile {
namespace {

using Json = nlohmann::ordered_json;

Json scalar_to_json(const YamlNode& node) {
    if (!node.quoted) {
        if (node.text == "true" || node.text == "false") {
            return node.text == "true";
        }
        if (const auto integer = parse_integer(node.text, INT64_MIN, INT64_MAX)) {
            return *integer;
        }
        if (const auto number = parse_number(node.text)) {
            return *number;
        }
    }
    return node.text;
}

Json to_json(const YamlNode& node) {
    Json json;
    switch (node.kind) {
        case YamlNode::Kind::null:
            break;
        case YamlNode::Kind::scalar:
            json = scalar_to_json(node);
            break;
        case YamlNode::Kind::sequence:
            json = Json::array();
            for (const YamlNode& item : node.items) {
                json.push_back(to_json(item));
            }
            break;
        case YamlNode::Kind::mapping:
            json = Json::object();
            for (const YamlEntry& entry : node.entries) {
                json[entry.key] = to_json(entry.value);
            }
            break;
    }
    return json;
}

}  // namespace

Error bad_value(std::string_view name,
                const YamlNode& node,
                std::string what,
                std::string_view mend) {
    return Error(ErrorCode::invalid_argument, std::move(what)).at(place(name, node)).mend(mend);
}

Result<std::string> scalar_of(std::string_view name, const YamlNode& node) {
    if (node.kind != YamlNode::Kind::scalar) {
        return bad_value(name, node, "one value belongs here", "write key: value");
    }
    return node.text;
}

Result<std::vector<std::string>> list_of(std::string_view name, const YamlNode& node) {
    if (node.kind != YamlNode::Kind::sequence) {
        return bad_value(name, node, "a list belongs here", "write [a, b]");
    }
    std::vector<std::string> list;
    for (const YamlNode& item : node.items) {
        MPITRAIN_TRY(std::string value, scalar_of(name, item));
        list.push_back(std::move(value));
    }
    return list;
}

Result<EnvironmentMap> map_of(std::string_view name, const YamlNode& node) {
    if (node.kind != YamlNode::Kind::mapping) {
        return bad_value(name, node, "names and values belong here", "write {NAME: value}");
    }
    EnvironmentMap map;
    for (const YamlEntry& entry : node.entries) {
        MPITRAIN_TRY(map[entry.key], scalar_of(name, entry.value));
    }
    return map;
}

Result<std::vector<std::string>> command_of(std::string_view name, const YamlNode& node) {
    if (node.kind == YamlNode::Kind::scalar) {
        return bad_value(name,
                         node,
                         "a command is a list, since no shell takes it apart",
                         "write [program, argument, …]");
    }
    MPITRAIN_TRY(std::vector<std::string> command, list_of(name, node));
    if (command.empty()) {
        return bad_value(name, node, "the command is empty", "write [program, argument, …]");
    }
    return command;
}

Error unknown_key(std::string_view name,
                  const YamlEntry& entry,
                  const std::vector<std::string_view>& known) {
    const std::string near = settings::nearest(entry.key, known);
    return Error(ErrorCode::invalid_argument,
                 fmt::format("unknown key '{}'", entry.key.substr(0, 80)))
        .at(place(name, entry))
        .mend(near.empty() ? "keys are the long options with _ for -"
                           : fmt::format("did you mean {}?", near));
}

std::string json_of(const YamlNode& node) {
    return to_json(node).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace mpitrain::jobfile
