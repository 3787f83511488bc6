#include "mpitrain/model/hostfile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "mpitrain/base/host_list.hpp"
#include "mpitrain/base/number.hpp"

namespace mpitrain {
namespace {

// Names in all, a host that is named again included: few bytes of text can stand for very many.
constexpr std::size_t hosts_max = 1 << 18;
constexpr int slots_max = 1'000'000;

// A mistake and the column, from 0, where it was seen.
struct Mistake {
    std::size_t column;
    std::string what;
    std::string_view mend;
};
template <typename T>
using Read = tl::expected<T, Mistake>;
using Wrong = tl::unexpected<Mistake>;

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}
bool is_user_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

void skip_blanks(std::string_view text, std::size_t& position) {
    while (position < text.size() && is_blank(text[position])) {
        ++position;
    }
}

// What one line, or one part of --host, says.
struct Line {
    std::vector<std::string> hosts;
    std::string user;
    std::optional<int> slots;
    std::optional<int> max_slots;
};

Read<int> read_slots(std::string_view text, std::size_t column) {
    const auto number = parse_integer(text, 1, slots_max);
    if (!number) {
        return Wrong({column,
                      fmt::format("'{}' is no number of slots", text.substr(0, 40)),
                      "give a whole number of at least 1"});
    }
    return static_cast<int>(*number);
}

// "user@gpu[01-04]:8", beginning at column `start` of the line.
Read<Line> read_hosts(std::string_view word, std::size_t start) {
    Line line;
    const std::size_t at = word.find('@');
    if (at != std::string_view::npos) {
        line.user = word.substr(0, at);
        if (line.user.empty() || !std::ranges::all_of(line.user, is_user_character)) {
            return Wrong({start, "no user name before the '@'", "write user@host"});
        }
        word.remove_prefix(at + 1);
        start += at + 1;
    }
    const std::size_t colon = word.find(':');
    if (colon != std::string_view::npos) {
        auto slots = read_slots(word.substr(colon + 1), start + colon + 1);
        if (!slots) {
            return Wrong(std::move(slots).error());
        }
        line.slots = *slots;
        word = word.substr(0, colon);
    }
    auto hosts = expand_host_list(word, hosts_max);
    if (!hosts) {
        // Its error says "column N", counted from 1 within the word.
        const auto column = parse_integer(
            std::string_view(hosts.error().where()).substr(std::string_view("column ").size()),
            1,
            1 << 30);
        return Wrong({start + static_cast<std::size_t>(column.value_or(1)) - 1,
                      hosts.error().what(),
                      "write host slots=8, host:8 or gpu[01-04]"});
    }
    line.hosts = *std::move(hosts);
    return line;
}

// "slots=8" or "max_slots = 8" at `position`, which moves behind it.
Read<void> read_setting(std::string_view text, std::size_t& position, Line& line) {
    const std::size_t start = position;
    while (position < text.size() && !is_blank(text[position]) && text[position] != '=') {
        ++position;
    }
    const std::string_view key = text.substr(start, position - start);
    const bool is_slots = key == "slots";
    if (!is_slots && key != "max_slots" && key != "max-slots") {
        return Wrong({start,
                      fmt::format("'{}' is not understood", key.substr(0, 40)),
                      "known are slots=N and max_slots=N"});
    }
    skip_blanks(text, position);
    if (position == text.size() || text[position] != '=') {
        return Wrong({position, fmt::format("no '=' after {}", key), "write slots=8"});
    }
    ++position;
    skip_blanks(text, position);
    const std::size_t number = position;
    while (position < text.size() && !is_blank(text[position])) {
        ++position;
    }
    auto slots = read_slots(text.substr(number, position - number), number);
    if (!slots) {
        return Wrong(std::move(slots).error());
    }
    std::optional<int>& target = is_slots ? line.slots : line.max_slots;
    if (target) {
        return Wrong({start, fmt::format("a second number of {}", key), "give one"});
    }
    target = *slots;
    return {};
}

// One line without its comment; nullopt when nothing is left of it.
Read<std::optional<Line>> read_line(std::string_view text) {
    std::size_t position = 0;
    skip_blanks(text, position);
    if (position == text.size()) {
        return std::optional<Line>();
    }
    const std::size_t start = position;
    while (position < text.size() && !is_blank(text[position])) {
        ++position;
    }
    auto line = read_hosts(text.substr(start, position - start), start);
    if (!line) {
        return Wrong(std::move(line).error());
    }
    for (skip_blanks(text, position); position < text.size(); skip_blanks(text, position)) {
        if (auto setting = read_setting(text, position, *line); !setting) {
            return Wrong(std::move(setting).error());
        }
    }
    if (line->slots && line->max_slots && *line->slots > *line->max_slots) {
        return Wrong({start,
                      fmt::format("slots={} is above max_slots={}", *line->slots, *line->max_slots),
                      "swap them"});
    }
    return std::optional<Line>(*std::move(line));
}

// Adds lines up to entries, one a host.
class Entries {
  public:
    // A mistake at column 0: hosts that contradict what was said of them before.
    Read<void> add(const Line& line) {
        named_ += line.hosts.size();
        if (named_ > hosts_max) {
            return Wrong({0, fmt::format("more than {} hosts", hosts_max), "name fewer"});
        }
        for (const std::string& host : line.hosts) {
            const auto [found, is_new] = index_.try_emplace(host, entries_.size());
            if (is_new) {
                entries_.push_back({host, line.user, line.slots, line.max_slots});
                continue;
            }
            HostEntry& entry = entries_[found->second];
            if (entry.user != line.user) {
                return Wrong({0,
                              fmt::format("{} was named before with another user", host),
                              "use one user a host"});
            }
            // A line without a number counts one, now that there are several.
            const std::int64_t sum = std::int64_t{entry.slots.value_or(1)} + line.slots.value_or(1);
            if (sum > slots_max) {
                return Wrong(
                    {0, fmt::format("{} has more than {} slots", host, slots_max), "name fewer"});
            }
            entry.slots = static_cast<int>(sum);
            entry.max_slots = line.max_slots ? line.max_slots : entry.max_slots;
        }
        return {};
    }

    std::vector<HostEntry> take() && { return std::move(entries_); }

  private:
    std::size_t named_ = 0;
    std::vector<HostEntry> entries_;
    std::unordered_map<std::string, std::size_t> index_;
};

Error error_of(const Mistake& mistake, const std::string& where) {
    return Error(ErrorCode::invalid_argument, mistake.what).at(where).mend(mistake.mend);
}

}  // namespace

Result<std::vector<HostEntry>> parse_hostfile(std::string_view text, std::string_view file_name) {
    Entries entries;
    for (int number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        auto read = read_line(line.substr(0, line.find('#')));
        if (read && *read) {
            if (auto added = entries.add(**read); !added) {
                read = Wrong(std::move(added).error());
            }
        }
        if (!read) {
            return error_of(read.error(),
                            fmt::format("{}:{}:{}", file_name, number, read.error().column + 1));
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    std::vector<HostEntry> hosts = std::move(entries).take();
    if (hosts.empty()) {
        return Error(ErrorCode::invalid_argument, "names no host")
            .at(file_name)
            .mend("write one host a line");
    }
    return hosts;
}

Result<std::vector<HostEntry>> parse_host_option(std::string_view text) {
    Entries entries;
    std::size_t start = 0;
    bool in_brackets = false;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        if (i < text.size() && (in_brackets || text[i] != ',')) {
            in_brackets = text[i] == '[' || (in_brackets && text[i] != ']');
            continue;
        }
        const auto line = read_hosts(text.substr(start, i - start), start);
        if (!line) {
            return error_of(line.error(), fmt::format("column {}", line.error().column + 1));
        }
        if (const auto added = entries.add(*line); !added) {
            return error_of(added.error(), fmt::format("column {}", start + 1));
        }
        start = i + 1;
    }
    return std::move(entries).take();
}

}  // namespace mpitrain
