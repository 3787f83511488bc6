#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "attempt.hpp"
#include "event_log.hpp"

// What an attempt does when nothing moves any more.
namespace mpitrain {

using namespace std::chrono_literals;

namespace {

constexpr auto answers_within = 1s;  // of agents, which do nothing but wait

}  // namespace

// Only where hangs are watched for, since it is loaded into all that the job starts.
std::string Attempt::recorder_library() const {
    if (input_.spec.hang_timeout_mode == HangTimeoutMode::off || input_.client_library.empty()) {
        return "";
    }
    const auto beside =
        std::filesystem::path(input_.client_library).replace_filename("libmpitrain_recorder.so");
    std::error_code ignored;
    return std::filesystem::exists(beside, ignored) ? beside.string() : "";
}

void Attempt::give_up_on(Rank rank, Nanoseconds pause) {
    if (phase_ != Phase::running || stall_) {
        return;
    }
    stall_ = Stall{.behind = rank, .pause = pause, .sights = {}};
    for (std::size_t r = 0; r < members_.size(); ++r) {
        stall_->sights.push_back(
            {.rank = Rank(static_cast<int>(r)), .answered = false, .seen = {}});
        if (members_[r].link && !members_[r].ended) {
            members_[r].link->send(wire::Inspect{});
        }
    }
    after(phase_timer_, answers_within, &Attempt::judge_stall);
}

void Attempt::handle(Rank rank, wire::Inspected seen) {
    if (!stall_ || phase_ != Phase::running) {
        return;
    }
    RankSight& sight = stall_->sights[static_cast<std::size_t>(rank.value())];
    sight.answered = true;
    sight.seen = std::move(seen);
    const auto settled = [this](const RankSight& one) {
        return one.answered || member(one.rank).ended.has_value();
    };
    if (std::ranges::all_of(stall_->sights, settled)) {
        judge_stall();
    }
}

void Attempt::judge_stall() {
    phase_timer_.cancel();
    if (!stall_ || phase_ != Phase::running) {
        return;
    }
    // A rank that has ended is nobody's victim, and waits for nobody.
    std::erase_if(stall_->sights,
                  [this](const RankSight& one) { return member(one.rank).ended.has_value(); });
    const auto stuck = find_stuck(stall_->sights);
    const std::string account = fmt::format("{}/hang.txt", input_.directories.logs);
    std::ofstream(account) << describe(stall_->sights);

    Verdict verdict;
    verdict.rank = stuck.empty() ? stall_->behind : stuck.front().rank;
    verdict.host = member(*verdict.rank).host;
    verdict.cause = Cause::hung;
    verdict.first_seen_ns = realtime_ns();
    verdict.detail = fmt::format("no progress for {}", format_duration(stall_->pause));
    constexpr std::size_t named_max = 8;
    for (std::size_t i = 0; i < std::min(stuck.size(), named_max); ++i) {
        verdict.detail += fmt::format("; rank {} {}", stuck[i].rank.value(), stuck[i].why);
    }
    if (stuck.size() > named_max) {
        verdict.detail += fmt::format("; and {} more", stuck.size() - named_max);
    }
    verdict.detail += fmt::format("; all that was seen is in {}", account);
    verdict.victims = alive();
    for (const StuckRank& one : stuck) {
        std::erase(verdict.victims, one.rank);
    }
    std::erase(verdict.victims, *verdict.rank);
    end_with(std::move(verdict));
}

}  // namespace mpitrain
