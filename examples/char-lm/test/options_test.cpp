#include "options.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace char_lm {
namespace {

mpitrain::Result<std::optional<Options>> parse(const std::vector<const char*>& words) {
    std::vector<const char*> line{"char-lm"};
    for (const char* word : words) {
        line.push_back(word);
    }
    return parse_options(static_cast<int>(line.size()), line.data());
}

TEST(Options, HaveDefaultsAndTakeWhatIsGiven) {
    const auto none = parse({});
    ASSERT_TRUE(none && *none);
    EXPECT_EQ((*none)->steps, Options().steps);
    const auto some =
        parse({"--steps", "7", "--batch=9", "--lr", "0.5", "--data", "x", "--seed", "0"});
    ASSERT_TRUE(some && *some);
    EXPECT_EQ((*some)->steps, 7U);
    EXPECT_EQ((*some)->batch, 9U);
    EXPECT_EQ((*some)->learning_rate, 0.5);
    EXPECT_EQ((*some)->data, "x");
    EXPECT_EQ((*some)->seed, 0U);
}

TEST(Options, RefuseNonsenseByName) {
    for (const auto& words : std::vector<std::vector<const char*>>{{"--steps", "0"},
                                                                   {"--steps", "-1"},
                                                                   {"--steps", "many"},
                                                                   {"--batch", "0"},
                                                                   {"--hidden", "999999999"},
                                                                   {"--lr", "0"},
                                                                   {"--lr", "nan"},
                                                                   {"--step", "3"},
                                                                   {"--unknown"},
                                                                   {"word"}}) {
        const auto options = parse(words);
        ASSERT_FALSE(options) << words[0];
        EXPECT_EQ(options.error().code(), mpitrain::ErrorCode::invalid_argument);
        const std::string name = words[0];
        EXPECT_NE(options.error().what().find(name.substr(name.rfind('-') + 1)), std::string::npos)
            << options.error().what();
    }
}

}  // namespace
}  // namespace char_lm
