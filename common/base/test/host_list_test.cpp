#include "mpitrain/base/host_list.hpp"

#include <gtest/gtest.h>

namespace mpitrain {
namespace {

using Names = std::vector<std::string>;

TEST(HostList, ExpandsSlurmsGrammar) {
    EXPECT_EQ(*expand_host_list("gpu[01-03,7],login"),
              (Names{"gpu01", "gpu02", "gpu03", "gpu7", "login"}));
    EXPECT_EQ(*expand_host_list("r[1-2]n[1-2]"), (Names{"r1n1", "r1n2", "r2n1", "r2n2"}));
    EXPECT_EQ(*expand_host_list("a"), (Names{"a"}));
}

TEST(HostList, RefusesWhatItCannotRead) {
    for (const char* text :
         {"", "a,", "a[1-", "a[3-1]", "a[]", "a b", "a[1-999999999]", "a[x]", "[1-2],"}) {
        EXPECT_FALSE(expand_host_list(text)) << text;
    }
}

TEST(HostList, FoldsBackToTheSameNames) {
    for (const char* text : {"gpu[01-04,07],login", "a", "n[1-2],n[10-12]", "x9y", "h1,h01"}) {
        const auto hosts = expand_host_list(text);
        ASSERT_TRUE(hosts) << text;
        EXPECT_EQ(fold_host_list(*hosts), text);
    }
}

}  // namespace
}  // namespace mpitrain
