#include "corpus.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace char_lm {
namespace {

std::string lines_of(std::size_t count, const std::string& line) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += line + "\n";
    }
    return text;
}

std::string context_of(const Corpus& corpus, const Examples& examples, std::size_t example) {
    std::string context;
    for (std::size_t i = 0; i < Corpus::context; ++i) {
        context += corpus.character(examples.contexts[example * Corpus::context + i]);
    }
    return context;
}

TEST(Corpus, CutsLinesIntoContextsAndTargets) {
    const auto corpus = Corpus::from_text(lines_of(30, "abcdefghij"));
    ASSERT_TRUE(corpus);
    EXPECT_EQ(corpus->alphabet_size(), 11U);
    const Examples& examples = corpus->training();
    ASSERT_EQ(examples.count(), 27U * 11U);
    EXPECT_EQ(context_of(*corpus, examples, 0), std::string(8, '\n'));
    EXPECT_EQ(corpus->character(examples.targets[0]), 'a');
    EXPECT_EQ(context_of(*corpus, examples, 2), "\n\n\n\n\n\nab");
    EXPECT_EQ(context_of(*corpus, examples, 10), "cdefghij");
    EXPECT_EQ(corpus->character(examples.targets[10]), '\n');
    EXPECT_EQ(context_of(*corpus, examples, 11), std::string(8, '\n')) << "a new line starts anew";
}

TEST(Corpus, HoldsOutEveryTenthLine) {
    std::string text;
    for (int i = 0; i < 40; ++i) {
        text += i % 10 == 9 ? "zzz\n" : "aaa\n";
    }
    const auto corpus = Corpus::from_text(text);
    ASSERT_TRUE(corpus);
    EXPECT_EQ(corpus->training().count(), 36U * 4U);
    EXPECT_EQ(corpus->validation().count(), 4U * 4U);
    EXPECT_EQ(corpus->character(corpus->validation().targets[0]), 'z');
    for (const Symbol target : corpus->training().targets) {
        EXPECT_NE(corpus->character(target), 'z');
    }
}

TEST(Corpus, HoldsOutTheEndOfATextWithoutLines) {
    const auto corpus = Corpus::from_text(std::string(500, 'a') + std::string(500, 'b'));
    ASSERT_TRUE(corpus);
    EXPECT_EQ(corpus->training().count(), 900U);
    EXPECT_EQ(corpus->validation().count(), 100U);
    EXPECT_EQ(corpus->alphabet_size(), 3U) << "the line end is always there, as filling";
}

TEST(Corpus, KnowsTheUnigramEntropy) {
    const auto corpus = Corpus::from_text(lines_of(100, "aab"));
    ASSERT_TRUE(corpus);
    EXPECT_NEAR(corpus->unigram_entropy(), 1.5 * std::log(2.0), 1e-12);
}

TEST(Corpus, TakesEveryByte) {
    std::string text = lines_of(20, "lines");
    for (int byte = 0; byte < 256; ++byte) {
        text += static_cast<char>(byte);
    }
    const auto corpus = Corpus::from_text(text);
    ASSERT_TRUE(corpus);
    EXPECT_EQ(corpus->alphabet_size(), 256U);
}

TEST(Corpus, RefusesWhatItCannotLearnFrom) {
    const auto empty = Corpus::from_text("");
    ASSERT_FALSE(empty);
    EXPECT_EQ(empty.error().code(), mpitrain::ErrorCode::invalid_argument);
    const auto missing = Corpus::load("/does/not/exist");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code(), mpitrain::ErrorCode::not_found);
    EXPECT_NE(missing.error().text().find("/does/not/exist"), std::string::npos);
    EXPECT_FALSE(missing.error().mend().empty());
}

TEST(Corpus, FingerprintTellsTextsApart) {
    EXPECT_NE(Corpus::from_text(lines_of(40, "abc"))->fingerprint(),
              Corpus::from_text(lines_of(40, "acb"))->fingerprint());
}

}  // namespace
}  // namespace char_lm
