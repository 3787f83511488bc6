#include "mpitrain/slurm/job_record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mpitrain/slurm/pending_reason.hpp"

namespace mpitrain::slurm {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr std::string_view slurm_22 = R"({"meta": {}, "errors": [], "jobs": [{
    "job_id": 7, "name": "we|ird \"na'me\nline", "user_name": "ada", "partition": "main",
    "job_state": "RUNNING", "state_reason": "None", "nodes": "n[1-2]", "tasks": 4,
    "standard_output": "/home/ada/mpitrain-7.log", "restart_cnt": 2, "exit_code": 0,
    "submit_time": 1795708968, "start_time": 1795708969, "end_time": 1795709268}]})";

TEST(SqueueJson, IsReadAsSlurm22WritesIt) {
    const auto jobs = parse_squeue_json(slurm_22);
    ASSERT_TRUE(jobs);
    ASSERT_THAT(*jobs, SizeIs(1));
    const JobRecord& job = jobs->front();
    EXPECT_EQ(job.id, 7U);
    EXPECT_EQ(job.name, "we|ird \"na'me\nline");
    EXPECT_EQ(job.user, "ada");
    EXPECT_EQ(job.reason, "");
    EXPECT_EQ(job.nodes, "n[1-2]");
    EXPECT_EQ(job.tasks, 4);
    EXPECT_EQ(job.restarts, 2);
    EXPECT_EQ(job.started, 1795708969);
    EXPECT_EQ(state_word(job), "running");
    EXPECT_FALSE(has_ended(job));
}

TEST(SqueueJson, IsReadAsSlurm24WritesIt) {
    const auto jobs = parse_squeue_json(
        R"({"jobs": [{"job_id": 8, "name": "x", "job_state": ["FAILED"], "state_reason": "NonZeroExitCode",
            "tasks": {"set": true, "infinite": false, "number": 2},
            "start_time": {"set": false, "infinite": false, "number": 0},
            "exit_code": {"status": ["ERROR"], "return_code": {"set": true, "infinite": false, "number": 75},
                          "signal": {"id": {"set": false, "infinite": false, "number": 0}, "name": ""}}}]})");
    ASSERT_TRUE(jobs) << jobs.error().text();
    EXPECT_EQ(jobs->front().tasks, 2);
    EXPECT_EQ(jobs->front().exit_code, 75);
    EXPECT_EQ(exit_code_of(jobs->front()), 75);
    EXPECT_TRUE(has_ended(jobs->front()));
}

TEST(SqueueJson, TellsWhatIsUnexpected) {
    for (const auto& [text, where] :
         {std::pair<std::string_view, std::string_view>{"", "squeue --json"},
          {"[]", "squeue --json"},
          {"{}", "jobs"},
          {R"({"jobs": [3]})", "jobs"},
          {R"({"jobs": [{"job_state": "RUNNING"}]})", "job_id"},
          {R"({"jobs": [{"job_id": 1}]})", "job_state"},
          {R"({"jobs": [{"job_id": 1.5, "job_state": "RUNNING"}]})", "job_id"},
          {R"({"jobs": [{"job_id": 1, "job_state": "RUNNING", "tasks": "four"}]})", "tasks"},
          {R"({"jobs": [{"job_id": 1, "job_state": 5}]})", "job_state"}}) {
        const auto jobs = parse_squeue_json(text);
        ASSERT_FALSE(jobs) << text;
        EXPECT_EQ(jobs.error().where(), where) << text;
        EXPECT_EQ(jobs.error().code(), ErrorCode::data_loss);
    }
}

TEST(SqueueText, IsReadWhateverANameHolds) {
    const std::string mark = "@k3Jd9@";
    EXPECT_EQ(squeue_format(mark).substr(0, 20), "@k3Jd9@%A@k3Jd9@%T@k");
    const auto jobs = parse_squeue_text(
        "@k3Jd9@7@k3Jd9@PENDING@k3Jd9@Resources@k3Jd9@ada@k3Jd9@main@k3Jd9@@k3Jd9@4@k3Jd9@a|b\n8 "
        "RUNNING\n\n"
        "@k3Jd9@8@k3Jd9@RUNNING@k3Jd9@None@k3Jd9@bob@k3Jd9@main@k3Jd9@n1@k3Jd9@1@k3Jd9@\n",
        mark);
    ASSERT_TRUE(jobs) << jobs.error().text();
    ASSERT_THAT(*jobs, SizeIs(2));
    EXPECT_EQ((*jobs)[0].name, "a|b\n8 RUNNING\n");
    EXPECT_EQ((*jobs)[0].reason, "Resources");
    EXPECT_EQ((*jobs)[1].id, 8U);
    EXPECT_EQ((*jobs)[1].name, "");
    EXPECT_TRUE(parse_squeue_text("", mark)->empty());
}

TEST(SqueueText, RefusesHalfARecord) {
    EXPECT_FALSE(parse_squeue_text("slurm_load_jobs error: Unable to contact\n", "@x@"));
    EXPECT_FALSE(parse_squeue_text("@x@7@x@PENDING", "@x@"));
    EXPECT_FALSE(parse_squeue_text("noise@x@7@x@R@x@@x@@x@@x@@x@@x@", "@x@"));
    EXPECT_FALSE(parse_squeue_text("@x@seven@x@R@x@@x@@x@@x@@x@@x@", "@x@"));
}

TEST(JobRecord, StatesAreTheContracts) {
    const auto word = [](std::string state, std::string reason = "") {
        JobRecord job;
        job.state = std::move(state);
        job.reason = std::move(reason);
        return state_word(job);
    };
    EXPECT_EQ(word("PENDING", "Resources"), "pending");
    EXPECT_EQ(word("PENDING", "JobHeldUser"), "held");
    EXPECT_EQ(word("CONFIGURING"), "starting");
    EXPECT_EQ(word("COMPLETING"), "stopping");
    EXPECT_EQ(word("REQUEUED"), "pending");
    EXPECT_EQ(word("COMPLETED"), "succeeded");
    EXPECT_EQ(word("CANCELLED"), "cancelled");
    EXPECT_EQ(word("TIMEOUT"), "failed");
    EXPECT_EQ(word("NODE_FAIL"), "failed");
}

TEST(JobRecord, GivesTheExitCodeOfTheContract) {
    const auto code = [](std::string state, int exit_code, int signal) {
        JobRecord job;
        job.state = std::move(state);
        job.exit_code = exit_code;
        job.exit_signal = signal;
        return exit_code_of(job);
    };
    EXPECT_EQ(code("COMPLETED", 0, 0), 0);
    EXPECT_EQ(code("FAILED", 3, 0), 3);
    EXPECT_EQ(code("FAILED", 0, 9), 137);
    EXPECT_EQ(code("TIMEOUT", 0, 15), 124);
    EXPECT_EQ(code("NODE_FAIL", 0, 0), 125);
    EXPECT_EQ(code("CANCELLED", 0, 15), 143);
}

TEST(PendingReason, IsTranslated) {
    EXPECT_THAT(explain_pending("Resources").meaning, HasSubstr("free"));
    EXPECT_THAT(explain_pending("ReqNodeNotAvail, UnavailableNodes:n1").meaning, HasSubstr("down"));
    EXPECT_THAT(explain_pending("QOSMaxCpuPerUserLimit").meaning, HasSubstr("quality of service"));
    EXPECT_THAT(explain_pending("AssocGrpGRES").meaning, HasSubstr("account"));
    EXPECT_THAT(explain_pending("Whatever").mend, HasSubstr("man squeue"));
    EXPECT_THAT(explain_pending("").meaning, HasSubstr("not looked"));
}

}  // namespace
}  // namespace mpitrain::slurm
