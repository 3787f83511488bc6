#include "mpitrain/base/cpu_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "mpitrain/base/assert.hpp"
#include "mpitrain/base/number.hpp"

namespace mpitrain {
namespace {

constexpr int word_bits = 64;

struct Position {
    std::size_t word;
    std::uint64_t mask;
};

Position position_of(int cpu) {
    return {static_cast<std::size_t>(cpu / word_bits), std::uint64_t{1} << (cpu % word_bits)};
}

Error bad_part(std::string_view part) {
    return Error(ErrorCode::invalid_argument, fmt::format("'{}' is not a CPU list", part))
        .mend("write CPUs like 0-7,64-71");
}

}  // namespace

Result<CpuSet> CpuSet::parse(std::string_view text) {
    CpuSet set;
    while (!text.empty()) {
        const std::size_t comma = text.find(',');
        const std::string_view part = text.substr(0, comma);
        const std::size_t dash = part.find('-');
        const auto first = parse_integer(part.substr(0, dash), 0, max_cpu);
        const auto last = dash == std::string_view::npos
                              ? first
                              : parse_integer(part.substr(dash + 1), 0, max_cpu);
        const bool dangling_comma = comma != std::string_view::npos && comma + 1 == text.size();
        if (!first || !last || *last < *first || dangling_comma) {
            return bad_part(text);
        }
        set |= range(static_cast<int>(*first), static_cast<int>(*last));
        text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    }
    return set;
}

CpuSet CpuSet::of(std::initializer_list<int> cpus) {
    CpuSet set;
    for (const int cpu : cpus) {
        set.add(cpu);
    }
    return set;
}

CpuSet CpuSet::range(int first, int last) {
    CpuSet set;
    for (int cpu = first; cpu <= last; ++cpu) {
        set.add(cpu);
    }
    return set;
}

void CpuSet::add(int cpu) {
    MPITRAIN_ASSERT(cpu >= 0 && cpu <= max_cpu);
    const auto [word, mask] = position_of(cpu);
    if (word >= words_.size()) {
        words_.resize(word + 1);
    }
    words_[word] |= mask;
}

void CpuSet::remove(int cpu) {
    if (contains(cpu)) {
        const auto [word, mask] = position_of(cpu);
        words_[word] &= ~mask;
        trim();
    }
}

bool CpuSet::contains(int cpu) const {
    if (cpu < 0) {
        return false;
    }
    const auto [word, mask] = position_of(cpu);
    return word < words_.size() && (words_[word] & mask) != 0;
}

int CpuSet::count() const {
    int count = 0;
    for (const std::uint64_t word : words_) {
        count += std::popcount(word);
    }
    return count;
}

int CpuSet::first() const {
    return next(-1);
}

int CpuSet::next(int after) const {
    const int from = after + 1;
    for (std::size_t word = static_cast<std::size_t>(from / word_bits); word < words_.size();
         ++word) {
        std::uint64_t bits = words_[word];
        if (word == static_cast<std::size_t>(from / word_bits)) {
            bits &= ~std::uint64_t{0} << (from % word_bits);
        }
        if (bits != 0) {
            return static_cast<int>(word) * word_bits + std::countr_zero(bits);
        }
    }
    return -1;
}

std::vector<int> CpuSet::members() const {
    std::vector<int> members;
    for (int cpu = first(); cpu >= 0; cpu = next(cpu)) {
        members.push_back(cpu);
    }
    return members;
}

bool CpuSet::intersects(const CpuSet& other) const {
    return !(*this & other).empty();
}

bool CpuSet::includes(const CpuSet& other) const {
    return (other - *this).empty();
}

CpuSet& CpuSet::operator|=(const CpuSet& other) {
    words_.resize(std::max(words_.size(), other.words_.size()));
    for (std::size_t i = 0; i < other.words_.size(); ++i) {
        words_[i] |= other.words_[i];
    }
    return *this;
}

CpuSet& CpuSet::operator&=(const CpuSet& other) {
    words_.resize(std::min(words_.size(), other.words_.size()));
    for (std::size_t i = 0; i < words_.size(); ++i) {
        words_[i] &= other.words_[i];
    }
    trim();
    return *this;
}

CpuSet& CpuSet::operator-=(const CpuSet& other) {
    for (std::size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) {
        words_[i] &= ~other.words_[i];
    }
    trim();
    return *this;
}

std::string CpuSet::to_string() const {
    std::string text;
    for (int cpu = first(); cpu >= 0;) {
        int last = cpu;
        int after = next(cpu);
        while (after == last + 1) {
            last = after;
            after = next(after);
        }
        text += text.empty() ? "" : ",";
        text += last == cpu ? fmt::format("{}", cpu) : fmt::format("{}-{}", cpu, last);
        cpu = after;
    }
    return text;
}

void CpuSet::trim() {
    while (!words_.empty() && words_.back() == 0) {
        words_.pop_back();
    }
}

}  // namespace mpitrain
