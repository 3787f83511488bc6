#include "mpitrain/client.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "mpitrain/client.hpp"
#include "mpitrain/control_page.hpp"

namespace {

const char* environment(const char* name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): as safe as the program makes its environment
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

}  // namespace

void mpitrain_progress(
    uint64_t step, uint64_t total, const char* const* names, const double* values, int count) {
    std::array<mpitrain::client::Metric, mpitrain::client::ControlPage::metrics_max> metrics;
    const auto kept = std::min(static_cast<std::size_t>(std::max(count, 0)), metrics.size());
    for (std::size_t i = 0; i < kept; ++i) {
        metrics[i] = {names[i], values[i]};
    }
    mpitrain::client::progress(step, total, std::span(metrics.data(), kept));
}

int mpitrain_should_stop(uint64_t step) {
    return mpitrain::client::should_stop(step) ? 1 : 0;
}

void mpitrain_checkpoint_started() {
    mpitrain::client::checkpoint_started();
}

void mpitrain_checkpoint_committed(uint64_t step) {
    mpitrain::client::checkpoint_committed(step);
}

void mpitrain_checkpoint_failed(uint64_t step, const char* reason) {
    mpitrain::client::checkpoint_failed(step, reason == nullptr ? "" : reason);
}

int64_t mpitrain_stop_time_left_ms() {
    const auto left = mpitrain::client::stop_time_left();
    return left ? std::chrono::floor<std::chrono::milliseconds>(*left).count() : -1;
}

const char* mpitrain_resume_path() {
    return environment("MPITRAIN_RESUME");
}

const char* mpitrain_checkpoint_directory() {
    return environment("MPITRAIN_CHECKPOINT_DIR");
}
