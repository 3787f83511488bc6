#include "mpitrain/base/cpu_set.hpp"

#include <gtest/gtest.h>

namespace mpitrain {
namespace {

TEST(CpuSet, RoundTripsTheKernelsListFormat) {
    for (const char* text : {"", "0", "0-7,64-71", "1,3,5", "63-64", "128"}) {
        const auto set = CpuSet::parse(text);
        ASSERT_TRUE(set) << text;
        EXPECT_EQ(set->to_string(), text);
    }
}

TEST(CpuSet, RefusesWhatIsNotAList) {
    for (const char* text : {"a", "1-", "-1", "3-1", "1,,2", "1,", "0-99999999", "1 2"}) {
        EXPECT_FALSE(CpuSet::parse(text)) << text;
    }
}

TEST(CpuSet, EqualityIgnoresHowTheSetWasMade) {
    CpuSet wide = CpuSet::of({1, 200});
    wide.remove(200);
    EXPECT_EQ(wide, CpuSet::of({1}));
    EXPECT_EQ(wide & CpuSet::of({2}), CpuSet());
}

TEST(CpuSet, SetAlgebra) {
    const CpuSet a = CpuSet::range(0, 70);
    const CpuSet b = CpuSet::range(64, 80);
    EXPECT_EQ((a & b).to_string(), "64-70");
    EXPECT_EQ((a | b).count(), 81);
    EXPECT_EQ((a - b).to_string(), "0-63");
    EXPECT_TRUE(a.intersects(b));
    EXPECT_FALSE(a.includes(b));
    EXPECT_TRUE(a.includes(CpuSet::of({0, 70})));
    EXPECT_EQ(b.first(), 64);
    EXPECT_EQ(b.next(80), -1);
}

}  // namespace
}  // namespace mpitrain
