#include "mpitrain/checkpoint/safetensors.hpp"

#include <gtest/gtest.h>

#include <ostream>

namespace mpitrain::checkpoint {
namespace {

TEST(Safetensors, WhatIsEncodedIsDecoded) {
    const SafetensorsHeader header{{{"a", DType::float8_e4m3fn, {2, 3}, 0, 6},
                                    {"b", DType::bfloat16, {}, 6, 2},
                                    {"c/empty", DType::boolean, {0, 4}, 8, 0},
                                    {"d", DType::float64, {1}, 8, 8}},
                                   {{"format", "pt"}}};
    const std::string text = encode_safetensors(header);
    EXPECT_EQ(text.size() % 8, 0U);
    const auto length = safetensors_header_bytes(text, text.size() + 16);
    ASSERT_TRUE(length);
    EXPECT_EQ(*length, text.size() - 8);
    const auto decoded = decode_safetensors(std::string_view(text).substr(8), 16);
    ASSERT_TRUE(decoded) << decoded.error().text();
    EXPECT_EQ(*decoded, header);
}

TEST(Safetensors, EveryTypeGoesThereAndBack) {
    SafetensorsHeader header;
    std::uint64_t at = 0;
    for (int i = 0; i <= static_cast<int>(DType::boolean); ++i) {
        const auto dtype = static_cast<DType>(i);
        header.tensors.push_back(
            {std::string(1, static_cast<char>('a' + i)), dtype, {3}, at, 3 * size_bytes(dtype)});
        at += header.tensors.back().size_bytes;
    }
    const auto decoded =
        decode_safetensors(std::string_view(encode_safetensors(header)).substr(8), at);
    ASSERT_TRUE(decoded) << decoded.error().text();
    EXPECT_EQ(*decoded, header);
}

TEST(Safetensors, ALengthBeyondTheFileIsRefused) {
    using namespace std::string_view_literals;
    const std::pair<std::string_view, std::uint64_t> files[] = {
        {""sv, 0},
        {"1234567"sv, 7},
        {"\x03\0\0\0\0\0\0\0"sv, 10},
        {"\xff\xff\xff\xff\xff\xff\xff\xff"sv, 1000},
        {"\xf9\xff\xff\xff\xff\xff\xff\xff"sv, 8}};
    for (const auto& [prefix, file_bytes] : files) {
        const auto length = safetensors_header_bytes(prefix, file_bytes);
        ASSERT_FALSE(length);
        EXPECT_EQ(length.error().code(), ErrorCode::data_loss);
    }
    const auto large = safetensors_header_bytes("\0\0\0\0\1\0\0\0"sv, std::uint64_t{1} << 40);
    EXPECT_EQ(large.error().code(), ErrorCode::unsupported);
}

struct Hostile {
    const char* name;
    const char* header;
    std::uint64_t data_bytes;
    ErrorCode code;
    const char* says;
};
std::ostream& operator<<(std::ostream& out, const Hostile& one) {
    return out << one.name;
}

using enum ErrorCode;
const Hostile hostile_headers[] = {
    {"Nothing", "", 0, data_loss, "no JSON"},
    {"NoObject", "[1]", 0, data_loss, "no object"},
    {"Cut", R"({"w":{"dtype":"F32")", 4, data_loss, "no JSON"},
    {"NameTwice",
     R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
     R"("w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
     8,
     data_loss,
     "'w' twice"},
    {"MemberTwice",
     R"({"w":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,8]}})",
     8,
     data_loss,
     "'shape' twice"},
    {"NanShape",
     R"({"w":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}})",
     4,
     data_loss,
     "no JSON"},
    {"FloatShape",
     R"({"w":{"dtype":"F32","shape":[1e300],"data_offsets":[0,4]}})",
     4,
     data_loss,
     "'w': 'shape'"},
    {"NegativeShape",
     R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})",
     4,
     data_loss,
     "'w': 'shape'"},
    {"HugeShape",
     R"({"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}})",
     4,
     invalid_argument,
     "larger than any file"},
    {"WrappingShape",
     R"({"w":{"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]}})",
     8,
     invalid_argument,
     "larger than any file"},
    {"ManyDimensions",
     R"({"w":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],)"
     R"("data_offsets":[0,1]}})",
     1,
     invalid_argument,
     "dimensions"},
    {"OtherLength",
     R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
     8,
     data_loss,
     "'w': it has 8 bytes, and its shape 12"},
    {"Beyond",
     R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
     4,
     data_loss,
     "'w': its bytes, 0 to 8"},
    {"Backwards",
     R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[8,4]}})",
     8,
     data_loss,
     "'w': its bytes, 8 to 4"},
    {"HugeOffset",
     R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551615]}})",
     8,
     data_loss,
     "are not within"},
    {"OneOffset",
     R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0]}})",
     4,
     data_loss,
     "no pair"},
    {"Overlap",
     R"({"v":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
     R"("w":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
     12,
     data_loss,
     "'w': its bytes begin at 4, within another's"},
    {"Hole",
     R"({"v":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
     R"("w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
     12,
     data_loss,
     "and those before it end at 4"},
    {"Trailing",
     R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
     5,
     data_loss,
     "1 of 5 bytes are no tensor's"},
    {"UnknownType",
     R"({"w":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}})",
     1,
     unsupported,
     "'w': a checkpoint does not hold the type 'F4'"},
    {"NoType", R"({"w":{"shape":[1],"data_offsets":[0,4]}})", 4, data_loss, "'dtype' is missing"},
    {"NoEntry", R"({"w":7})", 0, data_loss, "'w': its entry"},
    {"UpwardName",
     R"({"../w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
     4,
     invalid_argument,
     "'.' or '..' part"},
    {"EmptyName",
     R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
     4,
     invalid_argument,
     "name"},
    {"MetadataOfNumbers", R"({"__metadata__":{"a":1}})", 0, data_loss, "'a', which is no text"},
    {"MetadataNoObject", R"({"__metadata__":[]})", 0, data_loss, "no object"},
};

class HostileHeader : public testing::TestWithParam<Hostile> {};

TEST_P(HostileHeader, IsRefusedByName) {
    const Hostile& one = GetParam();
    const auto decoded = decode_safetensors(one.header, one.data_bytes);
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code(), one.code) << decoded.error().text();
    EXPECT_NE(decoded.error().text().find(one.says), std::string::npos) << decoded.error().text();
}

INSTANTIATE_TEST_SUITE_P(All,
                         HostileHeader,
                         testing::ValuesIn(hostile_headers),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace mpitrain::checkpoint
