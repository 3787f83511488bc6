#pragma once

#include <string>
#include <string_view>

#include "mpitrain/base/strong_id.hpp"

namespace mpitrain {

// Turns a rank's whole lines into what the terminal shows.
class LineTagger {
  public:
    struct Options {
        bool tag = true;
        bool color = false;
    };
    explicit LineTagger(Options options) : options_(options) {}

    // With tags every line, also one that ended in '\r' (a progress bar) or in nothing, comes out
    // as "[rank] line\n". Without, unchanged.
    [[nodiscard]] std::string show(Rank rank, std::string_view lines) const;

  private:
    Options options_;
};

}  // namespace mpitrain
