#include "mpitrain/jobfile/yaml.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace mpitrain::jobfile {
namespace {

std::string error_of(const std::string& text) {
    const auto documents = read_yaml(text, "f");
    return documents ? "no error" : documents.error().text();
}

TEST(Yaml, KeepsThePlaceOfEveryValue) {
    const auto documents = read_yaml("a: 1\nb:\n  - x\n  - \"2\"\n", "f");
    ASSERT_TRUE(documents);
    const YamlNode& root = documents->front();
    EXPECT_EQ(place("f", *root.find("a")), "f:1:4");
    EXPECT_EQ(place("f", root.entries[1]), "f:2:1");
    const YamlNode& list = *root.find("b");
    EXPECT_EQ(place("f", list.items[1]), "f:4:5");
    EXPECT_FALSE(list.items[0].quoted);
    EXPECT_TRUE(list.items[1].quoted);
    EXPECT_EQ(root.find("c"), nullptr);
}

TEST(Yaml, ResolvesAliases) {
    const auto documents = read_yaml("a: &x [1, 2]\nb: *x\n---\nc: 3\n", "f");
    ASSERT_TRUE(documents);
    ASSERT_EQ(documents->size(), 2U);
    EXPECT_EQ((*documents)[0].find("b")->items.size(), 2U);
}

TEST(Yaml, RefusesWhatWouldBeGuessedAt) {
    EXPECT_EQ(error_of("a: 1\na: 2\n"), "f:2:1: 'a' is here twice, first in line 1 (give it once)");
    EXPECT_EQ(error_of("[1]: 2\n"), "f:1:1: a key that is no plain text (write key: value)");
    EXPECT_EQ(error_of("<<: {a: 1}\n"), "f:1:1: merge keys are not read (write the keys out)");
    EXPECT_EQ(error_of("a: \x04 b\n"), "f:1:4: a control character (0x04) (is this a YAML file?)");
    EXPECT_EQ(error_of("a: &x [*x]\n"),
              "f:1:8: an alias to what is not complete (write the value out)");
    EXPECT_NE(error_of("a: *nowhere\n").find("f:1:4: "), std::string::npos);
    EXPECT_NE(error_of("a: [1, 2\nb: 3\n").find("f:"), std::string::npos);
}

TEST(Yaml, BoundsAliasBombs) {
    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 20; ++i) {
        const std::string below = "*a" + std::to_string(i - 1);
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
        for (int j = 0; j < 10; ++j) {
            bomb += (j == 0 ? "" : ", ") + below;
        }
        bomb += "]\n";
    }
    EXPECT_NE(error_of(bomb).find("more than 100000 values"), std::string::npos);
}

TEST(Yaml, BoundsDepthSizeAndNumber) {
    EXPECT_NE(error_of(std::string(100'000, '[')).find("nested more than 64 deep"),
              std::string::npos);
    EXPECT_NE(
        error_of(std::string(70, '[') + std::string(70, ']')).find("nested more than 64 deep"),
        std::string::npos);
    EXPECT_EQ(error_of(std::string(yaml_bytes_max + 1, 'a')), "f: longer than 1048576 bytes");
    std::string many = "[";
    for (int i = 0; i < 200'000; ++i) {
        many += "x,";
    }
    EXPECT_NE(error_of(many + "]").find("more than 100000 values"), std::string::npos);
}

}  // namespace
}  // namespace mpitrain::jobfile
