#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "options.hpp"
#include "report.hpp"

namespace mpitrain::collectives::bench {
namespace {

Report small_report() {
    Row row{.bytes = 4096, .count = 1024, .apart = {}, .in_place = {}};
    row.apart.times = {.min = 1, .median = 2, .max = 3};
    row.apart.baseline = Baseline{.algorithm = "ring", .times = {.min = 4, .median = 5, .max = 6}};
    Report report{.plan = {}, .ranks = 4, .library = "Some MPI", .rows = {}};
    report.rows.push_back(row);
    return report;
}

TEST(BusFactor, IsNcclTests) {
    EXPECT_DOUBLE_EQ(bus_factor(Verb::allreduce, 4), 1.5);
    EXPECT_DOUBLE_EQ(bus_factor(Verb::allgather, 4), 0.75);
    EXPECT_DOUBLE_EQ(bus_factor(Verb::reduce_scatter, 2), 0.5);
    EXPECT_DOUBLE_EQ(bus_factor(Verb::broadcast, 8), 1);
}

TEST(Summarize, TakesTheMiddle) {
    EXPECT_DOUBLE_EQ(summarize({3, 1, 2}).median, 2);
    EXPECT_DOUBLE_EQ(summarize({4, 1, 2, 3}).median, 2.5);
    EXPECT_DOUBLE_EQ(summarize({4, 1, 2, 3}).max, 4);
}

TEST(Report, GivesBandwidthsAndRatio) {
    const auto json = nlohmann::json::parse(to_json(small_report()));
    EXPECT_EQ(json["schema"], "mpitrain.bench/1");
    ASSERT_EQ(json["rows"].size(), 1U);
    const auto& row = json["rows"][0];
    EXPECT_DOUBLE_EQ(row["algbw_gb_per_s"], 2.048);
    EXPECT_DOUBLE_EQ(row["busbw_gb_per_s"], 3.072);
    EXPECT_DOUBLE_EQ(row["ratio"], 2.5);
    EXPECT_EQ(row["baseline"]["name"], "MPI, ring");
    EXPECT_EQ(row["params"]["in_place"], false);
    EXPECT_EQ(to_quiet(small_report()), "4096 2.00 2.500\n");
    EXPECT_NE(to_table(small_report()).find("ring"), std::string::npos);
}

Result<std::optional<Options>> parse(const std::vector<const char*>& options) {
    std::vector<const char*> words{"mpitrain-bench-collectives"};
    for (const char* word : options) {
        words.push_back(word);
    }
    std::string help;
    return parse_options(static_cast<int>(words.size()), words.data(), help);
}

TEST(Options, ReadSizesAndNames) {
    const auto options = parse({"allgather", "-b", "1KiB", "-e", "2MiB", "--type", "bf16"});
    ASSERT_TRUE(options && *options);
    EXPECT_EQ((*options)->plan.verb, Verb::allgather);
    EXPECT_EQ((*options)->plan.bytes_min, 1024U);
    EXPECT_EQ((*options)->plan.bytes_max, std::size_t{2} << 20);
    EXPECT_EQ((*options)->plan.type, DataType::bf16);
}

TEST(Options, RefuseWhatIsNotKnown) {
    for (const auto& words : std::vector<std::vector<const char*>>{{"scan"},
                                                                   {"allreduce", "--type", "f8"},
                                                                   {"allreduce", "--op", "mean"},
                                                                   {"allreduce", "-b", "0"},
                                                                   {"allreduce", "-e", "3GiB"},
                                                                   {"allreduce", "-f", "1"},
                                                                   {"allreduce", "--rounds", "0"},
                                                                   {"allreduce", "--output", "x"},
                                                                   {"allreduce", "--what"}}) {
        const auto options = parse(words);
        ASSERT_FALSE(options) << words.back();
        EXPECT_EQ(options.error().code(), ErrorCode::invalid_argument);
    }
}

}  // namespace
}  // namespace mpitrain::collectives::bench
