#include "mpitrain/base/error.hpp"

#include <gtest/gtest.h>

#include <cerrno>

#include "mpitrain/base/result.hpp"

namespace mpitrain {
namespace {

Result<int> fails() {
    return Error(ErrorCode::not_found, "no such job").at("42");
}

Result<int> passes_on() {
    MPITRAIN_TRY(const int value, fails());
    return value + 1;
}

TEST(Error, TravelsThroughTryWithItsContext) {
    const auto result = passes_on();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), ErrorCode::not_found);
    EXPECT_EQ(result.error().text(), "42: no such job");
}

TEST(Error, OuterBordersAddTheirPlaceInFront) {
    const Error error =
        Error(ErrorCode::io, "bad").at("line 3").at("hosts.txt").mend("mend it").mend("later");
    EXPECT_EQ(error.text(), "hosts.txt: line 3: bad (mend it)");
}

TEST(Error, SystemErrorsNameOperationPathAndMend) {
    const Error error = system_error(ENOSPC, "write", "/full/file");
    EXPECT_EQ(error.code(), ErrorCode::resource_exhausted);
    EXPECT_NE(error.text().find("/full/file: cannot write: No space left on device"),
              std::string::npos);
    EXPECT_FALSE(error.mend().empty());
}

}  // namespace
}  // namespace mpitrain
