#include "background_save.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "agreement.hpp"
#include "begun_save.hpp"

namespace mpitrain::checkpoint {

Result<bool> BackgroundSave::start(const SaveInput& input) {
    static_cast<void>(advance());
    const bool busy = phase_ != Phase::idle || !writer_.is_idle();
    const std::string mine = encode(BegunSave{input.step,
                                              steps_.is_first() ? steps_.fresh_token() : "",
                                              busy ? "" : steps_.plan_for(*input.contribution),
                                              busy});
    MPITRAIN_TRY(const BegunSaves begun,
                 begin_together(steps_.peers(), mine, input.step, steps_.options().deadline));
    if (begun.any_busy) {
        return false;
    }
    MPITRAIN_TRY_VOID(steps_.prepare(input.contribution, begun.plans, begun.token));
    token_ = begun.token;
    input_ = SaveInput{.step = input.step,
                       .contribution = {},
                       .tensors = {},
                       .blobs = {},
                       .attributes = input.attributes};
    hurry_ = false;
    phase_ = Phase::writing;
    // A rank that cannot even begin says so where the others say what they have written.
    auto begun_mine = snapshot(input);
    if (begun_mine) {
        begun_mine = submit_writing();
    }
    if (!begun_mine) {
        mine_ = begun_mine.error();
        MPITRAIN_TRY_VOID(tell(Phase::telling_written));
    }
    return true;
}

Result<void> BackgroundSave::snapshot(const SaveInput& input) {
    const Prepared& prepared = steps_.prepared();
    if (prepared.shard == nullptr) {
        return {};
    }
    MPITRAIN_TRY_VOID(steps_.lay_out());
    if (prepared.share.ranges.empty()) {
        return {};
    }
    MPITRAIN_TRY_VOID(snapshot_.reserve(prepared.share, prepared.id, steps_.options().device));
    MPITRAIN_TRY(const Sources sources, steps_.sources_of(input));
    return snapshot_.take(prepared.share, *prepared.image, sources);
}

Result<void> BackgroundSave::submit_writing() {
    MPITRAIN_TRY(job_,
                 writer_.submit([this, is_first = steps_.is_first()] { return write(is_first); }));
    return {};
}

// In the writer's thread.
Result<std::string> BackgroundSave::write(bool is_first) {
    if (is_first) {
        MPITRAIN_TRY_VOID(steps_.open_commit(input_.step, token_));
    }
    return steps_.write_shard_of(
        snapshot_, input_.step, token_, {steps_.options().background_bytes_per_second, hurry_});
}

Result<bool> BackgroundSave::tell(Phase next) {
    MPITRAIN_TRY_VOID(steps_.peers().begin(encode_word(mine_)));
    phase_ = next;
    return true;
}

void BackgroundSave::end(Result<Committed> outcome) {
    phase_ = Phase::idle;
    if (!outcome) {
        outcome = Error(std::move(outcome).error()).at(fmt::format("saving step {}", input_.step));
    }
    ended_.push_back(std::move(outcome));
    constexpr std::size_t untold_max = 16;
    if (ended_.size() > untold_max) {
        ended_.pop_front();
    }
}

Result<bool> BackgroundSave::hear_written() {
    MPITRAIN_TRY(const auto told, steps_.peers().poll());
    if (!told) {
        return false;
    }
    const Agreement written = read_words(*told, mine_, steps_.peers().rank());
    if (written.failed()) {
        if (steps_.is_first()) {
            static_cast<void>(writer_.submit([this, step = input_.step, token = token_] {
                steps_.abandon(step, token);
                return Result<std::string>(std::string());
            }));
        }
        end(written.failure());
        return true;
    }
    if (!steps_.is_first()) {
        mine_ = std::string();
        return tell(Phase::telling_committed);
    }
    auto job = writer_.submit([this, reports = written.words]() -> Result<std::string> {
        auto size = steps_.commit(input_, token_, reports, steps_.start_view(input_, token_));
        if (!size) {
            steps_.abandon(input_.step, token_);
        }
        return size;
    });
    if (!job) {
        mine_ = job.error();
        return tell(Phase::telling_committed);
    }
    job_ = std::move(*job);
    phase_ = Phase::committing;
    return true;
}

Result<bool> BackgroundSave::hear_committed() {
    MPITRAIN_TRY(const auto told, steps_.peers().poll());
    if (!told) {
        return false;
    }
    const Agreement committed = read_words(*told, mine_, steps_.peers().rank());
    if (committed.failed()) {
        end(committed.failure());
        return true;
    }
    if (steps_.is_first()) {
        static_cast<void>(writer_.submit([this, step = input_.step, token = token_] {
            static_cast<void>(steps_.tidy(step, token));
            return Result<std::string>(std::string());
        }));
    }
    end(Committed{
        input_.step, steps_.path_of(input_.step), std::stoull(committed.words.front()), {}});
    return true;
}

Result<bool> BackgroundSave::advance() {
    switch (phase_) {
        case Phase::idle:
            return false;
        case Phase::writing:
        case Phase::committing: {
            auto done = take_if_done(*job_);
            if (!done) {
                return false;
            }
            mine_ = *std::move(done);
            return tell(phase_ == Phase::writing ? Phase::telling_written
                                                 : Phase::telling_committed);
        }
        case Phase::telling_written:
            return hear_written();
        case Phase::telling_committed:
            return hear_committed();
    }
    return false;
}

std::optional<Result<Committed>> BackgroundSave::poll() {
    for (;;) {
        const auto moved = advance();
        if (!moved) {
            end(moved.error());
        }
        if (!moved || !*moved) {
            break;
        }
    }
    if (ended_.empty()) {
        return std::nullopt;
    }
    auto outcome = std::move(ended_.front());
    ended_.pop_front();
    return outcome;
}

Result<void> BackgroundSave::settle(std::chrono::milliseconds deadline) {
    hurry_ = true;
    const auto until = std::chrono::steady_clock::now() + deadline;
    std::chrono::microseconds pause(20);
    while (phase_ != Phase::idle || !writer_.is_idle()) {
        const auto moved = advance();
        if (!moved) {
            end(moved.error());
        } else if (!*moved) {
            if (std::chrono::steady_clock::now() >= until) {
                return Error(ErrorCode::deadline_exceeded,
                             "the save behind the training has not ended")
                    .mend("a rank has ended, or its disk is stuck");
            }
            std::this_thread::sleep_for(pause);
            pause = std::min(pause * 2, std::chrono::microseconds(1000));
        }
    }
    return {};
}

}  // namespace mpitrain::checkpoint
