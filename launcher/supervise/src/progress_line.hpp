#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/wire/message.hpp"

namespace mpitrain {

// The one line that a person watches: "step 1200/5000  loss 1.834  41.2 steps/s  ETA 1m32s  4 ranks
// checkpoint 1000 (12s ago)". Pure.
class ProgressLine {
  public:
    explicit ProgressLine(int ranks, std::string what) : ranks_(ranks), what_(std::move(what)) {}

    void started(int attempt, std::int64_t now_ns);
    void progressed(const wire::Progress& progress, std::int64_t now_ns);
    void committed(std::uint64_t step, std::int64_t now_ns);
    // What is said of a rank that others wait for; empty = nothing.
    void straggling(std::string text) { straggler_ = std::move(text); }
    // Cut to `columns` so that it never wraps.
    [[nodiscard]] std::string text(std::int64_t now_ns, int columns) const;
    [[nodiscard]] const std::optional<wire::Progress>& latest() const { return latest_; }

  private:
    int ranks_;
    std::string what_;  // "4 GPUs", "2 cores"
    int attempt_ = 1;
    std::int64_t started_ns_ = 0;
    std::optional<wire::Progress> latest_;
    std::int64_t latest_ns_ = 0;
    double steps_per_s_ = 0;  // exponentially weighted, half-life about 5 s
    std::optional<std::uint64_t> commit_step_;
    std::int64_t commit_ns_ = 0;
    std::string straggler_;
};

}  // namespace mpitrain
