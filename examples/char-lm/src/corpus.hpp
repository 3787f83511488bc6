#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace char_lm {

using Symbol = std::uint8_t;  // the index of a character in the alphabet

// What the model learns from: `context` symbols and the one that follows them.
struct Examples {
    std::vector<Symbol> contexts;  // count() * context, row by row
    std::vector<Symbol> targets;
    [[nodiscard]] std::size_t count() const { return targets.size(); }
};

// A text, cut into examples. Characters are bytes. A context never reaches over the start of its
// line: it is filled up with line ends there, so that a list of words does not teach its order.
class Corpus {
  public:
    static constexpr std::size_t context = 8;
    static constexpr std::size_t bytes_max = std::size_t{256} << 20;

    // Every tenth line is kept for validation (of fewer than ten lines: the last tenth of the
    // text). Errors: invalid_argument (too short to learn from, or beyond bytes_max).
    static mpitrain::Result<Corpus> from_text(std::string_view text);
    // Errors: as above, and those of reading the file.
    static mpitrain::Result<Corpus> load(const std::string& path);

    [[nodiscard]] const Examples& training() const { return training_; }
    [[nodiscard]] const Examples& validation() const { return validation_; }
    [[nodiscard]] std::size_t alphabet_size() const { return alphabet_.size(); }
    [[nodiscard]] char character(Symbol symbol) const { return alphabet_[symbol]; }
    [[nodiscard]] Symbol line_end() const { return line_end_; }
    // The loss in nats per character of a model that knows only how often each character occurs.
    [[nodiscard]] double unigram_entropy() const { return unigram_entropy_; }
    // Stands for the text in checkpoints, so that a run does not resume on another one.
    [[nodiscard]] std::uint64_t fingerprint() const { return fingerprint_; }

  private:
    void learn_alphabet(std::string_view text);
    void cut(std::string_view text);

    std::string alphabet_;  // sorted, distinct
    Symbol line_end_ = 0;
    double unigram_entropy_ = 0;
    std::uint64_t fingerprint_ = 0;
    Examples training_;
    Examples validation_;
};

}  // namespace char_lm
