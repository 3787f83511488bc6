#include "mpitrain/checkpoint/manifest.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "mpitrain/checkpoint/crc32c.hpp"

namespace mpitrain::checkpoint {
namespace {

Manifest example() {
    Manifest manifest;
    manifest.step = 100;
    manifest.world_size = 2;
    manifest.created = "2026-01-02T03:04:05Z";
    manifest.model = "char-lm \"h=64\"";
    manifest.job = "42";
    manifest.attempt = 3;
    manifest.attributes = {{"loss", 0.1},
                           {"whole", 1.0},
                           {"limit", HUGE_VAL},
                           {"epoch", std::int64_t{-3}},
                           {"final", true},
                           {"note", std::string("größer\n")}};
    manifest.shards = {{"shard-0-ab.h5", 40000, 36864, 3136, 0xdeadbeef},
                       {"shard-1-ab.h5", 20000, 16384, 3616, 7}};
    manifest.view = ViewFile{8192, 0x01020304};
    manifest.tensors = {{"bias", DType::bfloat16, {}, {{1, 4096, {{}, {}}}}},
                        {"empty", DType::float32, {0, 3}, {}},
                        {"w",
                         DType::float32,
                         {4, 100},
                         {{0, 8192, {{0, 0}, {2, 100}}}, {1, 8192, {{2, 0}, {2, 100}}}}}};
    manifest.blobs = {{"data", std::nullopt, 0, 100, 50}, {"random", 1, 1, 100, 50}};
    return manifest;
}

// The text with one part exchanged and the seal made right again.
std::string tampered(const std::string& from, const std::string& to) {
    std::string text = encode(example());
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const std::size_t seal = text.rfind(",\"crc32c\":");
    const auto crc = crc32c(std::as_bytes(std::span(text).first(seal)));
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", crc);
    text.replace(seal + 11, 8, digits);
    return text;
}

TEST(ManifestTest, SurvivesTheRoundTrip) {
    const Manifest manifest = example();
    const auto back = decode_manifest(encode(manifest));
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_EQ(*back, manifest);
    EXPECT_EQ(back->size_bytes(), 68192U);
    EXPECT_NE(back->find("w"), nullptr);
    EXPECT_EQ(back->find("v"), nullptr);
}

TEST(ManifestTest, EveryFlippedBitIsFound) {
    const std::string text = encode(example());
    for (std::size_t i = 0; i < text.size(); ++i) {
        for (int bit = 0; bit < 8; ++bit) {
            std::string flipped = text;
            flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
            ASSERT_FALSE(decode_manifest(flipped)) << "byte " << i << " bit " << bit;
        }
    }
}

TEST(ManifestTest, EveryTruncationIsFound) {
    const std::string text = encode(example());
    for (std::size_t length = 0; length < text.size(); ++length) {
        const auto cut = decode_manifest(std::string_view(text).substr(0, length));
        ASSERT_FALSE(cut);
        EXPECT_EQ(cut.error().code(), ErrorCode::data_loss);
    }
}

// The example of docs/formats/checkpoint.md, as it was written to a disk.
TEST(ManifestTest, ReadsTheDocumentedExample) {
    const std::string text =
        R"({"schema":"mpitrain.checkpoint/1","step":5,"world_size":1,"created":"2026-11-20T)"
        R"(13:57:13Z","model":"","job":"","attempt":0,"structure":"b23658299922318c","attri)"
        R"(butes":{"loss":0.25},"block_bytes":16384,"shards":[{"file":"shard-0-d6503ae45444)"
        R"(bd8870341e95.h5","bytes":16384,"table":{"offset":12288,"bytes":4096,"crc32c":"e4)"
        R"(94f15f"}}],"view":{"file":"checkpoint.h5","bytes":8192,"crc32c":"b742b624"},"ten)"
        R"(sors":[{"name":"w","dtype":"float32","shape":[2,3],"blocks":[{"shard":0,"at":819)"
        R"(2,"offset":[0,0],"extent":[2,3]}]}],"blobs":[],"crc32c":"3ddf7cf0"})"
        "\n";
    const auto manifest = decode_manifest(text);
    ASSERT_TRUE(manifest) << manifest.error().text();
    EXPECT_EQ(encode(*manifest), text);
    EXPECT_EQ(manifest->step, 5U);
    EXPECT_EQ(manifest->find("w")->blocks[0].offset, 8192U);
}

TEST(ManifestTest, UnknownMembersAreForTheFuture) {
    EXPECT_TRUE(decode_manifest(tampered("\"step\":100", "\"later\":[{}],\"step\":100")));
}

TEST(ManifestTest, ALaterFormatIsToldFromDamage) {
    const auto later = decode_manifest(tampered("mpitrain.checkpoint/1", "mpitrain.checkpoint/2"));
    EXPECT_EQ(later.error().code(), ErrorCode::unsupported);
    EXPECT_EQ(decode_manifest(tampered("mpitrain.checkpoint/1", "other")).error().code(),
              ErrorCode::data_loss);
}

TEST(ManifestTest, ImpossibleContentIsRefusedUnderARightSeal) {
    const std::pair<const char*, const char*> lies[] = {
        {"\"step\":100", "\"step\":-1"},
        {"\"step\":100", "\"step\":1.5"},
        {"\"step\":100", "\"stop\":100"},
        {"\"world_size\":2", "\"world_size\":0"},
        {"\"world_size\":2", "\"world_size\":1"},  // a blob is of rank 1
        {"\"block_bytes\":16384", "\"block_bytes\":16383"},
        {"\"block_bytes\":16384", "\"block_bytes\":1073741824"},
        {"shard-0-ab.h5", "../shard.h5"},
        {"shard-0-ab.h5", "shard-1-ab.h5"},
        {"\"bytes\":40000", "\"bytes\":30000"},
        {"\"offset\":36864", "\"offset\":99999999"},
        {"\"dtype\":\"float32\"", "\"dtype\":\"float31\""},
        {"\"shape\":[4,100]", "\"shape\":[4,101]"},
        {"\"shape\":[4,100]", "\"shape\":[9223372036854775807,100]"},
        {"\"shard\":1,\"at\":8192", "\"shard\":2,\"at\":8192"},
        {"\"shard\":1,\"at\":8192", "\"shard\":1,\"at\":19999"},
        {"\"offset\":[2,0]", "\"offset\":[1,0]"},
        {"\"name\":\"w\"", "\"name\":\"a\""},  // out of order
        {"\"rank\":1", "\"rank\":2"},
        {"01020304", "0102030g"},
        {"{\"float\":\"inf\"}", "{\"float\":\"much\"}"},
    };
    for (const auto& [from, to] : lies) {
        const auto decoded = decode_manifest(tampered(from, to));
        ASSERT_FALSE(decoded) << to;
        EXPECT_EQ(decoded.error().code(), ErrorCode::data_loss) << to;
    }
}

TEST(ManifestTest, StructureTellsModelsApartButNotSteps) {
    Manifest one = example();
    Manifest other = example();
    other.step = 7;
    EXPECT_EQ(structure_hash(one), structure_hash(other));
    other.tensors[2].dtype = DType::float64;
    EXPECT_NE(structure_hash(one), structure_hash(other));
}

}  // namespace
}  // namespace mpitrain::checkpoint
