#pragma once

#include <cstdio>
#include <cstdlib>

namespace mpitrain::detail {

[[noreturn]] inline void assert_failed(const char* condition, const char* file, int line) {
    static_cast<void>(std::fprintf(
        stderr, "mpitrain: internal error: %s does not hold at %s:%d\n", condition, file, line));
    std::abort();
}

}  // namespace mpitrain::detail

// A programmer's error, checked in release builds too. Never for input or for what the system does.
#define MPITRAIN_ASSERT(condition)      \
    ((condition) ? static_cast<void>(0) \
                 : ::mpitrain::detail::assert_failed(#condition, __FILE__, __LINE__))
