#include "rank_output.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace mpitrain {
namespace {

class RankOutputTest : public testing::Test {
  protected:
    RankOutputTest() {
        std::string name = (std::filesystem::temp_directory_path() / "rank-output-XXXXXX").string();
        directory = ::mkdtemp(name.data());
    }
    ~RankOutputTest() override { std::filesystem::remove_all(directory); }
    RankOutputTest(const RankOutputTest&) = delete;
    RankOutputTest& operator=(const RankOutputTest&) = delete;

    std::unique_ptr<RankOutput> make(bool shown) {
        auto made = RankOutput::create((directory / "rank-0").string(), shown);
        EXPECT_TRUE(made);
        return *std::move(made);
    }
    std::string file(const std::string& name) const {
        std::ostringstream text;
        text << std::ifstream(directory / name).rdbuf();
        return text.str();
    }
    std::filesystem::path directory;
};

using wire::Stream;

TEST_F(RankOutputTest, FilesAllAtOnceAndShowsWholeLines) {
    const auto output = make(true);
    output->append(Stream::out, "one\ntw");
    output->append(Stream::err, "oh\n");
    EXPECT_EQ(file("rank-0.out"), "one\ntw");
    EXPECT_EQ(file("rank-0.err"), "oh\n");
    EXPECT_EQ(output->take(Stream::out), "one\n");
    EXPECT_EQ(output->take(Stream::err), "oh\n");
    EXPECT_EQ(output->take(Stream::out), "");
    output->end();
    EXPECT_FALSE(output->drained());
    EXPECT_EQ(output->take(Stream::out), "tw");
    EXPECT_TRUE(output->drained());
}

TEST_F(RankOutputTest, ShowsNoMoreThanItsCredit) {
    const auto output = make(true);
    const std::string line(1023, 'x');
    for (int i = 0; i < 128; ++i) {
        output->append(Stream::out, line + "\n");
    }
    std::size_t shown = 0;
    for (std::string lines = output->take(Stream::out); !lines.empty();
         lines = output->take(Stream::out)) {
        shown += lines.size();
    }
    EXPECT_EQ(shown, 64U << 10U);
    EXPECT_EQ(file("rank-0.out").size(), 128U << 10U) << "a slow reader does not hold up the file";
    output->grant(1024);
    EXPECT_EQ(output->take(Stream::out).size(), 1024U);
}

TEST_F(RankOutputTest, WhatIsNotShownIsFiled) {
    const auto output = make(false);
    output->append(Stream::out, "quiet\n");
    EXPECT_EQ(output->take(Stream::out), "");
    EXPECT_TRUE(output->drained());
    EXPECT_EQ(file("rank-0.out"), "quiet\n");
}

TEST_F(RankOutputTest, SaysWhichFileCannotBeMade) {
    const auto made = RankOutput::create((directory / "absent/rank-0").string(), true);
    ASSERT_FALSE(made);
    EXPECT_NE(made.error().text().find("absent/rank-0.out"), std::string::npos);
}

}  // namespace
}  // namespace mpitrain
