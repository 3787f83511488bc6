#include "launch_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mpitrain::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

const Machine machine{.host = "node", .cpu = "CPU", .cpus = 2, .load = 0.5, .engine = "mpirun 4"};

LaunchRow row(bool shares_cores) {
    return {.name = "hello",
            .ranks = 8,
            .shares_cores = shares_cores,
            .rounds = 3,
            .summary = {.bare_ms = {.min = 90, .median = 100, .max = 120},
                        .ours_ms = {.min = 95, .median = 105.5, .max = 130},
                        .ratio = 1.055,
                        .difference_ms = 5.5}};
}

TEST(LaunchReport, TableShowsBothSides) {
    const std::string table = to_table({row(false)}, machine);
    EXPECT_THAT(table,
                HasSubstr("hello    8      3       100.0 ms  105.5 ms      1.055  +5.5 ms\n"));
    EXPECT_THAT(table, HasSubstr("Excluded: "));
    EXPECT_THAT(table, Not(HasSubstr("yields")));
    EXPECT_THAT(to_table({row(true)}, machine), HasSubstr("* more ranks than cores"));
}

TEST(LaunchReport, JsonFollowsTheSchema) {
    const auto json = nlohmann::json::parse(to_json({row(true)}, machine));
    EXPECT_EQ(json["schema"], "mpitrain.bench/1");
    EXPECT_EQ(json["bench"], "launch");
    EXPECT_EQ(json["machine"]["cpus"], 2);
    const auto& first = json["rows"].at(0);
    EXPECT_EQ(first["name"], "hello");
    EXPECT_EQ(first["params"], nlohmann::json({{"ranks", 8}, {"shares_cores", true}}));
    EXPECT_EQ(first["value"], 105.5);
    EXPECT_EQ(first["unit"], "ms");
    EXPECT_EQ(first["baseline"]["name"], "mpirun");
    EXPECT_EQ(first["baseline"]["value"], 100);
    EXPECT_EQ(first["ratio"], 1.055);
    EXPECT_EQ(first["n"], 3);
    EXPECT_EQ(first["min"], 95);
    EXPECT_EQ(first["median"], 105.5);
    EXPECT_EQ(first["max"], 130);
}

TEST(LaunchReport, QuietIsOneLineACase) {
    EXPECT_EQ(to_quiet({row(false)}), "hello 8 1.055 5.5\n");
}

}  // namespace
}  // namespace mpitrain::bench
