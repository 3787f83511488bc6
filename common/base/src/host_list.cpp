#include "mpitrain/base/host_list.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "mpitrain/base/number.hpp"

namespace mpitrain {
namespace {

constexpr std::size_t longest_name = 255;  // RFC 1035 section 2.3.4
constexpr int widest_number = 9;

Error bad_list(std::string_view whole, std::size_t column, std::string_view reason) {
    return Error(ErrorCode::invalid_argument,
                 fmt::format("'{}' is not a host list: {}", whole, reason))
        .at(fmt::format("column {}", column + 1))
        .mend("write hosts like gpu[01-04,7],login");
}

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

// One bracket's content, "01-04,7", as zero-padded strings.
Result<std::vector<std::string>> expand_ranges(std::string_view text, std::size_t limit) {
    std::vector<std::string> numbers;
    while (true) {
        const std::size_t comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        const std::size_t dash = part.find('-');
        const std::string_view low = part.substr(0, dash);
        const std::string_view high = dash == std::string_view::npos ? low : part.substr(dash + 1);
        const auto first = parse_integer(low, 0, 999'999'999);
        const auto last = parse_integer(high, 0, 999'999'999);
        if (!first || !last || *last < *first || low.size() > widest_number) {
            return Error(ErrorCode::invalid_argument, fmt::format("bad range '{}'", part));
        }
        if (static_cast<std::size_t>(*last - *first) >= limit - std::min(limit, numbers.size())) {
            return Error(ErrorCode::invalid_argument, fmt::format("more than {} hosts", limit));
        }
        for (std::int64_t number = *first; number <= *last; ++number) {
            numbers.push_back(fmt::format("{:0{}}", number, low.size()));
        }
        if (comma == std::string_view::npos) {
            return numbers;
        }
        text.remove_prefix(comma + 1);
    }
}

}  // namespace

Result<std::vector<std::string>> expand_host_list(std::string_view text, std::size_t limit) {
    std::vector<std::string> hosts;
    std::vector<std::string> open = {""};  // all expansions of the word that is being read
    const auto finish_word = [&](std::size_t column) -> Result<void> {
        for (std::string& host : open) {
            if (host.empty() || host.size() > longest_name) {
                return bad_list(
                    text, column, host.empty() ? "an empty name" : "a name over 255 characters");
            }
            hosts.push_back(std::move(host));
        }
        open.assign(1, "");
        return hosts.size() > limit
                   ? Result<void>(bad_list(text, column, fmt::format("more than {} hosts", limit)))
                   : Result<void>();
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == ',') {
            MPITRAIN_TRY_VOID(finish_word(i));
        } else if (c == '[') {
            const std::size_t close = text.find(']', i);
            if (close == std::string_view::npos) {
                return bad_list(text, i, "'[' without ']'");
            }
            const auto numbers = expand_ranges(text.substr(i + 1, close - i - 1), limit);
            if (!numbers) {
                return bad_list(text, i + 1, numbers.error().what());
            }
            if (open.size() * numbers->size() > limit) {
                return bad_list(text, i, fmt::format("more than {} hosts", limit));
            }
            std::vector<std::string> wider;
            wider.reserve(open.size() * numbers->size());
            for (const std::string& prefix : open) {
                for (const std::string& number : *numbers) {
                    wider.push_back(prefix + number);
                }
            }
            open = std::move(wider);
            i = close;
        } else if (is_name_character(c)) {
            for (std::string& host : open) {
                host += c;
            }
            if (open.front().size() > longest_name) {
                return bad_list(text, i, "a name over 255 characters");
            }
        } else {
            return bad_list(text, i, fmt::format("'{}' cannot be in a host name", c));
        }
    }
    MPITRAIN_TRY_VOID(finish_word(text.size()));
    return hosts;
}

namespace {

struct NumberedName {
    std::string_view prefix;
    std::string_view digits;  // trailing digits, at most nine
};

NumberedName split_number(std::string_view host) {
    std::size_t start = host.size();
    while (start > 0 && host.size() - start < widest_number && host[start - 1] >= '0' &&
           host[start - 1] <= '9') {
        --start;
    }
    return {host.substr(0, start), host.substr(start)};
}

}  // namespace

std::string fold_host_list(const std::vector<std::string>& hosts) {
    std::string folded;
    for (std::size_t i = 0; i < hosts.size();) {
        const NumberedName first = split_number(hosts[i]);
        std::string ranges;
        std::size_t next = i;
        // One bracket holds every following neighbour with this prefix and width.
        while (next < hosts.size() && !first.digits.empty()) {
            const NumberedName run = split_number(hosts[next]);
            if (run.prefix != first.prefix || run.digits.size() != first.digits.size()) {
                break;
            }
            std::int64_t last = *parse_integer(run.digits, 0, 999'999'999);
            const std::string_view low = run.digits;
            std::string_view high = run.digits;
            for (++next; next < hosts.size(); ++next) {
                const NumberedName name = split_number(hosts[next]);
                if (name.prefix != run.prefix || name.digits.size() != run.digits.size() ||
                    *parse_integer(name.digits, 0, 999'999'999) != last + 1) {
                    break;
                }
                ++last;
                high = name.digits;
            }
            ranges += ranges.empty() ? "" : ",";
            ranges += low == high ? std::string(low) : fmt::format("{}-{}", low, high);
        }
        folded += folded.empty() ? "" : ",";
        if (next <= i + 1) {
            folded += hosts[i];
            next = i + 1;
        } else {
            folded += fmt::format("{}[{}]", first.prefix, ranges);
        }
        i = next;
    }
    return folded;
}

}  // namespace mpitrain
