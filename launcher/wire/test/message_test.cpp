#include "mpitrain/wire/message.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace mpitrain::wire {
namespace {

// One of each, with values that would show a lost sign, width, order or member.
std::vector<Message> samples() {
    return {
        Hello{1, -7, true, "gpu-01", 4242, 65535},
        Started{17, -1},
        Output{Stream::err, std::string("a\0b\n", 4)},
        Progress{1, 2, 3, {{"loss", 0.25}, {"", -std::numeric_limits<double>::infinity()}}},
        Commit{std::numeric_limits<std::uint64_t>::max(), 5},
        StopPrepared{ClientUse::polls, 41},
        StopPrepared{ClientUse::none, std::nullopt},
        StopRequested{15, 99, true},
        Ended{Ended::How::agent_lost,
              1,
              11,
              true,
              false,
              true,
              false,
              true,
              std::numeric_limits<std::int64_t>::min(),
              3,
              "exec",
              "tail",
              "{}"},
        Drained{},
        Start{{"python3", "", "t.py"},
              {{"A", "1"}, {"B", ""}},
              "/w",
              "0-3",
              "o",
              "e",
              {{"/run/lock/mpitrain/cpu-0", true}, {"l", false}},
              "c",
              false,
              true,
              24,
              80,
              true},
        Credit{1ULL << 40U},
        StopPrepare{},
        StopDecide{42, 30'000'000'000},
        SaveFailed{500, "disk full"},
        Terminate{15, 30'000'000'000},
        Signal{10},
        Input{"y\n", true},
        WindowSize{50, 132},
        Release{},
        Ping{5'000'000'000, -3},
    };
}

std::vector<Message> decode_in_pieces(const std::string& bytes, std::size_t piece) {
    Decoder decoder;
    std::vector<Message> messages;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        decoder.append(bytes.data() + at, std::min(piece, bytes.size() - at));
        for (;;) {
            auto next = decoder.next();
            if (!next) {
                ADD_FAILURE() << next.error().text();
                return messages;
            }
            if (!next->has_value()) {
                break;
            }
            messages.push_back(**std::move(next));
        }
    }
    return messages;
}

TEST(Wire, EveryMessageComesBackWhateverThePieces) {
    std::string bytes;
    for (const Message& message : samples()) {
        bytes += encode(message);
    }
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{3}, std::size_t{64}, bytes.size()}) {
        const std::vector<Message> back = decode_in_pieces(bytes, piece);
        ASSERT_EQ(back.size(), samples().size());
        for (std::size_t i = 0; i < back.size(); ++i) {
            EXPECT_EQ(back[i].index(), samples()[i].index());
            EXPECT_EQ(encode(back[i]), encode(samples()[i]));
        }
    }
}

TEST(Wire, MembersKeepTheirValues) {
    const auto back = decode_in_pieces(encode(samples()[8]), 5);
    ASSERT_EQ(back.size(), 1U);
    const auto& ended = std::get<Ended>(back[0]);
    EXPECT_EQ(ended.how, Ended::How::agent_lost);
    EXPECT_EQ(ended.signal, 11);
    EXPECT_TRUE(ended.core_dumped);
    EXPECT_FALSE(ended.out_of_memory);
    EXPECT_TRUE(ended.by_us);
    EXPECT_EQ(ended.time_ns, std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(ended.leftovers, 3);
    EXPECT_EQ(ended.error_file, "{}");
}

TEST(Wire, TheFrameIsAsDocumented) {
    EXPECT_EQ(encode(Drained{}), std::string("\0\0\0\0\x08", 5));
    EXPECT_EQ(encode(Credit{0x0102}), std::string("\x08\0\0\0\x0a\x02\x01\0\0\0\0\0\0", 13));
    EXPECT_EQ(encode(Output{Stream::err, "hi"}), std::string("\x07\0\0\0\x02\x01\x02\0\0\0hi", 12));
}

TEST(Wire, EveryTruncationIsIncompleteOrMalformedNeverAccepted) {
    for (const Message& message : samples()) {
        const std::string whole = encode(message);
        for (std::size_t keep = 0; keep < whole.size(); ++keep) {
            Decoder short_of_bytes;
            short_of_bytes.append(whole.data(), keep);
            const auto waiting = short_of_bytes.next();
            ASSERT_TRUE(waiting);
            EXPECT_FALSE(waiting->has_value());
            if (keep < 5) {
                continue;
            }
            std::string cut = whole.substr(0, keep);  // the same, but its length field admits it
            cut[0] = static_cast<char>(keep - 5);
            cut[1] = static_cast<char>((keep - 5) >> 8U);
            Decoder decoder;
            decoder.append(cut.data(), cut.size());
            const auto result = decoder.next();
            ASSERT_FALSE(result);
            EXPECT_EQ(result.error().code(), ErrorCode::data_loss);
        }
    }
}

void expect_data_loss(std::string frame, const char* why) {
    Decoder decoder;
    decoder.append(frame.data(), frame.size());
    const auto result = decoder.next();
    ASSERT_FALSE(result) << why;
    EXPECT_EQ(result.error().code(), ErrorCode::data_loss) << why;
}

TEST(Wire, MalformedFramesAreDataLoss) {
    expect_data_loss(std::string("\0\0\0\0\x12", 5), "unknown type");
    expect_data_loss(std::string("\x01\0\0\x02\x08", 5), "over the limit, told before it came");
    expect_data_loss(std::string("\x01\0\0\0\x08x", 6), "surplus byte");
    expect_data_loss(std::string("\x05\0\0\0\x02\x02\0\0\0\0", 10), "no such stream");
    expect_data_loss(std::string("\x05\0\0\0\x0f\0\0\0\0\x02", 10), "neither true nor false");
    expect_data_loss(std::string("\x05\0\0\0\x02\0\xff\xff\xff\xff", 10), "text beyond the body");
    expect_data_loss(std::string("\x04\0\0\0\x09\xff\xff\xff\xff", 9), "list beyond the body");
}

TEST(Wire, AnErrorStays) {
    Decoder decoder;
    const std::string bytes = std::string("\0\0\0\0\x7f", 5) + encode(Drained{});
    decoder.append(bytes.data(), bytes.size());
    EXPECT_FALSE(decoder.next());
    EXPECT_FALSE(decoder.next());
}

}  // namespace
}  // namespace mpitrain::wire
