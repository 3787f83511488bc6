#include "collectives_bench.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mpitrain::bench {
namespace {

using ::testing::ElementsAre;

TEST(CollectivesBench, GivesRunWhatChoosesRanksAndTheProgramTheRest) {
    const std::vector<std::string> words{
        "allreduce", "-n", "4", "--begin", "1KiB", "--oversubscribe", "--host=a:2", "--op", "max"};
    EXPECT_THAT(collectives_command("/b/mpitrain", "/b/ranks", words),
                ElementsAre("/b/mpitrain",
                            "run",
                            "--no-tag",
                            "-n",
                            "4",
                            "--oversubscribe",
                            "--host=a:2",
                            "--",
                            "/b/ranks",
                            "allreduce",
                            "--begin",
                            "1KiB",
                            "--op",
                            "max"));
}

TEST(CollectivesBench, LeavesAnOptionWithoutItsValueForRunToRefuse) {
    const std::vector<std::string> words{"allreduce", "-n"};
    EXPECT_THAT(collectives_command("m", "p", words),
                ElementsAre("m", "run", "--no-tag", "-n", "--", "p", "allreduce"));
}

TEST(CollectivesBench, KnowsItsVerbs) {
    EXPECT_TRUE(is_collective("all_to_all"));
    EXPECT_FALSE(is_collective("launch"));
}

}  // namespace
}  // namespace mpitrain::bench
