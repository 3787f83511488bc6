#include "mpitrain/output/output_queue.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <random>

namespace mpitrain {
namespace {

// A queue over a file in memory, and a look into the file.
struct Filed {
    explicit Filed(OutputQueue::Taken taken = OutputQueue::Taken::stays)
        : fd(::memfd_create("output", MFD_CLOEXEC)), queue(::dup(fd), taken) {}
    ~Filed() { ::close(fd); }
    Filed(const Filed&) = delete;
    Filed& operator=(const Filed&) = delete;
    [[nodiscard]] std::string content() const {
        std::string text(static_cast<std::size_t>(::lseek(fd, 0, SEEK_END)), '\0');
        EXPECT_EQ(::pread(fd, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
        return text;
    }
    int fd;
    OutputQueue queue;
};

constexpr std::uint64_t ample = 1U << 30U;

TEST(OutputQueue, GivesOutWholeLinesAndTheRestAtTheEnd) {
    Filed file;
    file.queue.append("one\ntwo\nthr", false);
    EXPECT_EQ(file.queue.take(ample), "one\ntwo\n");
    EXPECT_EQ(file.queue.take(ample), "");
    file.queue.append("ee", false);
    EXPECT_EQ(file.queue.take(ample), "");
    EXPECT_FALSE(file.queue.drained());
    file.queue.end();
    EXPECT_EQ(file.queue.take(ample), "three");
    EXPECT_TRUE(file.queue.drained());
    EXPECT_EQ(file.content(), "one\ntwo\nthree");
}

TEST(OutputQueue, CarriageReturnsEndLinesToo) {
    Filed file;
    file.queue.append("10%\r20%\r3", false);
    EXPECT_EQ(file.queue.take(ample), "10%\r20%\r");
    file.queue.append("0%\r", false);
    EXPECT_EQ(file.queue.take(ample), "30%\r");
}

TEST(OutputQueue, ALineEndOfTwoBytesIsNotTorn) {
    Filed file;
    file.queue.append("dos\r", true);
    EXPECT_EQ(file.queue.take(ample), "");
    file.queue.append("\nmac\r", true);
    EXPECT_EQ(file.queue.take(ample), "dos\r\n");
    file.queue.append("x", false);
    EXPECT_EQ(file.queue.take(ample), "mac\r");
    file.queue.append("1\r\n22\r\n", false);
    EXPECT_EQ(file.queue.take(4), "x1\r\n");
    EXPECT_EQ(file.queue.take(3), "") << "a credit that ends between the two bytes";
    EXPECT_EQ(file.queue.take(4), "22\r\n");
}

TEST(OutputQueue, StaysWithinTheCreditAtLineEnds) {
    Filed file;
    file.queue.append("aaaa\nbbbb\ncccc\n", false);
    EXPECT_EQ(file.queue.take(4), "");
    EXPECT_EQ(file.queue.take(11), "aaaa\nbbbb\n");
    EXPECT_EQ(file.queue.take(0), "");
    EXPECT_EQ(file.queue.take(5), "cccc\n");
}

TEST(OutputQueue, ALongLineGoesInPieces) {
    Filed file;
    constexpr std::size_t piece = OutputQueue::piece_bytes_max;
    file.queue.append("short\n" + std::string(piece - 1, 'x'), false);
    EXPECT_EQ(file.queue.take(ample), "short\n");
    EXPECT_EQ(file.queue.take(ample), "");
    file.queue.append("yz", false);
    EXPECT_EQ(file.queue.take(ample), std::string(piece - 1, 'x') + "y");
    EXPECT_EQ(file.queue.take(ample), "");
    file.queue.append("\n", false);
    EXPECT_EQ(file.queue.take(ample), "z\n");
}

TEST(OutputQueue, RandomPiecesAndCreditsKeepTheStream) {
    for (unsigned seed = 0; seed < 20; ++seed) {
        std::mt19937 random(seed);
        Filed file;
        std::string sent;
        std::string taken;
        const auto take = [&](std::uint64_t limit) {
            const std::string piece = file.queue.take(limit);
            EXPECT_LE(piece.size(), limit);
            if (!piece.empty() && piece.size() < OutputQueue::piece_bytes_max) {
                EXPECT_TRUE(piece.ends_with("\n") || piece.ends_with("\r") || random() == 0);
            }
            taken += piece;
        };
        for (int i = 0; i < 300; ++i) {
            std::string bytes(random() % 3000, 'a');
            for (char& byte : bytes) {
                const auto dice = random() % 400;
                byte = dice == 0 ? '\n' : dice == 1 ? '\r' : static_cast<char>('a' + dice % 26);
            }
            sent += bytes;
            file.queue.append(bytes, random() % 2 == 0);
            take(random() % 4000);
        }
        EXPECT_TRUE(sent.starts_with(taken));
        file.queue.end();
        while (!file.queue.drained()) {
            const std::string piece = file.queue.take(ample);
            ASSERT_FALSE(piece.empty());
            taken += piece;
        }
        EXPECT_EQ(taken, sent);
        EXPECT_EQ(file.content(), sent);
    }
}

// Files of this process cannot grow beyond a limit while it lives.
class FullDisk {
  public:
    explicit FullDisk(rlim_t bytes) {
        ::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit small{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &small);
    }
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;
    ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

  private:
    rlimit before_{};
};

std::string blob(std::size_t count, char fill) {
    std::string lines;
    while (lines.size() < count) {
        lines += std::string(99, fill) + "\n";
    }
    return lines;
}

TEST(OutputQueue, AShortFullDiskLosesNothing) {
    Filed file;
    {
        const FullDisk full(1000);
        file.queue.append(blob(2000, 'a'), false);
        file.queue.append(blob(2000, 'b'), false);
        EXPECT_EQ(file.queue.take(ample), blob(2000, 'a') + blob(2000, 'b'))
            << "forwarded from memory";
    }
    file.queue.append("c\n", false);
    EXPECT_EQ(file.queue.take(ample), "c\n");
    EXPECT_EQ(file.content(), blob(2000, 'a') + blob(2000, 'b') + "c\n");
    EXPECT_EQ(file.queue.dropped(), 0U);
}

TEST(OutputQueue, ALongFullDiskIsStatedInPlace) {
    Filed file;
    const std::string lost = blob(100'000, 'l');
    const std::string kept =
        blob(OutputQueue::spill_bytes_max, 'k').substr(0, OutputQueue::spill_bytes_max);
    std::string taken;
    {
        const FullDisk full(1000);
        file.queue.append(blob(1000, 'a'), false);
        file.queue.append(lost, false);
        while (true) {
            const std::string piece = file.queue.take(ample);
            if (piece.empty()) {
                break;
            }
            taken += piece;
        }
        file.queue.append(kept, false);
    }
    file.queue.append("\nend\n", false);
    file.queue.end();
    while (!file.queue.drained()) {
        taken += file.queue.take(ample);
    }
    EXPECT_EQ(taken, blob(1000, 'a') + lost + kept + "\nend\n")
        << "the reader was quick enough for all";
    // The newest bytes had been waiting in memory.
    EXPECT_EQ(file.content(),
              blob(1000, 'a') + "[mpitrain: " + std::to_string(lost.size()) +
                  " bytes dropped: File too large]\n" + kept + "\nend\n");
}

TEST(OutputQueue, AReaderThatWasTooSlowIsToldOfTheGapOnce) {
    Filed file;
    const std::string much = blob(2 * OutputQueue::spill_bytes_max, 'm');
    const std::size_t lost = 1000 + much.size() - 1000 - OutputQueue::spill_bytes_max;
    const std::string notice =
        "[mpitrain: " + std::to_string(lost) + " bytes dropped: File too large]\n";
    std::string taken;
    {
        const FullDisk full(1000);
        file.queue.append(blob(1000, 'a') + much, false);
    }
    file.queue.append("end\n", false);
    file.queue.end();
    while (!file.queue.drained()) {
        taken += file.queue.take(ample);
    }
    EXPECT_EQ(taken, file.content());
    EXPECT_EQ(taken.find("[mpitrain: "), 1000U);
    EXPECT_EQ(taken.rfind("[mpitrain: "), 1000U);
    EXPECT_TRUE(taken.ends_with("m\nend\n"));
}

TEST(OutputQueue, AReaderThatIsStillInTheFileIsToldOfTheGapToo) {
    Filed file;
    const FullDisk full(1000);
    file.queue.append(blob(900, 'a') + "torn " + blob(2 * OutputQueue::spill_bytes_max, 'm'),
                      false);
    file.queue.end();
    std::string taken;
    while (!file.queue.drained()) {
        taken += file.queue.take(4096);
        ASSERT_LT(taken.size(), 3 * OutputQueue::spill_bytes_max);
    }
    const std::size_t told = taken.find("\n[mpitrain: ");
    EXPECT_EQ(told, 1000U);
    EXPECT_NE(taken.find(" bytes dropped: File too large]\n", told), std::string::npos);
}

TEST(OutputQueue, SealSaysSoOverTheLastLinesIfThereIsNoRoomElse) {
    Filed file;
    const FullDisk full(1000);
    file.queue.append(blob(1000, 'a') + blob(500, 'b'), false);
    file.queue.end();
    while (!file.queue.drained()) {
        file.queue.take(ample);
    }
    file.queue.seal();
    EXPECT_EQ(file.content(), blob(900, 'a') + "[mpitrain: 600 bytes dropped: File too large]\n");
    EXPECT_EQ(file.queue.dropped(), 600U);
}

TEST(OutputQueue, AFileCutBySomebodyElseIsAGapAndNotALoop) {
    Filed file;
    file.queue.append("one\ntwo\n", false);
    ASSERT_EQ(::ftruncate(file.fd, 4), 0);
    file.queue.end();
    EXPECT_EQ(file.queue.take(ample), "one\n");
    EXPECT_EQ(file.queue.take(ample), "[mpitrain: 4 bytes dropped: No data available]\n");
    EXPECT_TRUE(file.queue.drained());
}

TEST(OutputQueue, GivesBackTheRoomOfWhatWasTaken) {
    Filed file(OutputQueue::Taken::is_freed);
    const std::string line = std::string(1023, 'x') + "\n";
    std::uint64_t taken = 0;
    for (int i = 0; i < 32 * 1024; ++i) {  // 32 MiB
        file.queue.append(line, false);
        taken += file.queue.take(ample).size();
    }
    EXPECT_EQ(taken, 32U << 20U);
    struct stat status {};
    ASSERT_EQ(::fstat(file.fd, &status), 0);
    EXPECT_LT(status.st_blocks * 512, 4 << 20);
}

}  // namespace
}  // namespace mpitrain
