#include "mpitrain/settings/option.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/settings/suggest.hpp"

namespace mpitrain::settings {
namespace {

Error usage_error(std::string what) {
    return Error(ErrorCode::invalid_argument, std::move(what));
}

Error unknown_option(const OptionSet& set, std::string_view spelled) {
    Error error = usage_error(fmt::format("unknown option '{}'", spelled));
    if (!spelled.starts_with("--")) {
        return std::move(error).mend("see --help; a program's own options go after the program");
    }
    std::vector<std::string_view> names;
    for (const Option* option : set) {
        names.push_back(option->name);
    }
    const std::string near = nearest(spelled.substr(2), names);
    return std::move(error).mend(near.empty() ? "see --help"
                                              : fmt::format("did you mean --{}?", near));
}

// A word that begins an option, taken apart. `has_value`: the value is part of the same word.
struct Written {
    const Option* option = nullptr;
    std::string spelled;
    std::string value;
    bool has_value = false;
};

Result<Written> read_long(const OptionSet& set, const std::string& word) {
    const std::size_t equals = word.find('=');
    Written written;
    written.spelled = word.substr(0, equals);
    written.has_value = equals != std::string::npos;
    written.option = find(set, std::string_view(written.spelled).substr(2));
    if (written.option == nullptr) {
        return unknown_option(set, written.spelled);
    }
    if (written.has_value) {
        written.value = word.substr(equals + 1);
        if (written.option->value.empty()) {
            return usage_error(fmt::format("{} takes no value", written.spelled));
        }
    }
    return written;
}

Result<Written> read_short(const OptionSet& set, const std::string& word) {
    const std::string spelled = word.substr(0, 2);
    const auto found = std::ranges::find(set, word[1], &Option::letter);
    if (found == set.end()) {
        return unknown_option(set, word);
    }
    // mpirun's users type -np.
    const std::string_view value = word == "-np" ? "" : std::string_view(word).substr(2);
    if ((*found)->value.empty() && !value.empty()) {
        return unknown_option(set, word);
    }
    return Written{*found, spelled, std::string(value), !value.empty()};
}

bool is_option(std::string_view word) {
    return word.size() > 1 && word[0] == '-';
}

}  // namespace

void append(OptionSet& set, std::span<const Option> table) {
    for (const Option& option : table) {
        set.push_back(&option);
    }
}

const Option* find(const OptionSet& set, std::string_view name) {
    const auto found = std::ranges::find(set, name, &Option::name);
    return found == set.end() ? nullptr : *found;
}

Result<void> check_choice(const Option& option, std::string_view value) {
    std::string_view choices = option.choices;
    if (choices.empty()) {
        return {};
    }
    std::vector<std::string_view> words;
    while (!choices.empty()) {
        const std::size_t bar = choices.find('|');
        words.push_back(choices.substr(0, bar));
        choices.remove_prefix(bar == std::string_view::npos ? choices.size() : bar + 1);
    }
    if (std::ranges::find(words, value) != words.end()) {
        return {};
    }
    const std::string near = nearest(value, words);
    return usage_error(fmt::format("'{}' is not one of {}", value, fmt::join(words, ", ")))
        .mend(near.empty() ? "" : fmt::format("did you mean {}?", near));
}

Result<bool> parse_switch(std::string_view text) {
    for (const std::string_view yes : {"true", "yes", "on", "1"}) {
        if (text == yes) {
            return true;
        }
    }
    for (const std::string_view no : {"false", "no", "off", "0"}) {
        if (text == no) {
            return false;
        }
    }
    return usage_error(fmt::format("'{}' is neither true nor false", text));
}

Result<Scan> scan(const OptionSet& set, std::span<const std::string> words, Order order) {
    Scan scan;
    std::size_t i = 0;
    for (; i < words.size() && words[i] != "--"; ++i) {
        const std::string& word = words[i];
        if (!is_option(word)) {
            if (order == Order::options_first) {
                break;
            }
            scan.rest.push_back(word);
            continue;
        }
        MPITRAIN_TRY(Written written,
                     word[1] == '-' ? read_long(set, word) : read_short(set, word));
        const Option& option = *written.option;
        if (option.value.empty()) {
            written.value = "true";
        } else if (!written.has_value) {
            if (i + 1 == words.size()) {
                return usage_error(fmt::format("{} needs a value", written.spelled))
                    .mend(fmt::format("write {} {}", written.spelled, option.value));
            }
            written.value = words[++i];
        }
        if (auto choice = check_choice(option, written.value); !choice) {
            return std::move(choice).error().at(written.spelled);
        }
        if (!option.repeats &&
            std::ranges::find(scan.given, &option, &Given::option) != scan.given.end()) {
            return usage_error(fmt::format("{} is given twice", written.spelled))
                .mend("give it once");
        }
        scan.given.push_back({&option, std::move(written.spelled), std::move(written.value)});
    }
    if (i < words.size() && words[i] == "--") {
        ++i;
    }
    scan.rest.insert(scan.rest.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
    return scan;
}

std::string variable_name(const Option& option) {
    std::string name = "MPITRAIN_OPT_";
    for (const char c : option.name) {
        name += c == '-' ? '_' : static_cast<char>(c - 'a' + 'A');
    }
    return name;
}

std::string key_name(const Option& option) {
    std::string name(option.name);
    std::ranges::replace(name, '-', '_');
    return name;
}

}  // namespace mpitrain::settings
