#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "mpitrain/base/result.hpp"

namespace mpitrain {

// An amount of memory or storage.
class Bytes {
  public:
    constexpr Bytes() = default;
    constexpr explicit Bytes(std::uint64_t count) : count_(count) {}
    // "512", "64KiB", "1.5G", "2GB": binary multiples for K/M/G/T and KiB…, decimal for KB, MB, GB,
    // TB. Errors: invalid_argument (syntax, negative, beyond 2^63).
    static Result<Bytes> parse(std::string_view text);
    [[nodiscard]] constexpr std::uint64_t count() const { return count_; }
    [[nodiscard]] std::string to_string() const;  // "1.5 GiB"
    constexpr auto operator<=>(const Bytes&) const = default;

  private:
    std::uint64_t count_ = 0;
};

}  // namespace mpitrain
