#include "mpitrain/client.hpp"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

#include "attachment.hpp"
#include "mpitrain/client.h"

namespace mpitrain::client {
namespace {

// A page as the agent makes it; the test is the agent.
class PageFile {
  public:
    PageFile() {
        std::string name =
            (std::filesystem::temp_directory_path() / "mpitrain-page-XXXXXX").string();
        const int file = ::mkstemp(name.data());
        path = name;
        EXPECT_EQ(::ftruncate(file, control_page_bytes), 0);
        void* memory =
            ::mmap(nullptr, control_page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        ::close(file);
        page = new (memory) ControlPage{};
        page->magic = ControlPage::expected_magic;
    }
    PageFile(const PageFile&) = delete;
    PageFile& operator=(const PageFile&) = delete;
    ~PageFile() {
        ::munmap(page, control_page_bytes);
        ::unlink(path.c_str());
    }

    std::string path;
    ControlPage* page = nullptr;
};

// Runs `program` in a process of its own and gives its wait status.
int in_child(const std::function<int()>& program) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::_exit(program());
    }
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    return status;
}

TEST(Client, IsANoOpThatWorksWithoutMpitrain) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
    ::unsetenv("MPITRAIN_RESUME");
    progress(1, 10);
    EXPECT_FALSE(should_stop(1));
    checkpoint_started();
    checkpoint_committed(1);
    EXPECT_EQ(resume_path(), std::nullopt);
    EXPECT_STREQ(mpitrain_resume_path(), "");
    mpitrain_progress(1, 2, nullptr, nullptr, 0);
    EXPECT_EQ(mpitrain_should_stop(3), 0);
}

TEST(Client, AFileThatIsNoPageIsLeftAlone) {
    PageFile file;
    file.page->magic = 1;
    const int status = in_child([&] {
        detail::attach(file.path.c_str());
        detail::attach("/dev/null");
        detail::attach("/no/such/page");
        return detail::page() == nullptr ? 0 : 1;
    });
    EXPECT_EQ(status, 0);
    EXPECT_EQ(file.page->client_use, 0U);
}

TEST(Client, ShowsThatItListensAndWhenItPolls) {
    PageFile file;
    EXPECT_EQ(in_child([&] {
                  detail::attach(file.path.c_str());
                  return 0;
              }),
              0);
    EXPECT_EQ(file.page->client_use, 1U);
    EXPECT_EQ(in_child([&] {
                  detail::attach(file.path.c_str());
                  return should_stop(41) ? 1 : 0;
              }),
              0);
    EXPECT_EQ(file.page->client_use, 2U);
    EXPECT_EQ(file.page->answered, 42U);
    EXPECT_EQ(file.page->told_stop, 0U);
}

TEST(Client, ProgressAndCommitsArriveWhole) {
    PageFile file;
    EXPECT_EQ(
        in_child([&] {
            detail::attach(file.path.c_str());
            const char* const names[] = {"loss", "a name that is longer than the slot it goes to"};
            const double values[] = {0.5, 2};
            mpitrain_progress(7, 100, names, values, 2);
            mpitrain_checkpoint_started();
            mpitrain_checkpoint_committed(7);
            mpitrain_checkpoint_committed(9);
            return 0;
        }),
        0);
    const ControlPage& page = *file.page;
    EXPECT_EQ(page.progress_sequence, 2U);
    EXPECT_EQ(page.step, 7U);
    EXPECT_EQ(page.total, 100U);
    ASSERT_EQ(page.metric_count, 2U);
    EXPECT_STREQ(page.metrics[0].name.data(), "loss");
    EXPECT_EQ(page.metrics[0].value, 0.5);
    EXPECT_EQ(std::strlen(page.metrics[1].name.data()), 31U);
    EXPECT_EQ(page.commits, 2U);
    EXPECT_EQ(page.commit_step[0], 7U);
    EXPECT_EQ(page.commit_step[1], 9U);
    EXPECT_GT(page.commit_time_ns[1], 0);
    EXPECT_GT(page.checkpoint_ns, 0U);
    EXPECT_EQ(page.checkpoint_started_ns, 0U);
}

TEST(Client, AWriterThatDiedInTheMiddleDoesNotConfuseTheNext) {
    PageFile file;
    file.page->progress_sequence = 5;
    EXPECT_EQ(in_child([&] {
                  detail::attach(file.path.c_str());
                  progress(1, 2);
                  return 0;
              }),
              0);
    EXPECT_EQ(file.page->progress_sequence, 6U);
}

TEST(Client, AForkedChildDoesNotTouchThePage) {
    PageFile file;
    EXPECT_EQ(in_child([&] {
                  detail::attach(file.path.c_str());
                  return in_child([&] {
                      progress(99, 99);
                      checkpoint_committed(99);
                      return should_stop(99) ? 1 : 0;
                  });
              }),
              0);
    EXPECT_EQ(file.page->progress_sequence, 0U);
    EXPECT_EQ(file.page->commits, 0U);
    EXPECT_EQ(file.page->answered, 0U);
}

TEST(ClientStop, IsAnsweredFromTheDecidedStepOn) {
    PageFile file;
    file.page->stop_step = 10;
    file.page->stop_phase = static_cast<std::uint32_t>(StopPhase::decided);
    EXPECT_EQ(in_child([&] {
                  detail::attach(file.path.c_str());
                  return !should_stop(9) && should_stop(10) && should_stop(11) ? 0 : 1;
              }),
              0);
    EXPECT_EQ(file.page->told_stop, 1U);
}

TEST(ClientStop, TellsTheTimeLeftOnceItHasSaidYes) {
    PageFile file;
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto now_s = static_cast<std::uint64_t>(now.tv_sec);
    file.page->stop_deadline_ns = (now_s + 1000) * 1'000'000'000;
    file.page->stop_step = 10;
    file.page->stop_phase = static_cast<std::uint32_t>(StopPhase::decided);
    EXPECT_EQ(in_child([&] {
                  using namespace std::chrono_literals;
                  detail::attach(file.path.c_str());
                  if (should_stop(9) || stop_time_left() || !should_stop(10)) {
                      return 1;
                  }
                  const auto left = stop_time_left();
                  return left && *left > 900s && *left <= 1000s ? 0 : 2;
              }),
              0);
    file.page->stop_deadline_ns = 1;  // long ago
    EXPECT_EQ(in_child([&] {
                  detail::attach(file.path.c_str());
                  return mpitrain_stop_time_left_ms() == 0 ? 0 : 1;
              }),
              0);
}

TEST(Client, TellsOfASaveThatFailed) {
    PageFile file;
    EXPECT_EQ(in_child([&] {
                  detail::attach(file.path.c_str());
                  checkpoint_started();
                  checkpoint_failed(7, std::string(300, 'x'));
                  mpitrain_checkpoint_failed(8, "disk full");
                  return 0;
              }),
              0);
    EXPECT_EQ(file.page->failed_sequence, 4U);
    EXPECT_EQ(file.page->failed_step, 8U);
    EXPECT_STREQ(file.page->failed_reason.data(), "disk full");
    EXPECT_GT(file.page->checkpoint_ns, 0U);
    EXPECT_EQ(file.page->checkpoint_started_ns, 0U);
}

TEST(ClientStop, HoldsUntilTheDecision) {
    PageFile file;
    file.page->stop_phase = static_cast<std::uint32_t>(StopPhase::hold);
    std::thread agent([&] {
        while (file.page->answered.load() == 0) {
            std::this_thread::yield();
        }
        file.page->stop_step = 5;
        file.page->stop_phase = static_cast<std::uint32_t>(StopPhase::decided);
        ::syscall(SYS_futex, &file.page->stop_phase, FUTEX_WAKE, 1, nullptr, nullptr, 0);
    });
    const int status = in_child([&] {
        detail::attach(file.path.c_str());
        return should_stop(6) ? 0 : 1;
    });
    agent.join();
    EXPECT_EQ(status, 0);
}

// What SIGTERM does to a program that has polled: `sender_is_agent` makes the signal mpitrain's
// own.
int terminate_self(const PageFile& file, bool sender_is_agent) {
    return in_child([&] {
        detail::attach(file.path.c_str());
        file.page->agent_pid = sender_is_agent ? static_cast<std::uint64_t>(::getpid()) : 1;
        should_stop(0);
        ::raise(SIGTERM);
        return 3;
    });
}

TEST(ClientSignal, ATermFromOutsideIsARequestAndNotAnEnd) {
    PageFile file;
    const int status = terminate_self(file, false);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 3);
    EXPECT_EQ(file.page->external_stop, static_cast<std::uint64_t>(SIGTERM));
    EXPECT_GT(file.page->external_stop_pid, 0U);
}

TEST(ClientSignal, TheAgentsOwnTermEndsTheProgram) {
    PageFile file;
    const int status = terminate_self(file, true);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGTERM);
    EXPECT_EQ(file.page->external_stop, 0U);
}

TEST(ClientSignal, ATermToAForkedChildEndsTheChild) {
    PageFile file;
    const int status = in_child([&] {
        detail::attach(file.path.c_str());
        should_stop(0);
        const int child = in_child([] {
            ::raise(SIGTERM);
            return 0;
        });
        return WIFSIGNALED(child) ? 0 : 1;
    });
    EXPECT_EQ(status, 0);
    EXPECT_EQ(file.page->external_stop, 0U);
}

TEST(ClientSignal, AProgramsOwnHandlerStays) {
    PageFile file;
    const int status = in_child([&] {
        static volatile std::sig_atomic_t seen = 0;
        ::signal(SIGTERM, [](int) { seen = 1; });
        detail::attach(file.path.c_str());
        should_stop(0);
        ::raise(SIGTERM);
        return seen == 1 ? 0 : 1;
    });
    EXPECT_EQ(status, 0);
    EXPECT_EQ(file.page->external_stop, 0U);
}

}  // namespace
}  // namespace mpitrain::client
