#include "job_result.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mpitrain {
namespace {

TEST(JobResult, NamesTheSavesThatFailed) {
    JobResult result;
    result.job = "7";
    result.outcome = Outcome::succeeded;
    result.exit_code = 0;
    EXPECT_EQ(account(result, "/log").find("checkpoint"),
              account(result, "/log").rfind("checkpoint"));
    EXPECT_FALSE(nlohmann::json::parse(to_json(result)).contains("failed_saves"));
    result.failed_saves = FailedSaves{2, 500, "/ck: disk full"};
    EXPECT_NE(account(result, "/log")
                  .find("2 checkpoints failed, the last that of step 500: /ck: disk full\n"),
              std::string::npos);
    const auto told = nlohmann::json::parse(to_json(result)).at("failed_saves");
    EXPECT_EQ(told.at("count"), 2);
    EXPECT_EQ(told.at("step"), 500);
    EXPECT_EQ(told.at("reason"), "/ck: disk full");
}

}  // namespace
}  // namespace mpitrain
