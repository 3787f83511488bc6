#include "mpitrain/cli/man_page.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mpitrain::cli {
namespace {

// Plain text for roff: hyphens stay hyphens that can be searched and copied, and no line is a
// request.
std::string escaped(std::string_view text) {
    std::string result;
    bool line_start = true;
    for (const char c : text) {
        if (line_start && (c == '.' || c == '\'')) {
            result += "\\&";
        }
        line_start = c == '\n';
        if (c == '\\') {
            result += "\\e";
        } else if (c == '-') {
            result += "\\-";
        } else {
            result += c;
        }
    }
    return result;
}

std::string header(std::string_view name) {
    return fmt::format(".TH {} 1 \"\" \"mpitrain {}\" \"User Commands\"\n", name, version());
}

std::string paragraphs(std::string_view text) {
    std::string result;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find("\n\n"), text.size());
        result += fmt::format(".PP\n{}\n", escaped(text.substr(0, end)));
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return result;
}

std::string example(std::string_view lines) {
    return fmt::format(".SH EXAMPLES\n.nf\n.RS\n{}\n.RE\n.fi\n", escaped(lines));
}

std::string option_entry(const settings::Option& option) {
    const std::string letter =
        option.letter == 0 ? "" : fmt::format("\\fB\\-{}\\fR, ", option.letter);
    const std::string value =
        option.value.empty() ? "" : fmt::format(" \\fI{}\\fR", escaped(option.value));
    std::string text = escaped(option.summary);
    if (!option.choices.empty() && option.summary.find('|') == std::string_view::npos) {
        text += fmt::format("; one of {}", escaped(option.choices));
    }
    if (!option.fallback.empty()) {
        text += fmt::format(". Default: {}", escaped(option.fallback));
    }
    if (option.repeats) {
        text += ". May be given several times";
    }
    return fmt::format(
        ".TP\n{}\\fB\\-\\-{}\\fR{}\n{}.\n", letter, escaped(option.name), value, text);
}

std::string option_sections(const settings::OptionSet& set) {
    std::string text = ".SH OPTIONS\n";
    std::string_view heading = "none yet";
    for (const settings::Option* option : set) {
        if (option->heading != heading) {
            heading = option->heading;
            text += heading.empty() ? "" : fmt::format(".SS {}\n", escaped(heading));
        }
        text += option_entry(*option);
    }
    return text;
}

constexpr std::string_view environment_and_files = R"(.SH EXIT STATUS
Of \fBmpitrain run\fR: 0 all ranks succeeded; the causal rank's own code, or 128+n when it died of signal n; 75 stopped on
request with a checkpoint; 2 usage or unreadable input; 3 can never be met here; 124 time limit; 125 mpitrain or its engine
failed; 126 and 127 program not executable or not found. Every other command: 0, or the same 2, 3 and 125.
.SH ENVIRONMENT
.TP
\fBMPITRAIN_OPT_\fIFLAG\fR
Sets the option \-\-\fIflag\fR, in upper case with _ for \-. An empty variable counts as not set; one that fits no option is an
error.
.TP
\fBNO_COLOR\fR
When set and not empty, no colours unless \-\-color always.
.TP
\fBXDG_CONFIG_HOME\fR, \fBXDG_STATE_HOME\fR
Where the user's config file and the records of jobs are.
.SH FILES
.TP
\fI/etc/mpitrain/config.yaml\fR, \fI~/.config/mpitrain/config.yaml\fR
Options in YAML, under their long names with _ for \-. The user's file overrides the machine's.
.TP
\fI~/.local/state/mpitrain/\fR
Output of the ranks, events and results of each job.
)";

}  // namespace

std::string man_page(std::span<const Command> commands) {
    std::string text = header("MPITRAIN");
    text += ".SH NAME\nmpitrain \\- place, launch, supervise and resume MPI training jobs\n";
    text += ".SH SYNOPSIS\n.B mpitrain\n\\fICOMMAND\\fR [\\fIoptions\\fR]\n.SH COMMANDS\n";
    for (const Command& command : commands) {
        text += fmt::format(".TP\n\\fBmpitrain\\-{}\\fR(1)\n{}.\n",
                            escaped(command.name),
                            escaped(command.summary));
    }
    settings::OptionSet set;
    settings::append(set, common_options());
    return text + option_sections(set) + std::string(environment_and_files);
}

std::string man_page(const Command& command) {
    std::string upper(command.name);
    std::ranges::transform(
        upper, upper.begin(), [](char c) { return static_cast<char>(c - 'a' + 'A'); });
    std::string text = header("MPITRAIN-" + upper);
    text += fmt::format(".SH NAME\nmpitrain\\-{} \\- {}\n", command.name, escaped(command.summary));
    text += fmt::format(".SH SYNOPSIS\n.B mpitrain {}\n{}\n", command.name, escaped(command.usage));
    text += ".SH DESCRIPTION\n" + paragraphs(command.description);
    text += command.passes_words ? "" : option_sections(all_options(command));
    return text + example(command.example) + ".SH SEE ALSO\n\\fBmpitrain\\fR(1)\n";
}

}  // namespace mpitrain::cli
