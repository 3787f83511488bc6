#include "stacks.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace mpitrain::rank {
namespace {

// A child that does as told once it is ready, and ends when this is gone.
class Child {
  public:
    explicit Child(bool catches) {
        int ends[2] = {};
        EXPECT_EQ(::pipe(ends), 0);
        pid_ = ::fork();
        if (pid_ == 0) {
            if (catches) {
                ::signal(SIGRTMAX - 3, [](int) { ::_exit(77); });
            }
            static_cast<void>(!::write(ends[1], "r", 1));
            for (;;) {
                ::pause();
            }
        }
        char ready = 0;
        EXPECT_EQ(::read(ends[0], &ready, 1), 1);
        ::close(ends[0]);
        ::close(ends[1]);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    [[nodiscard]] pid_t pid() const { return pid_; }

  private:
    pid_t pid_ = 0;
};

TEST(AskForStacks, SignalsAThreadThatCatchesTheSignal) {
    const Child child(true);
    EXPECT_EQ(ask_for_stacks(child.pid(), SIGRTMAX - 3), 1);
    int status = 0;
    ASSERT_EQ(::waitpid(child.pid(), &status, 0), child.pid());
    EXPECT_EQ(WEXITSTATUS(status), 77);
}

TEST(AskForStacks, HurtsNobodyElse) {
    const Child deaf(false);
    EXPECT_EQ(ask_for_stacks(deaf.pid(), SIGRTMAX - 3), 0) << "it would die of it";
    EXPECT_EQ(ask_for_stacks(deaf.pid(), SIGTERM), 0) << "no real-time signal";
    EXPECT_EQ(ask_for_stacks(::getppid(), SIGRTMAX - 3), 0) << "not below us";
    EXPECT_EQ(::kill(deaf.pid(), 0), 0);
    EXPECT_EQ(::waitpid(deaf.pid(), nullptr, WNOHANG), 0) << "it lives";
}

}  // namespace
}  // namespace mpitrain::rank
