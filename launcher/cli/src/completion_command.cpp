#include "commands.hpp"
#include "mpitrain/cli/completion.hpp"

namespace mpitrain::cli {
namespace {

int print_completion(Invocation& invocation) {
    const std::string& shell = invocation.line.rest.front();
    invocation.terminal.print(shell == "bash"  ? bash_completion(invocation.commands)
                              : shell == "zsh" ? zsh_completion(invocation.commands)
                                               : fish_completion(invocation.commands));
    return 0;
}

}  // namespace

constinit const Command completion_command{
    .name = "completion",
    .summary = "print a completion script for bash, zsh or fish",
    .usage = "bash|zsh|fish",
    .description =
        "Prints a script that lets the shell complete mpitrain's commands and options. An "
        "installed mpitrain has "
        "them in place.",
    .example = "mpitrain completion bash > ~/.local/share/bash-completion/completions/mpitrain",
    .verbs = "bash|zsh|fish",
    .run = print_completion,
};

}  // namespace mpitrain::cli
