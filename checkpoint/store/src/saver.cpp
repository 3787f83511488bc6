#include "mpitrain/checkpoint/saver.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "agreement.hpp"
#include "background_save.hpp"
#include "begun_save.hpp"
#include "save_steps.hpp"

namespace mpitrain::checkpoint {
namespace {

class StoreSaver final : public Saver {
  public:
    StoreSaver(Surroundings surroundings, StoreOptions options)
        : steps_(std::move(surroundings), std::move(options)), background_(steps_) {}

    Result<Committed> save(const SaveInput& input) override;
    Result<bool> start(const SaveInput& input) override { return background_.start(input); }
    std::optional<Result<Committed>> poll() override { return background_.poll(); }
    Result<void> settle(std::chrono::milliseconds deadline) override {
        return background_.settle(deadline);
    }
    [[nodiscard]] std::optional<std::chrono::milliseconds> estimate(
        const Contribution& mine) const override;
    Result<void> release() override { return steps_.release(); }

  private:
    [[nodiscard]] Result<void> check_time(const SaveInput& input) const;
    Result<Committed> save_now(const SaveInput& input);
    Result<std::string> write_and_commit(const SaveInput& input, const std::string& token);

    SaveSteps steps_;
    BackgroundSave background_;
    std::chrono::milliseconds last_taken_{0};  // by the last save of the plan at hand
};

std::optional<std::chrono::milliseconds> StoreSaver::estimate(const Contribution& mine) const {
    if (last_taken_.count() == 0 || steps_.plan_for(mine).empty()) {
        return std::nullopt;
    }
    // A disk is not the same twice.
    return last_taken_ + last_taken_ / 4;
}

Result<void> StoreSaver::check_time(const SaveInput& input) const {
    const auto needed = estimate(*input.contribution);
    if (!input.time_left || !needed || *needed <= *input.time_left) {
        return {};
    }
    return Error(ErrorCode::deadline_exceeded,
                 fmt::format("saving would take {} ms, and only {} ms are left",
                             needed->count(),
                             input.time_left->count()))
        .mend("the commit before stays; give more time with --stop-grace");
}

Result<std::string> StoreSaver::write_and_commit(const SaveInput& input, const std::string& token) {
    SaveSteps::View view = steps_.start_view(input, token);
    const auto mine = steps_.write_shard_of(input, token);
    const auto deadline = steps_.options().deadline;
    MPITRAIN_TRY(Agreement written,
                 agree(steps_.peers(), mine, deadline, "waiting for all shards"));
    Result<std::string> outcome = std::string();
    if (written.failed()) {
        outcome = written.failure();
    } else if (steps_.is_first()) {
        outcome = steps_.commit(input, token, written.words, std::move(view));
    }
    if (steps_.is_first() && !outcome) {
        if (view.valid()) {
            view.wait();  // it writes into the place that goes
        }
        steps_.abandon(input.step, token);
    }
    if (written.failed()) {
        return written.failure();
    }
    MPITRAIN_TRY(Agreement committed,
                 agree(steps_.peers(), outcome, deadline, "waiting for the commit"));
    if (committed.failed()) {
        return committed.failure();
    }
    return committed.words.front();
}

Result<Committed> StoreSaver::save_now(const SaveInput& input) {
    const auto mine = [&]() -> Result<std::string> {
        MPITRAIN_TRY_VOID(check_time(input));
        const std::string token = steps_.is_first() ? steps_.fresh_token() : "";
        if (steps_.is_first()) {
            MPITRAIN_TRY_VOID(steps_.open_commit(input.step, token));
        }
        return encode(BegunSave{input.step, token, steps_.plan_for(*input.contribution), false});
    }();
    MPITRAIN_TRY(const BegunSaves begun,
                 begin_together(steps_.peers(), mine, input.step, steps_.options().deadline));
    if (auto prepared = steps_.prepare(input.contribution, begun.plans, begun.token); !prepared) {
        if (steps_.is_first()) {
            steps_.abandon(input.step, begun.token);
        }
        return Error(std::move(prepared).error());
    }
    MPITRAIN_TRY(const std::string size, write_and_commit(input, begun.token));
    return Committed{input.step,
                     steps_.path_of(input.step),
                     std::stoull(size),
                     steps_.tidy(input.step, begun.token)};
}

Result<Committed> StoreSaver::save(const SaveInput& input) {
    MPITRAIN_TRY_VOID(background_.settle(steps_.options().deadline));
    const auto started = std::chrono::steady_clock::now();
    auto committed = save_now(input);
    if (committed) {
        last_taken_ = std::chrono::ceil<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - started);
    }
    return committed;
}

}  // namespace

std::unique_ptr<Saver> make_saver(Surroundings surroundings, StoreOptions options) {
    return std::make_unique<StoreSaver>(std::move(surroundings), std::move(options));
}

}  // namespace mpitrain::checkpoint
