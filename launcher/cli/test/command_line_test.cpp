#include "mpitrain/cli/command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "commands.hpp"
#include "run_program.hpp"

namespace mpitrain::cli {
namespace {

using testing::HasSubstr;

struct BadCall {
    std::vector<std::string> words;
    std::string err;
};

TEST(CommandLine, RefusesBadCallsInOneLineThatNamesTheMend) {
    for (const BadCall& bad : std::vector<BadCall>{
             {{}, "mpitrain: error: no command given (see mpitrain --help)\n"},
             {{"bnech"}, "mpitrain: error: unknown command 'bnech' (did you mean bench?)\n"},
             {{"frobnicate"},
              "mpitrain: error: unknown command 'frobnicate' (see mpitrain --help)\n"},
             {{"--verison"},
              "mpitrain: error: unknown option '--verison' (did you mean --version?)\n"},
             {{"node", "list"},
              "mpitrain: error: 'node' is not in this build (it needs a scheduler of our own: see "
              "mpitrain run and mpitrain submit --on slurm)\n"},
         }) {
        const Outcome outcome = run_mpitrain(bad.words);
        EXPECT_EQ(outcome.exit_code, 2) << bad.err;
        EXPECT_EQ(outcome.err, bad.err);
        EXPECT_EQ(outcome.out, "");
    }
}

TEST(CommandLine, EveryCommandHasHelpWithAnExample) {
    for (const Command& command : commands()) {
        if (command.passes_words) {
            continue;
        }
        const std::string name(command.name);
        const Outcome outcome = run_mpitrain({name, "--help"});
        EXPECT_EQ(outcome.exit_code, 0) << name;
        EXPECT_THAT(outcome.out, HasSubstr("Usage: mpitrain " + name));
        EXPECT_THAT(outcome.out, HasSubstr("Example:\n  mpitrain " + name));
        EXPECT_EQ(outcome.err, "");
        EXPECT_EQ(run_mpitrain({"help", name}).out, outcome.out);
    }
}

TEST(CommandLine, HelpListsEveryCommand) {
    const Outcome outcome = run_mpitrain({"--help"});
    EXPECT_EQ(outcome.exit_code, 0);
    for (const Command& command : commands()) {
        EXPECT_THAT(outcome.out, HasSubstr(std::string(command.summary)));
    }
    EXPECT_EQ(run_mpitrain({"help"}).out, outcome.out);
}

TEST(CommandLine, SaysItsVersion) {
    EXPECT_EQ(run_mpitrain({"--version"}).out, "mpitrain " + std::string(version()) + "\n");
}

TEST(ExitCode, FollowsTheContract) {
    EXPECT_EQ(exit_code(Error(ErrorCode::invalid_argument, "")), 2);
    EXPECT_EQ(exit_code(Error(ErrorCode::unsatisfiable, "")), 3);
    EXPECT_EQ(exit_code(Error(ErrorCode::resource_exhausted, "")), 3);
    EXPECT_EQ(exit_code(Error(ErrorCode::io, "")), 125);
}

TEST(TableText, AlignsByWhatIsSeen) {
    Table table({"NAME", "STATE", ""});
    table.add({"é", "\x1b[32mok\x1b[0m", "x"});
    table.add({"long", "failed", ""});
    EXPECT_EQ(table.text(),
              "NAME  STATE\n"
              "é     \x1b[32mok\x1b[0m      x\n"
              "long  failed\n");
}

}  // namespace
}  // namespace mpitrain::cli
