#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain::settings {

struct JobDraft;

// What a shell may offer as the value of an option.
enum class Completes : std::uint8_t { nothing, file, directory };

// One option of one command: the single source of its flag, its variable MPITRAIN_OPT_*, its key in
// files, and its line in help, man page and completions. Lives as long as the program.
struct Option {
    std::string_view name;           // the long flag without its dashes, "ranks-per-node"
    char letter = 0;                 // the short flag, 0 = none
    std::string_view value = {};     // placeholder of its value, "N|all"; empty = a switch
    std::string_view summary = {};   // one line, without a final full stop
    std::string_view fallback = {};  // the default as shown to people; empty = none
    std::string_view choices = {};   // "auto|cuda|cpu" where only these words are taken
    Completes completes = Completes::nothing;
    bool repeats = false;  // may be given several times, and every one counts
    bool adds = false;     // values of a higher precedence add to those of a lower one instead of
                           // replacing them
    std::string_view heading = {};  // groups options in help
    // Reads one value into a job; nullptr where the option is not a job's. Errors:
    // invalid_argument.
    Result<void> (*apply)(JobDraft& draft, std::string_view value) = nullptr;
};

// The options that a command line may hold, as one list over several tables.
using OptionSet = std::vector<const Option*>;
void append(OptionSet& set, std::span<const Option> table);
const Option* find(const OptionSet& set, std::string_view name);

// One option as it was written: `spelled` is "--ranks" or "-n", `value` is "true" for a switch.
struct Given {
    const Option* option = nullptr;
    std::string spelled;
    std::string value;
    bool operator==(const Given&) const = default;
};

enum class Order : std::uint8_t {
    options_first,  // the first word that is no option ends them: what follows belongs to a program
    mixed,          // options and plain words in any order, up to "--"
};

struct Scan {
    std::vector<Given> given;
    std::vector<std::string> rest;  // plain words; a "--" that ended the options is dropped
};

// Splits words into options and the rest: --name VALUE, --name=VALUE, -n VALUE, -nVALUE, --switch;
// "-np" is read as
// "-n". Names are never completed or guessed. Errors: invalid_argument (unknown option, with the
// nearest known one; a missing, unexpected or not allowed value; an option given twice that cannot
// repeat).
Result<Scan> scan(const OptionSet& set, std::span<const std::string> words, Order order);

// "true", "yes", "on", "1" and their opposites. Errors: invalid_argument.
Result<bool> parse_switch(std::string_view text);

// Checks `value` against the option's choices. Errors: invalid_argument.
Result<void> check_choice(const Option& option, std::string_view value);

// "MPITRAIN_OPT_RANKS_PER_NODE" and "ranks_per_node" for ranks-per-node.
std::string variable_name(const Option& option);
std::string key_name(const Option& option);

}  // namespace mpitrain::settings
