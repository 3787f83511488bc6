#include "mpitrain/settings/option.hpp"

#include <gtest/gtest.h>

#include "mpitrain/settings/suggest.hpp"

namespace mpitrain::settings {
namespace {

constexpr Option table[] = {
    {.name = "ranks", .letter = 'n', .value = "N"},
    {.name = "env", .value = "K=V", .repeats = true},
    {.name = "device", .value = "NAME", .choices = "auto|cuda|cpu"},
    {.name = "oversubscribe"},
    {.name = "help", .letter = 'h'},
};

Result<Scan> scan_words(std::vector<std::string> words, Order order = Order::options_first) {
    OptionSet set;
    append(set, table);
    return scan(set, words, order);
}

std::string given_text(const Scan& scan) {
    std::string text;
    for (const Given& given : scan.given) {
        text += std::string(given.option->name) + "=" + given.value + ";";
    }
    return text;
}

TEST(OptionScan, ReadsEverySpelling) {
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"--ranks", "4"}, {"--ranks=4"}, {"-n", "4"}, {"-n4"}, {"-np", "4"}}) {
        const auto scan = scan_words(words);
        ASSERT_TRUE(scan) << words[0];
        EXPECT_EQ(given_text(*scan), "ranks=4;") << words[0];
        EXPECT_TRUE(scan->rest.empty());
    }
}

TEST(OptionScan, EndsAtTheFirstPlainWord) {
    const auto scan = scan_words({"--oversubscribe", "python", "t.py", "--ranks", "x", "--", "y"});
    ASSERT_TRUE(scan);
    EXPECT_EQ(given_text(*scan), "oversubscribe=true;");
    EXPECT_EQ(scan->rest, (std::vector<std::string>{"python", "t.py", "--ranks", "x", "--", "y"}));
}

TEST(OptionScan, EndsAtTwoDashesAndDropsThem) {
    EXPECT_EQ(scan_words({"--", "--odd-program", "-n"})->rest,
              (std::vector<std::string>{"--odd-program", "-n"}));
}

TEST(OptionScan, MixedOrderReadsOptionsAfterPlainWords) {
    const auto scan = scan_words({"a", "-n", "4", "b", "--", "-n"}, Order::mixed);
    ASSERT_TRUE(scan);
    EXPECT_EQ(given_text(*scan), "ranks=4;");
    EXPECT_EQ(scan->rest, (std::vector<std::string>{"a", "b", "-n"}));
}

TEST(OptionScan, TakesAnyWordAsAValue) {
    EXPECT_EQ(given_text(*scan_words({"--env", "--ranks", "--env=A=b=c", "--env="})),
              "env=--ranks;env=A=b=c;env=;");
}

struct BadWords {
    std::vector<std::string> words;
    std::string text;
};

TEST(OptionScan, NamesWhatIsWrongAndTheMend) {
    for (const BadWords& bad : std::vector<BadWords>{
             {{"--rank", "4"}, "unknown option '--rank' (did you mean --ranks?)"},
             {{"--overs"}, "unknown option '--overs' (see --help)"},
             {{"--zzz"}, "unknown option '--zzz' (see --help)"},
             {{"-x"},
              "unknown option '-x' (see --help; a program's own options go after the program)"},
             {{"-hx"},
              "unknown option '-hx' (see --help; a program's own options go after the program)"},
             {{"--ranks"}, "--ranks needs a value (write --ranks N)"},
             {{"--oversubscribe=1"}, "--oversubscribe takes no value"},
             {{"-n", "1", "--ranks=2"}, "--ranks is given twice (give it once)"},
             {{"--device", "cude"},
              "--device: 'cude' is not one of auto, cuda, cpu (did you mean cuda?)"},
         }) {
        const auto scan = scan_words(bad.words);
        ASSERT_FALSE(scan) << bad.words[0];
        EXPECT_EQ(scan.error().code(), ErrorCode::invalid_argument);
        EXPECT_EQ(scan.error().text(), bad.text);
    }
}

TEST(OptionNames, FollowTheFlag) {
    const Option option{.name = "ranks-per-node"};
    EXPECT_EQ(variable_name(option), "MPITRAIN_OPT_RANKS_PER_NODE");
    EXPECT_EQ(key_name(option), "ranks_per_node");
}

TEST(Nearest, FindsSlipsOfTheFingers) {
    const std::vector<std::string_view> words = {"plan", "run", "topo", "config"};
    EXPECT_EQ(nearest("plna", words), "plan");
    EXPECT_EQ(nearest("rnu", words), "run");
    EXPECT_EQ(nearest("conifg", words), "config");
    EXPECT_EQ(nearest("checkpoint", words), "");
    EXPECT_EQ(nearest("", words), "");
    EXPECT_EQ(nearest(std::string(100'000, 'r'), words), "");
}

}  // namespace
}  // namespace mpitrain::settings
