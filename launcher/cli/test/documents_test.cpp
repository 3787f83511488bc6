#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "commands.hpp"
#include "mpitrain/cli/completion.hpp"
#include "mpitrain/cli/man_page.hpp"

// What is installed beside the program is made from its tables and kept in the source tree, where
// people can read it. These tests hold both equal; with MPITRAIN_BLESS=1 they write the files
// instead.
namespace mpitrain::cli {
namespace {

void expect_file(const std::string& path, const std::string& expected) {
    const std::string full = fmt::format("{}/{}", MPITRAIN_SOURCE_DIRECTORY, path);
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    if (std::getenv("MPITRAIN_BLESS") != nullptr) {
        std::ofstream(full) << expected;
    }
    std::ifstream file(full);
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_EQ(text.str(), expected)
        << path << " is out of date: run this test with MPITRAIN_BLESS=1";
}

TEST(Documents, ManPagesFollowTheTables) {
    expect_file("docs/man/mpitrain.1", man_page(commands()));
    for (const Command& command : commands()) {
        expect_file(fmt::format("docs/man/mpitrain-{}.1", command.name), man_page(command));
    }
}

TEST(Documents, CompletionsFollowTheTables) {
    expect_file("launcher/cli/completions/mpitrain.bash", bash_completion(commands()));
    expect_file("launcher/cli/completions/_mpitrain", zsh_completion(commands()));
    expect_file("launcher/cli/completions/mpitrain.fish", fish_completion(commands()));
}

// The guide explains; that it knows every option is checked here.
TEST(Documents, TheGuideNamesEveryOption) {
    std::ifstream file(fmt::format("{}/docs/guide/options.md", MPITRAIN_SOURCE_DIRECTORY));
    std::ostringstream text;
    text << file.rdbuf();
    for (const settings::Option* option : all_options(run_job_command)) {
        EXPECT_NE(text.str().find(fmt::format("`--{}", option->name)), std::string::npos)
            << "docs/guide/options.md does not name --" << option->name;
    }
}

}  // namespace
}  // namespace mpitrain::cli
