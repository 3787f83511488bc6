#include "mpitrain/base/bytes.hpp"

#include <gtest/gtest.h>

namespace mpitrain {
namespace {

TEST(Bytes, ReadsBinaryAndDecimalUnits) {
    EXPECT_EQ(Bytes::parse("512")->count(), 512U);
    EXPECT_EQ(Bytes::parse("64KiB")->count(), 65536U);
    EXPECT_EQ(Bytes::parse("1.5G")->count(), 1610612736U);
    EXPECT_EQ(Bytes::parse("2GB")->count(), 2000000000U);
}

TEST(Bytes, RefusesNonsense) {
    for (const char* text : {"", "G", "-1", "1X", "1e40", "99999999T", "nan", "1..2"}) {
        EXPECT_FALSE(Bytes::parse(text)) << text;
    }
}

TEST(Bytes, PrintsForPeople) {
    EXPECT_EQ(Bytes(12).to_string(), "12 B");
    EXPECT_EQ(Bytes(1536).to_string(), "1.5 KiB");
    EXPECT_EQ(Bytes(std::uint64_t{64} << 30).to_string(), "64 GiB");
}

}  // namespace
}  // namespace mpitrain
