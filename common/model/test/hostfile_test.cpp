#include "mpitrain/model/hostfile.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>

namespace mpitrain {
namespace {

// "host:slots/max user", with "-" for what is not said.
std::string text_of(const Result<std::vector<HostEntry>>& hosts) {
    if (!hosts) {
        return hosts.error().text();
    }
    std::string text;
    for (const HostEntry& entry : *hosts) {
        text += text.empty() ? "" : " ";
        text += entry.user.empty() ? "" : entry.user + "@";
        text += entry.host;
        text += entry.slots ? fmt::format(":{}", *entry.slots) : "";
        text += entry.max_slots ? fmt::format("/{}", *entry.max_slots) : "";
    }
    return text;
}

struct Case {
    std::string text;
    std::string expected;
};

TEST(Hostfile, ReadsEveryDialect) {
    for (const Case& example : std::vector<Case>{
             {"a slots=8 max_slots=16\nb slots=4\n", "a:8/16 b:4"},
             {"worker-0 slots=8\nworker-1 slots=8", "worker-0:8 worker-1:8"},
             {"a\nb\n", "a b"},
             {"a\nb\na\na\n", "a:3 b"},
             {"a slots=2\na slots=2\na\n", "a:5"},
             {"a:8\nb:4", "a:8 b:4"},
             {"gpu[01-03,7]:2", "gpu01:2 gpu02:2 gpu03:2 gpu7:2"},
             {"gpu[1-2],login slots=3", "gpu1:3 gpu2:3 login:3"},
             {"alice@a slots=2\nbob@b", "alice@a:2 bob@b"},
             {"# head\n\n  a\tslots = 2  # tail\r\n\r\n", "a:2"},
             {"a max-slots=3", "a/3"},
             {"10.0.0.1:2\nnode.example.org", "10.0.0.1:2 node.example.org"},
         }) {
        EXPECT_EQ(text_of(parse_hostfile(example.text, "hosts")), example.expected) << example.text;
    }
}

TEST(Hostfile, NamesFileLineAndColumnOfWhatItCannotRead) {
    for (const Case& example : std::vector<Case>{
             {"", "hosts: names no host (write one host a line)"},
             {"# only\n", "hosts: names no host (write one host a line)"},
             {"a\nb slots=0",
              "hosts:2:9: '0' is no number of slots (give a whole number of at least 1)"},
             {"a slots=x",
              "hosts:1:9: 'x' is no number of slots (give a whole number of at least 1)"},
             {"a slots=99999999999999999999",
              "hosts:1:9: '99999999999999999999' is no number of slots (give a whole number of at "
              "least 1)"},
             {"a slots", "hosts:1:8: no '=' after slots (write slots=8)"},
             {"a 8", "hosts:1:3: '8' is not understood (known are slots=N and max_slots=N)"},
             {"a slots=1 slots=2", "hosts:1:11: a second number of slots (give one)"},
             {"a:2 slots=2", "hosts:1:5: a second number of slots (give one)"},
             {"a slots=4 max_slots=2", "hosts:1:1: slots=4 is above max_slots=2 (swap them)"},
             {"a:", "hosts:1:3: '' is no number of slots (give a whole number of at least 1)"},
             {"@a", "hosts:1:1: no user name before the '@' (write user@host)"},
             {"x@a\ny@a", "hosts:2:1: a was named before with another user (use one user a host)"},
             {"\n  gpu[1-",
              "hosts:2:6: 'gpu[1-' is not a host list: '[' without ']' (write host slots=8, host:8 "
              "or gpu[01-04])"},
             {"a[1-3]b[1-999999999]",
              "hosts:1:9: 'a[1-3]b[1-999999999]' is not a host list: more than 262144 hosts "
              "(write host slots=8, host:8 or gpu[01-04])"},
         }) {
        EXPECT_EQ(text_of(parse_hostfile(example.text, "hosts")), example.expected);
    }
}

TEST(Hostfile, ReadsAHundredThousandLinesAtOnce) {
    std::string text;
    for (int i = 0; i < 100'000; ++i) {
        text += fmt::format("node{:06} slots=8 max_slots=8  # rack {}\n", i, i / 32);
    }
    const auto before = std::chrono::steady_clock::now();
    const auto hosts = parse_hostfile(text, "hosts");
    ASSERT_TRUE(hosts);
    EXPECT_EQ(hosts->size(), 100'000U);
    // Generous: sanitizers and a busy machine. Quadratic behaviour would take minutes.
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
}

TEST(HostOption, ReadsCommasOutsideOfBrackets) {
    EXPECT_EQ(text_of(parse_host_option("a:8,b:8")), "a:8 b:8");
    EXPECT_EQ(text_of(parse_host_option("gpu[01-02,5]:2,x@c,localhost:4")),
              "gpu01:2 gpu02:2 gpu5:2 x@c localhost:4");
    EXPECT_EQ(text_of(parse_host_option("a,a,b")), "a:2 b");
    for (const char* bad : {"", "a,", "a:0", "a:b", "a b", "a[1-", "[", ",", "a;b"}) {
        EXPECT_FALSE(parse_host_option(bad)) << bad;
    }
}

}  // namespace
}  // namespace mpitrain
