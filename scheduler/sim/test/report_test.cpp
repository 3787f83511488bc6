#include "mpitrain/sim/report.hpp"

#include <gtest/gtest.h>

#include <string>

#include "mpitrain/sim/account_file.hpp"
#include "mpitrain/sim/simulate.hpp"

namespace mpitrain::sim {
namespace {

using scheduler::make_policy;
using scheduler::uniform_cluster;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

TraceJob traced(int job, Nanoseconds submitted, int gpus, Nanoseconds duration) {
    return {.job = JobId(job), .submitted = submitted, .gpus = gpus, .duration = duration};
}

std::string error_of(std::string_view text) {
    const auto accounts = read_csv_accounts(text, "accounts.csv");
    return accounts ? "" : accounts.error().text();
}

TEST(AccountFile, ReadsWhatIsThere) {
    const auto accounts = read_csv_accounts(
        "account,note,parent,weight,quota,limit\na,x,,2,,\nb,,a,,8,16\n", "accounts.csv");
    ASSERT_TRUE(accounts) << accounts.error().text();
    ASSERT_EQ(accounts->size(), 2U);
    EXPECT_EQ((*accounts)[0].weight, 2);
    EXPECT_FALSE((*accounts)[0].quota);
    EXPECT_EQ((*accounts)[1].parent, "a");
    EXPECT_EQ((*accounts)[1].quota, 8);
    EXPECT_EQ((*accounts)[1].limit, 16);
}

TEST(AccountFile, NamesFileLineAndField) {
    for (const auto& [text, field] : std::initializer_list<std::pair<const char*, const char*>>{
             {"account,weight\na,nan\n", "weight"},
             {"account,weight\na,-1\n", "weight"},
             {"account,weight\na,0\n", "weight"},
             {"account,quota\na,-1\n", "quota"},
             {"account,limit\na,9223372036854775808\n", "limit"},
             {"account,parent\na,b\n", "parent"},
             {"account\na\na\n", "account"},
             {"name\na\n", "account"}}) {
        const std::string error = error_of(text);
        EXPECT_NE(error.find(field), std::string::npos) << error;
        EXPECT_NE(error.find("accounts.csv:"), std::string::npos) << error;
    }
    EXPECT_FALSE(error_of("").empty());
}

TEST(Report, ShareErrorIsTheDistanceFromTheWeights) {
    const scheduler::AccountsSpec spec{
        .accounts = {{.name = "a", .weight = 3}, {.name = "b"}, {.name = "c", .parent = "b"}}};
    const std::vector<scheduler::AccountShare> shares = {
        {.name = "a", .usage_slot_s = 60}, {.name = "b", .usage_slot_s = 40}, {.name = "c"}};
    EXPECT_NEAR(share_error(spec, shares).total, 0.15, 1e-12);
    EXPECT_NEAR(share_error(spec, shares).largest, 0.15, 1e-12);
}

TEST(Report, HtmlIsWholeAndEscapesNames) {
    Trace trace;
    for (int job = 1; job <= 40; ++job) {
        trace.jobs.push_back(traced(job, minutes(job), 8, hours(1)));
        trace.jobs.back().user = "<b>&\"x\"";
    }
    SimOptions options;
    options.forecast_every = 1;
    const auto result =
        simulate(uniform_cluster({.nodes = 2}), trace, *make_policy("fifo"), options);
    ASSERT_TRUE(result);
    const std::string html = to_html({make_report("fifo", options, *result)}, "t <1>");
    EXPECT_EQ(html.find("<b>"), std::string::npos);
    EXPECT_NE(html.find("&lt;b&gt;&amp;&quot;x&quot;"), std::string::npos);
    EXPECT_NE(html.find("t &lt;1&gt;"), std::string::npos);
    EXPECT_EQ(html.find("nan"), std::string::npos);
    EXPECT_EQ(html.find("http"), std::string::npos);  // nothing beside it
    std::size_t plots = 0;
    for (std::size_t at = html.find("<svg"); at != std::string::npos;
         at = html.find("<svg", at + 1)) {
        ++plots;
    }
    EXPECT_EQ(plots, 3U);
}

// Under submission order and true durations, what is said when a job comes is what happens.
TEST(Answers, ToldStartsComeTrueUnderFifo) {
    Trace trace;
    for (int job = 1; job <= 60; ++job) {
        trace.jobs.push_back(
            traced(job, minutes(job), 1 + job * 7 % 16, minutes(10 + job * 13 % 50)));
    }
    SimOptions options;
    options.forecast_every = 1;
    options.estimates = Estimates::exact;
    const auto result =
        simulate(uniform_cluster({.nodes = 2}), trace, *make_policy("fifo"), options);
    ASSERT_TRUE(result);
    EXPECT_GT(result->answers.asked, 10);
    EXPECT_EQ(result->answers.without_cause, 0);
    EXPECT_EQ(result->answers.without_start, 0);
    ASSERT_FALSE(result->answers.start_error_s.empty());
    EXPECT_LE(summarise(result->answers.start_error_s).max, 1e-3);
}

TEST(Simulate, RunsJobsAfterOthers) {
    Trace trace;
    trace.jobs.push_back(traced(1, seconds(0), 8, hours(1)));
    trace.jobs.push_back(traced(2, seconds(0), 8, hours(1)));
    trace.jobs[1].after = {JobId(1)};
    const auto result = simulate(uniform_cluster({.nodes = 2}), trace, *make_policy("default"), {});
    ASSERT_TRUE(result);
    ASSERT_EQ(result->jobs.size(), 2U);
    EXPECT_EQ(result->jobs[1].started_s, 3600);
}

// With half of what it wants it runs at half the pace, and is stopped once to grow.
TEST(Simulate, ElasticGangsRunLongerOnLess) {
    Trace trace;
    trace.jobs.push_back(traced(1, seconds(0), 8, hours(2)));
    trace.jobs.push_back(traced(2, seconds(0), 16, hours(3)));
    trace.jobs[1].gpus_min = 8;
    SimOptions options;
    options.preemption_cost = minutes(6);
    const auto result =
        simulate(uniform_cluster({.nodes = 2}), trace, *make_policy("default"), options);
    ASSERT_TRUE(result);
    ASSERT_EQ(result->jobs.size(), 2U);
    EXPECT_EQ(result->checker_violations, 0);
    EXPECT_EQ(result->jobs[1].preemptions, 1);
    // Two hours at half the pace, then two hours and the cost of stopping at full.
    EXPECT_NEAR(result->jobs[1].ended_s, 4 * 3600 + 6 * 60, 1);
}

TEST(Simulate, StopsWhenTheTimeIsUp) {
    Trace trace;
    trace.jobs.push_back(traced(1, seconds(0), 8, hours(1)));
    trace.jobs.push_back(traced(2, seconds(0), 8, hours(9)));
    SimOptions options;
    options.until = hours(2);
    const auto result =
        simulate(uniform_cluster({.nodes = 1}), trace, *make_policy("fifo"), options);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->jobs.size(), 1U);
    EXPECT_EQ(result->unfinished, 1U);
    EXPECT_NEAR(result->busy_gpu_s, 2 * 8 * 3600.0, 1);
}

TEST(Simulate, ChargesAccountsByUserOrQueue) {
    Trace trace;
    trace.jobs.push_back(traced(1, seconds(0), 4, hours(10)));
    trace.jobs.push_back(traced(2, seconds(0), 4, hours(10)));
    trace.jobs[0].user = "a";
    trace.jobs[1].queue = "b";
    SimOptions options;
    options.until = hours(1);
    options.accounts.accounts = {{.name = "a"}, {.name = "b"}};
    const auto result =
        simulate(uniform_cluster({.nodes = 1}), trace, *make_policy("fair-share"), options);
    ASSERT_TRUE(result);
    ASSERT_EQ(result->shares.size(), 2U);
    EXPECT_GT(result->shares[0].usage_slot_s, 4 * 3500);
    EXPECT_EQ(result->shares[0].usage_slot_s, result->shares[1].usage_slot_s);
    options.accounts.accounts.pop_back();
    EXPECT_FALSE(
        simulate(uniform_cluster({.nodes = 1}), trace, *make_policy("fair-share"), options));
}

}  // namespace
}  // namespace mpitrain::sim
