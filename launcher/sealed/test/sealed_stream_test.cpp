#include "mpitrain/sealed/sealed_stream.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace mpitrain::sealed {
namespace {

// An agent and a supervisor that have said their greetings.
struct Pair {
    explicit Pair(const Key& agent_key, const Key& supervisor_key)
        : agent(agent_key, Side::agent), supervisor(supervisor_key, Side::supervisor) {}
    Result<void> greet() {
        std::string none;
        MPITRAIN_TRY_VOID(supervisor.receive(agent.greeting(), none));
        MPITRAIN_TRY_VOID(agent.receive(supervisor.greeting(), none));
        EXPECT_TRUE(none.empty());
        return {};
    }
    SealedStream agent;
    SealedStream supervisor;
};

TEST(SealedStream, CarriesBytesBothWays) {
    const Key key = random_key();
    Pair pair(key, key);
    ASSERT_TRUE(pair.greet());
    const std::string large(200'000, 'x');
    for (const std::string& text : {std::string("hello"), std::string(), large}) {
        std::string up;
        std::string down;
        ASSERT_TRUE(pair.supervisor.receive(pair.agent.seal(text), up));
        ASSERT_TRUE(pair.agent.receive(pair.supervisor.seal(text), down));
        EXPECT_EQ(up, text);
        EXPECT_EQ(down, text);
    }
}

TEST(SealedStream, TakesBytesHoweverTheyAreCut) {
    const Key key = random_key();
    Pair pair(key, key);
    std::string none;
    ASSERT_TRUE(pair.agent.receive(pair.supervisor.greeting(), none));
    std::string plain;
    std::string bytes = pair.agent.greeting();
    bytes += pair.agent.seal("abc");
    bytes += pair.agent.seal("def");
    for (const char byte : bytes) {
        ASSERT_TRUE(pair.supervisor.receive({&byte, 1}, plain));
    }
    EXPECT_EQ(plain, "abcdef");
}

TEST(SealedStream, RefusesAnotherKey) {
    Pair pair(random_key(), random_key());
    ASSERT_TRUE(pair.greet());
    std::string plain;
    const auto received = pair.supervisor.receive(pair.agent.seal("hello"), plain);
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code(), ErrorCode::data_loss);
    EXPECT_EQ(plain, "");
}

TEST(SealedStream, RefusesEveryAlteredByte) {
    const Key key = random_key();
    for (std::size_t at = 0;; ++at) {
        Pair pair(key, key);
        ASSERT_TRUE(pair.greet());
        std::string sealed = pair.agent.seal("hello");
        if (at == sealed.size()) {
            break;
        }
        sealed[at] = static_cast<char>(sealed[at] ^ 1);
        std::string plain;
        const auto received = pair.supervisor.receive(sealed, plain);
        // A longer length waits for bytes that never come, which the heartbeat ends.
        EXPECT_TRUE(plain.empty()) << at;
        EXPECT_TRUE(!received || at < 4) << at;
    }
}

TEST(SealedStream, RefusesWhatWasRecorded) {
    const Key key = random_key();
    Pair pair(key, key);
    ASSERT_TRUE(pair.greet());
    const std::string recorded = pair.agent.seal("stop");
    std::string plain;
    ASSERT_TRUE(pair.supervisor.receive(recorded, plain));
    EXPECT_FALSE(pair.supervisor.receive(recorded, plain)) << "within the connection";

    SealedStream later(key, Side::supervisor);
    std::string again;
    ASSERT_TRUE(later.receive(pair.agent.greeting(), again));
    EXPECT_FALSE(later.receive(recorded, again)) << "to another connection";
    EXPECT_EQ(again, "");
}

TEST(SealedStream, RefusesItsOwnWordsSentBack) {
    SealedStream supervisor(random_key(), Side::supervisor);
    std::string plain;
    EXPECT_FALSE(supervisor.receive(supervisor.greeting(), plain));
}

TEST(SealedStream, KnowsAStrangerByItsFirstByte) {
    SealedStream supervisor(random_key(), Side::supervisor);
    std::string plain;
    const auto received = supervisor.receive("G", plain);  // "GET / HTTP/1.1"
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code(), ErrorCode::data_loss);
}

TEST(SealedStream, NamesAnotherVersion) {
    const Key key = random_key();
    SealedStream supervisor(key, Side::supervisor);
    std::string greeting = SealedStream(key, Side::agent).greeting();
    greeting[8] = 99;
    std::string plain;
    const auto received = supervisor.receive(greeting, plain);
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code(), ErrorCode::unsupported);
}

TEST(Key, IsReadAsItWasWritten) {
    const Key key = random_key();
    ASSERT_EQ(key_from_text(to_text(key)), key);
    for (const std::string& bad : {std::string(), std::string(63, '0'), std::string(64, 'g')}) {
        EXPECT_FALSE(key_from_text(bad)) << bad;
    }
}

}  // namespace
}  // namespace mpitrain::sealed
