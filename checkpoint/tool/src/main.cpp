#include "ckpt.hpp"
#include "mpitrain/cli/program.hpp"

// mpitrain-ckpt VERB [options]: what `mpitrain ckpt` becomes.
namespace mpitrain::checkpoint::tool {
namespace {

const cli::Command* const commands[] = {&list_command,
                                        &show_command,
                                        &verify_command,
                                        &diff_command,
                                        &prune_command,
                                        &export_command,
                                        &import_command};

std::string_view verb_of(const cli::Command& command) {
    return command.name.substr(command.name.find(' ') + 1);
}

std::string usage() {
    std::string text = "Usage: mpitrain ckpt VERB [options]\n\nLooks at checkpoints on disk.\n\n";
    for (const cli::Command* command : commands) {
        std::string verb = "  " + std::string(verb_of(*command));
        verb.resize(10, ' ');
        text += verb + std::string(command->summary) + "\n";
    }
    return text +
           "\nExample:\n  mpitrain ckpt verify ./checkpoints\n\n"
           "'mpitrain ckpt VERB --help' tells more.\n";
}

int run(std::span<const std::string> words, const EnvironmentMap& environment) {
    const std::string verb = words.empty() ? "" : words[0];
    for (const cli::Command* command : commands) {
        if (verb == verb_of(*command)) {
            return cli::run_command(*command, words.subspan(1), environment);
        }
    }
    cli::Terminal terminal(
        cli::Format::table, cli::Colour::automatic, environment.contains("NO_COLOR"));
    if (verb == "--help" || verb == "-h" || verb == "help") {
        terminal.print(usage());
        return terminal.close() ? 0 : 125;
    }
    terminal.fail(Error(ErrorCode::invalid_argument,
                        verb.empty() ? "no verb given" : "unknown verb '" + verb + "'")
                      .at("ckpt")
                      .mend("try mpitrain ckpt --help"));
    return 2;
}

}  // namespace
}  // namespace mpitrain::checkpoint::tool

int main(int argc, char** argv) {
    return mpitrain::cli::run_program(argc, argv, mpitrain::checkpoint::tool::run);
}
