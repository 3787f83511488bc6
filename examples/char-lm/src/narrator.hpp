#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <utility>

namespace char_lm {

// Rank 0 alone talks, line by line even into a pipe.
class Narrator {
  public:
    explicit Narrator(bool talks) : talks_(talks) {}
    template <typename... Args>
    void say(fmt::format_string<Args...> format, Args&&... args) const {
        if (talks_) {
            fmt::print(format, std::forward<Args>(args)...);
            std::fputc('\n', stdout);
            std::fflush(stdout);
        }
    }

  private:
    bool talks_;
};

}  // namespace char_lm
