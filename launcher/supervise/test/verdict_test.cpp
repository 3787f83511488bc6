#include "mpitrain/supervise/verdict.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>

namespace mpitrain {
namespace {

using wire::Ended;

constexpr std::int64_t ms = 1'000'000;

RankEnd end_of(int rank, Ended ended, std::int64_t at_ms) {
    ended.time_ns = at_ms * ms;
    return {.rank = Rank(rank), .host = "n0", .ended = std::move(ended)};
}
Ended exited(int code) {
    Ended ended;
    ended.code = code;
    return ended;
}
Ended signaled(int signal) {
    Ended ended;
    ended.how = Ended::How::signaled;
    ended.signal = signal;
    return ended;
}

TEST(Verdict, TheEarliestFailureIsTheCause) {
    const Verdict verdict = judge({.ends = {end_of(0, exited(5), 200), end_of(3, exited(9), 100)},

                                   .alive = {Rank(1), Rank(2)}});
    EXPECT_EQ(verdict.rank, Rank(3));
    EXPECT_EQ(verdict.cause, Cause::exited);
    EXPECT_EQ(exit_code(verdict), 9);
    EXPECT_EQ(verdict.victims, (std::vector{Rank(0), Rank(1), Rank(2)}));
}

TEST(Verdict, ALostNodeIsNamedAndNoRankOfIt) {
    Ended lost;
    lost.how = Ended::How::agent_lost;
    lost.detail = "nothing was heard of it for 5s";
    const std::vector<RankEnd> ends = {end_of(0, exited(1), 200), end_of(1, lost, 100)};
    const Verdict verdict = judge({.ends = ends, .lost_hosts = {"n0"}});
    EXPECT_EQ(verdict.cause, Cause::node_lost);
    EXPECT_EQ(verdict.rank, std::nullopt);
    EXPECT_EQ(verdict.host, "n0");
    EXPECT_EQ(describe(verdict), "node n0 was lost: nothing was heard of it for 5s");
    EXPECT_EQ(verdict.victims, (std::vector{Rank(0), Rank(1)}));

    const Verdict agent = judge({.ends = ends});
    EXPECT_EQ(describe(agent),
              "rank 1 on n0: the rank agent was lost: nothing was heard of it for 5s");
}

TEST(Verdict, ASignalOutranksAnExitCodeSeenAtTheSameMoment) {
    const Verdict verdict =
        judge({.ends = {end_of(0, exited(1), 100), end_of(1, signaled(SIGSEGV), 103)}});
    EXPECT_EQ(verdict.rank, Rank(1));
    EXPECT_EQ(exit_code(verdict), 139);
    // But not one that came clearly later.
    EXPECT_EQ(judge({.ends = {end_of(0, exited(1), 100), end_of(1, signaled(SIGABRT), 200)},
                     .engine = {}})
                  .rank,
              Rank(0));
}

TEST(Verdict, AnUncaughtExceptionMayBeAReactionToAnExit) {
    EXPECT_EQ(judge({.ends = {end_of(0, exited(3), 100), end_of(1, signaled(SIGABRT), 103)}}).rank,
              Rank(0));
}

TEST(Verdict, ARankThatBlamesAPeerIsAVictim) {
    Ended victim = signaled(SIGSEGV);
    victim.stderr_tail = "RuntimeError: [gloo] Connection closed by peer [127.0.0.1]:4711\n";
    EXPECT_EQ(judge({.ends = {end_of(0, victim, 100), end_of(1, exited(3), 160)}}).rank, Rank(1));
    // Unless nobody else failed anywhere near, or all say so.
    EXPECT_EQ(judge({.ends = {end_of(0, victim, 100), end_of(1, exited(3), 900)}}).rank, Rank(0));
    EXPECT_EQ(judge({.ends = {end_of(0, victim, 120), end_of(1, victim, 100)}}).rank, Rank(1));
}

TEST(Verdict, CleanEndsAndOurOwnKillsAreNotFailures) {
    Ended killed = signaled(SIGKILL);
    killed.by_us = true;
    const Verdict verdict =
        judge({.ends = {end_of(0, exited(0), 1), end_of(1, killed, 2), end_of(2, exited(4), 3)},
               .engine = {}});
    EXPECT_EQ(verdict.rank, Rank(2));
    EXPECT_TRUE(verdict.victims.empty());
}

TEST(Verdict, OutOfMemoryIsNotJustAKill) {
    Ended killed = signaled(SIGKILL);
    killed.out_of_memory = true;
    const Verdict verdict = judge({.ends = {end_of(0, killed, 1)}});
    EXPECT_EQ(verdict.cause, Cause::oom);
    EXPECT_EQ(exit_code(verdict), 137);
}

TEST(Verdict, AnEngineThatEndsAJobByItselfHeardAnAbort) {
    const std::vector<RankEnd> ends = {end_of(1, exited(7), 1), end_of(2, exited(9), 20)};
    const Verdict verdict = judge({.ends = ends, .engine_stopping = true});
    EXPECT_EQ(verdict.rank, Rank(1));
    EXPECT_EQ(verdict.cause, Cause::aborted);
    EXPECT_EQ(exit_code(verdict), 7);
    // It was another rank's, or the engine saw a rank leave without MPI_Finalize.
    EngineReport engine;
    engine.aborted_rank = Rank(2);
    EXPECT_EQ(judge({.ends = ends, .engine = engine, .engine_stopping = true}).cause,
              Cause::exited);
    EXPECT_EQ(judge({.ends = {end_of(0, exited(0), 1), end_of(1, exited(7), 20)},
                     .engine_stopping = true})
                  .cause,
              Cause::exited);
}

TEST(Verdict, AbortTakesTheCodeThatTheEngineHeard) {
    EngineReport engine;
    engine.aborted_rank = Rank(1);
    engine.abort_code = 7;
    const Verdict verdict =
        judge({.ends = {end_of(1, exited(7), 1)}, .engine = engine, .engine_stopping = true});
    EXPECT_EQ(verdict.cause, Cause::aborted);
    EXPECT_EQ(exit_code(verdict), 7);
    EXPECT_EQ(describe(verdict), "rank 1 on n0 called MPI_Abort with code 7");
}

TEST(Verdict, AnAbortIsSeenWithoutTheEnginesWords) {
    const Verdict verdict = judge({.ends = {end_of(1, exited(7), 1)}, .engine_stopping = true});
    EXPECT_EQ(verdict.cause, Cause::aborted);
    EXPECT_EQ(exit_code(verdict), 7);
    // With a clean end before it, that rank may have left without MPI_Finalize and be why the
    // engine stops.
    const Verdict other = judge(
        {.ends = {end_of(0, exited(0), 1), end_of(1, exited(7), 2)}, .engine_stopping = true});
    EXPECT_EQ(other.cause, Cause::exited);
}

TEST(Verdict, NotFoundAndNotExecutableKeepTheShellsCodes) {
    Ended missing;
    missing.how = Ended::How::not_started;
    missing.code = ENOENT;
    EXPECT_EQ(exit_code(judge({.ends = {end_of(0, missing, 1)}})), 127);
    missing.code = EACCES;
    EXPECT_EQ(exit_code(judge({.ends = {end_of(0, missing, 1)}})), 126);
}

TEST(Verdict, AMissingLibraryIsAProgramThatCouldNotBeStarted) {
    Ended ended = exited(127);
    ended.stderr_tail = "x\n./train: error while loading shared libraries: libx.so: cannot open\n";
    const Verdict verdict = judge({.ends = {end_of(0, ended, 1)}});
    EXPECT_EQ(verdict.cause, Cause::not_started);
    EXPECT_EQ(verdict.detail,
              "./train: error while loading shared libraries: libx.so: cannot open");
    EXPECT_EQ(exit_code(verdict), 127);
}

TEST(Verdict, LeavingWithoutFinalizeIsAFailureOfCodeOne) {
    EngineReport engine;
    engine.improper_rank = Rank(2);
    const Verdict verdict = judge({.ends = {end_of(2, exited(0), 1), end_of(0, exited(0), 2)},
                                   .engine = engine,
                                   .engine_stopping = true});
    EXPECT_EQ(verdict.rank, Rank(2));
    EXPECT_EQ(verdict.cause, Cause::exited_without_finalize);
    EXPECT_EQ(exit_code(verdict), 1);
}

TEST(Verdict, ADeadEngineIsNobodysFault) {
    const Verdict verdict = judge({.ends = {}, .engine_dead = true, .alive = {Rank(0)}});
    EXPECT_EQ(verdict.cause, Cause::engine_lost);
    EXPECT_FALSE(verdict.rank);
    EXPECT_EQ(exit_code(verdict), 125);
}

TEST(Verdict, RanksThatADyingEngineTookAlongAreNoCleanEnds) {
    Ended taken = signaled(SIGKILL);
    taken.how = Ended::How::agent_lost;
    taken.by_us = true;
    const Verdict verdict = judge({.ends = {end_of(1, taken, 1)}, .engine_stopping = true});
    EXPECT_EQ(verdict.cause, Cause::engine_lost);
    EXPECT_EQ(exit_code(verdict), 125);
}

TEST(Verdict, RanksThatEndForWantOfTheirEngineAreNotItsFailure) {
    Ended wanting = exited(1);
    wanting.engine_gone = true;
    Ended aborted = signaled(SIGABRT);
    aborted.engine_gone = true;
    const Verdict verdict = judge({.ends = {end_of(2, exited(0), 1),
                                            end_of(3, exited(1), 2),
                                            end_of(0, wanting, 2),
                                            end_of(1, aborted, 3)}});
    EXPECT_EQ(verdict.cause, Cause::engine_lost);
    EXPECT_EQ(exit_code(verdict), 125);

    Ended faulty = signaled(SIGSEGV);
    faulty.engine_gone = true;
    EXPECT_EQ(judge({.ends = {end_of(1, faulty, 1)}}).rank, Rank(1));
}

TEST(Verdict, AFailureNeverComesOutAsSuccess) {
    EXPECT_EQ(exit_code(judge({.ends = {end_of(0, exited(256), 1)}})), 1);
}

}  // namespace
}  // namespace mpitrain
