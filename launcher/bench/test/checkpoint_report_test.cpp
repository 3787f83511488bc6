#include "checkpoint_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mpitrain::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

const Machine machine{.host = "node", .cpu = "CPU", .cpus = 2, .load = 0.5, .engine = "mpirun 4"};

CheckpointRun example() {
    // The save has twice the bytes, so its speed is what counts, not its time.
    return {.ranks = 2,
            .kernel = "6",
            .file_system = "0xef53",
            .samples = {{"direct", 1, 100, {1, 2, 4}},
                        {"buffered", 1, 100, {2, 1, 8}},
                        {"save", 300, 200, {4, 2.5, 8}}}};
}

CheckpointRow row_named(const std::vector<CheckpointRow>& rows, std::string_view name) {
    for (const CheckpointRow& row : rows) {
        if (row.name == name) {
            return row;
        }
    }
    return {};
}

TEST(CheckpointReport, ComparesSpeedsWithTheFastestOfEachRound) {
    const auto row = row_named(checkpoint_rows(example()), "save");
    // The limits are 1, 1 and 4 seconds for 100 bytes: the ratios 0.5, 0.8 and 1.
    EXPECT_DOUBLE_EQ(row.ratio, 0.8);
    EXPECT_DOUBLE_EQ(row.seconds.median, 4);
    EXPECT_DOUBLE_EQ(row.limit_seconds, 2);
    EXPECT_EQ(row.tensors, 300U);
    EXPECT_EQ(row.rounds, 3);
}

TEST(CheckpointReport, ALimitHasNone) {
    const auto row = row_named(checkpoint_rows(example()), "direct");
    EXPECT_EQ(row.limit, "");
    const auto json = nlohmann::json::parse(to_json({row}, machine));
    EXPECT_TRUE(json["rows"][0]["ratio"].is_null());
    EXPECT_TRUE(json["rows"][0]["baseline"].is_null());
}

TEST(CheckpointReport, JsonFollowsTheSchema) {
    const auto json = nlohmann::json::parse(to_json(checkpoint_rows(example()), machine));
    EXPECT_EQ(json["schema"], "mpitrain.bench/1");
    EXPECT_EQ(json["bench"], "checkpoint");
    const auto& row = json["rows"].at(2);
    EXPECT_EQ(row["name"], "save");
    EXPECT_EQ(row["params"], nlohmann::json({{"ranks", 2}, {"tensors", 300}, {"bytes", 200}}));
    EXPECT_EQ(row["unit"], "s");
    EXPECT_EQ(row["ratio"], 0.8);
    EXPECT_EQ(row["baseline"]["name"], "plain write");
    EXPECT_EQ(row["n"], 3);
}

TEST(CheckpointReport, TableAndQuietTellTheRatio) {
    const auto rows = checkpoint_rows(example());
    EXPECT_THAT(to_table(rows, machine), HasSubstr("0.800 of plain write"));
    EXPECT_THAT(to_quiet(rows), HasSubstr("save 300 2 4.0000 0.800\n"));
}

TEST(CheckpointReport, ReadsWhatTheRanksWrote) {
    const auto run = read_checkpoint_run(
        R"({"ranks":2,"kernel":"6","samples":[
            {"name":"save","tensors":1,"bytes":8,"seconds":[1,2]},
            {"name":"load","tensors":1,"bytes":8,"seconds":[]}]})");
    ASSERT_TRUE(run) << run.error().text();
    ASSERT_EQ(run->samples.size(), 1U);
    EXPECT_EQ(run->samples[0].seconds, (std::vector<double>{1, 2}));
    EXPECT_EQ(read_checkpoint_run("{}").error().code(), ErrorCode::data_loss);
    EXPECT_EQ(read_checkpoint_run("no").error().code(), ErrorCode::data_loss);
}

}  // namespace
}  // namespace mpitrain::bench
