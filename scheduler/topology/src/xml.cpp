#include "xml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/cpu_set.hpp"
#include "mpitrain/base/number.hpp"

namespace mpitrain::topology {
namespace {

constexpr std::size_t depth_max = 200;
constexpr std::size_t elements_max = 1'000'000;
constexpr std::size_t set_text_max = 24'000;  // 65536 bits in hwloc's notation
constexpr std::int64_t index_max = CpuSet::max_cpu;
constexpr std::int64_t matrix_side_max = 4096;

Error refuse(std::string_view what) {
    return Error(ErrorCode::invalid_argument, std::string(what))
        .mend("give the output of lstopo --of xml");
}

// The value of `name` in the text of one tag.
std::optional<std::string_view> attribute(std::string_view tag, std::string_view name) {
    for (std::size_t at = tag.find(name); at != std::string_view::npos;
         at = tag.find(name, at + 1)) {
        const std::size_t quote = at + name.size();
        const bool whole_name = at > 0 && (tag[at - 1] == ' ' || tag[at - 1] == '\n');
        if (whole_name && tag.substr(quote, 2) == "=\"") {
            const std::size_t end = tag.find('"', quote + 2);
            if (end != std::string_view::npos) {
                return tag.substr(quote + 2, end - quote - 2);
            }
        }
    }
    return std::nullopt;
}

// Whether hwloc takes the type for that of a processor or a memory node: it ignores case and reads
// two letters. They are numbered, and their sets are as long as the highest number.
bool is_indexed(std::string_view type) {
    std::string start(type.substr(0, 2));
    std::ranges::transform(start, start.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return start == "pu" || start == "nu" || start == "no";
}

bool is_number_up_to(std::string_view tag, std::string_view name, std::int64_t high) {
    const auto value = attribute(tag, name);
    return !value || parse_integer(*value, 0, high).has_value();
}

Result<void> check_object(std::string_view tag) {
    for (const std::string_view name : {"cpuset",
                                        "complete_cpuset",
                                        "online_cpuset",
                                        "allowed_cpuset",
                                        "nodeset",
                                        "complete_nodeset",
                                        "allowed_nodeset"}) {
        const auto value = attribute(tag, name);
        if (value && value->size() > set_text_max) {
            return refuse(fmt::format("a {} is too long", name));
        }
        // "0xf...f" is an infinite set in hwloc's notation.
        if (value && value->find("...") != std::string_view::npos) {
            return refuse(fmt::format("a {} is infinite", name));
        }
    }
    const auto type = attribute(tag, "type");
    if (type && is_indexed(*type)) {
        // Without one hwloc takes 2^32 - 1, and fills half a gibibyte of memory with each set.
        if (!attribute(tag, "os_index")) {
            return refuse(fmt::format("a {} has no os_index", *type));
        }
        if (!is_number_up_to(tag, "os_index", index_max)) {
            return refuse(fmt::format("the os_index of a {} is beyond {}", *type, index_max));
        }
    }
    return {};
}

Result<void> check_root(std::string_view tag) {
    const auto version = attribute(tag, "version").value_or("1.0");
    if (version.empty() || (version[0] != '1' && version[0] != '2')) {
        return Error(ErrorCode::unsupported,
                     fmt::format("hwloc XML of version '{}' cannot be read", version))
            .mend("export it with hwloc 2, or with lstopo --export-xml-flags v2");
    }
    return {};
}

Result<void> check_tag(std::string_view name, std::string_view tag) {
    if (name == "object") {
        return check_object(tag);
    }
    if (name.substr(0, 9) == "distances" && (!is_number_up_to(tag, "nbobjs", matrix_side_max) ||
                                             !is_number_up_to(tag, "relative_depth", 64))) {
        return refuse("a distance matrix is too large");
    }
    return {};
}

// Walks the tags. Only what decides over memory and time is looked at; the rest is hwloc's to
// judge.
class TagWalk {
  public:
    explicit TagWalk(std::string_view xml) : rest_(xml) {}

    Result<void> run() {
        while (true) {
            const std::size_t open = rest_.find('<');
            if (open == std::string_view::npos) {
                break;
            }
            rest_.remove_prefix(open + 1);
            MPITRAIN_TRY_VOID(step());
        }
        if (!seen_root_) {
            return refuse("this is not hwloc XML");
        }
        if (!open_.empty()) {
            return refuse(fmt::format("the file ends inside <{}>", open_.back()));
        }
        return {};
    }

  private:
    Result<void> step() {
        if (rest_.substr(0, 3) == "!--") {
            return skip_past("-->");
        }
        const std::size_t close = rest_.find('>');
        if (close == std::string_view::npos) {
            return refuse("the file ends inside a tag");
        }
        const std::string_view tag = rest_.substr(0, close);
        rest_.remove_prefix(close + 1);
        if (tag.empty() || tag.find('<') != std::string_view::npos) {
            return refuse("a tag is broken");
        }
        if (tag[0] == '?') {
            return {};
        }
        if (tag[0] == '!') {
            const bool plain =
                tag.substr(0, 8) == "!DOCTYPE" && tag.find('[') == std::string_view::npos;
            return plain ? Result<void>() : refuse("entities and sections are not read");
        }
        return tag[0] == '/' ? close_element(tag.substr(1)) : open_element(tag);
    }

    Result<void> open_element(std::string_view tag) {
        const std::string_view name = tag.substr(0, tag.find_first_of(" \t\r\n/"));
        if (++elements_ > elements_max || open_.size() >= depth_max) {
            return refuse("the file has too many or too deeply nested elements");
        }
        if (!seen_root_) {
            if (name != "topology") {
                return refuse("this is not hwloc XML");
            }
            seen_root_ = true;
            MPITRAIN_TRY_VOID(check_root(tag));
        } else if (open_.empty()) {
            return refuse("the file has more than one root");
        }
        MPITRAIN_TRY_VOID(check_tag(name, tag));
        if (tag.back() != '/') {
            open_.push_back(name);
        }
        return {};
    }

    Result<void> close_element(std::string_view tag) {
        const std::string_view name = tag.substr(0, tag.find_first_of(" \t\r\n"));
        if (open_.empty() || open_.back() != name) {
            return refuse(fmt::format("</{}> closes nothing", name));
        }
        open_.pop_back();
        return {};
    }

    Result<void> skip_past(std::string_view mark) {
        const std::size_t end = rest_.find(mark);
        if (end == std::string_view::npos) {
            return refuse("the file ends inside a comment");
        }
        rest_.remove_prefix(end + mark.size());
        return {};
    }

    std::string_view rest_;
    std::vector<std::string_view> open_;
    std::size_t elements_ = 0;
    bool seen_root_ = false;
};

}  // namespace

Result<void> check_xml(std::string_view xml) {
    if (xml.size() > xml_size_max) {
        return refuse(fmt::format("the file is larger than {} MiB", xml_size_max >> 20));
    }
    if (xml.find('\0') != std::string_view::npos) {
        return refuse("the file holds zero bytes");
    }
    return TagWalk(xml).run();
}

}  // namespace mpitrain::topology
