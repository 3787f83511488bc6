#include "progress_line.hpp"

#include <fmt/format.h>

#include <cmath>

#include "mpitrain/base/duration.hpp"

namespace mpitrain {
namespace {

constexpr double half_life_s = 5;

}  // namespace

void ProgressLine::started(int attempt, std::int64_t now_ns) {
    attempt_ = attempt;
    started_ns_ = now_ns;
    latest_.reset();
    steps_per_s_ = 0;
}

void ProgressLine::progressed(const wire::Progress& progress, std::int64_t now_ns) {
    if (latest_ && progress.step > latest_->step && now_ns > latest_ns_) {
        const double seconds = static_cast<double>(now_ns - latest_ns_) / 1e9;
        const double rate = static_cast<double>(progress.step - latest_->step) / seconds;
        const double keep = steps_per_s_ > 0 ? std::exp2(-seconds / half_life_s) : 0;
        steps_per_s_ = keep * steps_per_s_ + (1 - keep) * rate;
    }
    latest_ = progress;
    latest_ns_ = now_ns;
}

void ProgressLine::committed(std::uint64_t step, std::int64_t now_ns) {
    commit_step_ = step;
    commit_ns_ = now_ns;
}

std::string ProgressLine::text(std::int64_t now_ns, int columns) const {
    std::string line;
    if (attempt_ > 1) {
        line += fmt::format("attempt {}  ", attempt_);
    }
    if (latest_) {
        line += latest_->total > 0 ? fmt::format("step {}/{}", latest_->step, latest_->total)
                                   : fmt::format("step {}", latest_->step);
        for (const wire::Metric& metric : latest_->metrics) {
            line += fmt::format("  {} {:.4g}", metric.name, metric.value);
        }
        if (steps_per_s_ > 0) {
            line += fmt::format("  {:.3g} steps/s", steps_per_s_);
            if (latest_->total > latest_->step) {
                const double left_s =
                    static_cast<double>(latest_->total - latest_->step) / steps_per_s_;
                line += fmt::format("  ETA {}",
                                    format_duration(Nanoseconds(std::llround(left_s * 1e9))));
            }
        }
    } else {
        line += fmt::format("running {}", format_duration(Nanoseconds(now_ns - started_ns_)));
    }
    line += fmt::format("  {} rank{} on {}", ranks_, ranks_ == 1 ? "" : "s", what_);
    if (commit_step_) {
        line += fmt::format("  checkpoint {} ({} ago)",
                            *commit_step_,
                            format_duration(Nanoseconds(now_ns - commit_ns_)));
    }
    if (!straggler_.empty()) {
        line += "  " + straggler_;
    }
    if (columns > 1 && line.size() >= static_cast<std::size_t>(columns)) {
        line.resize(static_cast<std::size_t>(columns) - 1);
    }
    return line;
}

}  // namespace mpitrain
