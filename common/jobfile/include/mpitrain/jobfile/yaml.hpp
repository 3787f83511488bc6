#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::jobfile {

struct YamlEntry;

// A parsed YAML value, with the place it was written at. Aliases are resolved, so it is a plain
// tree.
struct YamlNode {
    enum class Kind : std::uint8_t { null, scalar, sequence, mapping };
    Kind kind = Kind::null;
    std::string text;  // of a scalar, as written but for quotes and escapes
    bool quoted =
        false;     // a scalar in quotes, or a block: always a text, never a number or a truth value
    int line = 0;  // from 1
    int column = 0;                  // from 1
    std::vector<YamlNode> items;     // of a sequence
    std::vector<YamlEntry> entries;  // of a mapping, in order, no key twice

    // The value of a mapping's key; nullptr when there is none, or this is no mapping.
    [[nodiscard]] const YamlNode* find(std::string_view key) const;
};

struct YamlEntry {
    std::string key;
    int line = 0;  // of the key
    int column = 0;
    YamlNode value;
};

// What a hostile file may cost at most.
constexpr std::size_t yaml_bytes_max = 1 << 20;
constexpr std::size_t yaml_depth_max = 64;
constexpr std::size_t yaml_nodes_max = 100'000;  // after aliases are resolved

// Reads all documents of a YAML text. `name` stands for the file in errors.
// Errors: invalid_argument at "name:line:column" (syntax, a limit above, a key twice, control
// characters, keys that are no scalars, merge keys).
Result<std::vector<YamlNode>> read_yaml(std::string_view text, std::string_view name);

// "name:line:column".
std::string place(std::string_view name, const YamlNode& node);
std::string place(std::string_view name, const YamlEntry& entry);

}  // namespace mpitrain::jobfile
