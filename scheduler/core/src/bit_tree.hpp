#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mpitrain::scheduler {

// A set of numbers below a fixed size, as bits under a 64-ary tree of summaries. Everything costs
// one word per level: three for a quarter of a million.
class BitTree {
  public:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    explicit BitTree(std::size_t size = 0) {
        do {
            size = (size + 63) / 64;
            levels_.emplace_back(size, 0);
        } while (size > 1);
    }

    void insert(std::size_t number) {
        for (auto& words : levels_) {
            std::uint64_t& word = words[number / 64];
            const bool known = word != 0;
            word |= std::uint64_t{1} << (number % 64);
            if (known) {
                return;  // the summaries say so already
            }
            number /= 64;
        }
    }

    void erase(std::size_t number) {
        for (auto& words : levels_) {
            std::uint64_t& word = words[number / 64];
            word &= ~(std::uint64_t{1} << (number % 64));
            if (word != 0) {
                return;
            }
            number /= 64;
        }
    }

    // The smallest member that is at least `from`, or none.
    [[nodiscard]] std::size_t next(std::size_t from) const {
        for (std::size_t level = 0; level < levels_.size(); ++level) {
            const auto& words = levels_[level];
            if (from / 64 >= words.size()) {
                return none;
            }
            const std::uint64_t rest = words[from / 64] >> (from % 64);
            if (rest != 0) {
                return descend(level, from + static_cast<std::size_t>(std::countr_zero(rest)));
            }
            from = from / 64 + 1;
        }
        return none;
    }

  private:
    [[nodiscard]] std::size_t descend(std::size_t level, std::size_t number) const {
        while (level-- > 0) {
            number =
                number * 64 + static_cast<std::size_t>(std::countr_zero(levels_[level][number]));
        }
        return number;
    }

    std::vector<std::vector<std::uint64_t>> levels_;  // [0] = members, then summaries
};

}  // namespace mpitrain::scheduler
