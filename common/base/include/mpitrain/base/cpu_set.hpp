#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"

namespace mpitrain {

// A set of logical CPUs by operating-system number, of any size. A regular value, ordered
// lexicographically by words.
class CpuSet {
  public:
    static constexpr int max_cpu =
        1 << 16;  // beyond any machine; bounds what a hostile list can allocate

    CpuSet() = default;
    // Parses the kernel's list format, "0-7,64-71"; an empty string is the empty set.
    // Errors: invalid_argument naming the offending part.
    static Result<CpuSet> parse(std::string_view text);
    static CpuSet of(std::initializer_list<int> cpus);
    static CpuSet range(int first, int last);  // inclusive

    void add(int cpu);
    void remove(int cpu);
    [[nodiscard]] bool contains(int cpu) const;
    [[nodiscard]] bool empty() const { return words_.empty(); }
    [[nodiscard]] int count() const;
    [[nodiscard]] int first() const;                 // -1 when empty
    [[nodiscard]] int next(int after) const;         // the smallest member > after, or -1
    [[nodiscard]] std::vector<int> members() const;  // ascending

    [[nodiscard]] bool intersects(const CpuSet& other) const;
    [[nodiscard]] bool includes(const CpuSet& other) const;
    CpuSet& operator|=(const CpuSet& other);
    CpuSet& operator&=(const CpuSet& other);
    CpuSet& operator-=(const CpuSet& other);
    friend CpuSet operator|(CpuSet a, const CpuSet& b) { return a |= b; }
    friend CpuSet operator&(CpuSet a, const CpuSet& b) { return a &= b; }
    friend CpuSet operator-(CpuSet a, const CpuSet& b) { return a -= b; }

    [[nodiscard]] std::string to_string() const;  // the format that parse() reads
    auto operator<=>(const CpuSet&) const = default;

  private:
    void trim();  // keeps equality structural: no trailing zero word
    std::vector<std::uint64_t> words_;
};

}  // namespace mpitrain
