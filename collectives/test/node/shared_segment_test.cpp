#include "node/shared_segment.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace mpitrain::collectives {
namespace {

constexpr std::size_t size = 8192;

TEST(SharedSegment, IsTheSameMemoryForWhoAttachesIt) {
    auto made = SharedSegment::create(size);
    ASSERT_TRUE(made);
    auto seen = SharedSegment::attach(made->address(), size);
    ASSERT_TRUE(seen) << seen.error().text();
    made->bytes()[5000] = std::byte{7};
    EXPECT_EQ(seen->bytes()[5000], std::byte{7});
    EXPECT_NE(seen->bytes().data(), made->bytes().data());
}

TEST(SharedSegment, RefusesWhatIsNotTheSegmentThatWasMeant) {
    auto made = SharedSegment::create(size);
    auto other = SharedSegment::create(size);
    ASSERT_TRUE(made && other);
    SegmentAddress wrong = made->address();
    wrong.fd = other->address().fd;
    EXPECT_EQ(SharedSegment::attach(wrong, size).error().code(), ErrorCode::invalid_argument);
    EXPECT_EQ(SharedSegment::attach(made->address(), size + 1).error().code(),
              ErrorCode::invalid_argument);
    wrong.fd = 0;  // standard input
    EXPECT_FALSE(SharedSegment::attach(wrong, size));
    wrong = {.pid = -1, .fd = 3, .nonce = {}};
    EXPECT_FALSE(SharedSegment::attach(wrong, size));
}

TEST(SharedSegment, FreesTheSeatOfAProcessThatIsKilled) {
    auto made = SharedSegment::create(size);
    ASSERT_TRUE(made && made->take_seat(0));
    EXPECT_TRUE(made->seat_is_free(1));
    int ready[2] = {-1, -1};
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
        const auto own = SharedSegment::attach(made->address(), size);
        const bool seated = own && own->take_seat(1) && !own->take_seat(0);
        const char answer = seated ? 'y' : 'n';
        static_cast<void>(write(ready[1], &answer, 1));
        pause();
        _exit(0);
    }
    char answer = 0;
    ASSERT_EQ(read(ready[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    EXPECT_FALSE(made->seat_is_free(1));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    EXPECT_TRUE(made->seat_is_free(1));
    close(ready[0]);
    close(ready[1]);
}

}  // namespace
}  // namespace mpitrain::collectives
