#include "mpitrain/base/duration.hpp"

#include <gtest/gtest.h>

namespace mpitrain {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsWhatPeopleAndSlurmWrite) {
    const std::pair<const char*, Nanoseconds> cases[] = {
        {"45", 45s},
        {"90s", 90s},
        {"90m", 90min},
        {"1h30m", 90min},
        {"1.5h", 90min},
        {"250ms", 250ms},
        {"2d", 48h},
        {"1:30:00", 90min},
        {"5:30", 330s},
        {"2-12:00:00", 60h},
        {"1-2:00", 26h},
    };
    for (const auto& [text, expected] : cases) {
        const auto duration = parse_duration(text);
        ASSERT_TRUE(duration) << text;
        EXPECT_EQ(*duration, expected) << text;
    }
}

TEST(Duration, RefusesNonsense) {
    for (const char* text :
         {"", "-5", "5x", "m", "1:2:3:4", "1e99", "h1", "nan", "inf", "1-", "999999d"}) {
        EXPECT_FALSE(parse_duration(text)) << text;
    }
}

TEST(Duration, PrintsTheShortestReading) {
    EXPECT_EQ(format_duration(850ms), "850ms");
    EXPECT_EQ(format_duration(12300ms), "12.3s");
    EXPECT_EQ(format_duration(245s), "4m05s");
    EXPECT_EQ(format_duration(123min), "2h03m");
    EXPECT_EQ(format_duration(76h), "3d04h");
}

}  // namespace
}  // namespace mpitrain
