#include <fmt/format.h>

#include <cerrno>
#include <fstream>

#include "commands.hpp"
#include "mpitrain/hosts/node_facts.hpp"
#include "mpitrain/topology/discover.hpp"
#include "mpitrain/topology/render.hpp"

namespace mpitrain::cli {
namespace {

constexpr settings::Option options_table[] = {
    {.name = "input",
     .value = "FILE",
     .summary = "an hwloc XML file of another machine (lstopo --of xml), format 1 or 2",
     .completes = settings::Completes::file,
     .heading = "Options of topo"},
    {.name = "synthetic",
     .value = "TEXT",
     .summary = "a machine without GPUs in hwloc's notation, 'package:2 core:8 pu:2'",
     .heading = "Options of topo"},
    {.name = "device",
     .value = "auto|cuda|cpu",
     .summary = "which slots to show: GPUs where there are any, or cores",
     .fallback = "auto",
     .choices = "auto|cuda|cpu",
     .heading = "Options of topo"},
    {.name = "for-launch",
     .summary = "print what mpitrain run asks a machine of before it places ranks there, as JSON",
     .heading = "Options of topo"},
    {.name = "oversubscribe",
     .summary = "with --for-launch: cores that other jobs share are free",
     .heading = "Options of topo"},
    {.name = "svg",
     .value = "FILE",
     .summary = "also draw it into this file",
     .completes = settings::Completes::file,
     .heading = "Options of topo"},
};

Result<topology::DiscoverOptions> discover_options(const Invocation& invocation) {
    topology::DiscoverOptions options = topology::DiscoverOptions::from_environment();
    options.xml_file = invocation.value("input");
    options.synthetic = invocation.value("synthetic");
    const std::string device = invocation.value("device");
    MPITRAIN_TRY(options.device, parse_device(device.empty() ? "auto" : device));
    return options;
}

// A file that the user named and that cannot be read is wrong input, whatever the system's reason.
Error as_input_error(const Error& error, const topology::DiscoverOptions& options) {
    if (options.xml_file.empty() || error.code() == ErrorCode::unsatisfiable) {
        return error;
    }
    return Error(ErrorCode::invalid_argument, error.what()).at(error.where()).mend(error.mend());
}

Result<void> write_drawing(const NodeTopology& node, const std::string& path) {
    errno = 0;
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << topology::render_svg(node);
    file.close();
    if (!file) {
        // Whatever the reason, a full disk too, it is no request that cannot be met.
        const Error cause = system_error(errno == 0 ? EIO : errno, "write the drawing", path);
        return Error(ErrorCode::io, cause.what()).at(cause.where()).mend(cause.mend());
    }
    return {};
}

std::string text_of(const NodeTopology& node, Format format) {
    if (format == Format::json) {
        return to_json(node) + "\n";
    }
    if (format == Format::table) {
        return topology::render_table(node);
    }
    std::string text;
    for (const Slot& slot : node.slots) {
        text += fmt::format("{}\n", slot.slot.value());
    }
    return text;
}

int print_facts(Invocation& invocation, const topology::DiscoverOptions& options) {
    const auto facts =
        hosts::facts_of_this_machine(options.device, invocation.is_on("oversubscribe"));
    if (!facts) {
        return fail(invocation.terminal, facts.error());
    }
    invocation.terminal.print(hosts::to_json(*facts) + "\n");
    return 0;
}

int run_topo(Invocation& invocation) {
    Terminal& terminal = invocation.terminal;
    const auto options = discover_options(invocation);
    if (!options) {
        return fail(terminal, options.error());
    }
    if (invocation.is_on("for-launch")) {
        return print_facts(invocation, *options);
    }
    const auto node = topology::discover(*options);
    if (!node) {
        return fail(terminal, as_input_error(node.error(), *options));
    }
    for (const std::string& warning : node->warnings) {
        terminal.warn(warning);
    }
    if (const std::string path = invocation.value("svg"); !path.empty()) {
        if (const auto written = write_drawing(*node, path); !written) {
            return fail(terminal, written.error());
        }
    }
    terminal.print(text_of(*node, terminal.format()));
    return 0;
}

}  // namespace

constinit const Command topo_command{
    .name = "topo",
    .summary = "show the slots of this or a recorded machine",
    .usage = "[--input FILE.xml | --synthetic TEXT] [--svg FILE]",
    .description =
        "Shows what ranks can be placed on here: each GPU with its NUMA node, its share of the "
        "cores and its nearest network "
        "interface, and how the GPUs reach each other; without GPUs the cores. What this process "
        "may not use is left out. "
        "'?' is what the machine does not tell.",
    .example =
        "mpitrain topo\n"
        "mpitrain topo --svg machine.svg\n"
        "mpitrain topo --input dgx.xml --output json",
    .options = options_table,
    .run = run_topo,
};

}  // namespace mpitrain::cli
