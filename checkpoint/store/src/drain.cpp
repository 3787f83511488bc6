#include "drain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "agreement.hpp"
#include "shard_copy.hpp"

namespace mpitrain::checkpoint {

void Drain::submit(std::shared_ptr<Drainable> commit, std::uint64_t begun_by_any) {
    while (!waiting_.empty() && waiting_.back()->number > begun_by_any) {
        const Drainable& overtaken = *waiting_.back();
        commit->warnings.insert(
            commit->warnings.end(), overtaken.warnings.begin(), overtaken.warnings.end());
        commit->warnings.push_back(fmt::format(
            "step {} was not drained: step {} overtook it", overtaken.step, commit->step));
        waiting_.pop_back();
    }
    commit->number = ++submitted_;
    waiting_.push_back(std::move(commit));
    hurry_ = false;
    if (!staging_) {
        staging_ = std::make_unique<Staging>();
    }
}

std::set<std::uint64_t> Drain::needed() const {
    std::set<std::uint64_t> steps;
    if (now_) {
        steps.insert(now_->step);
    }
    for (const auto& commit : waiting_) {
        steps.insert(commit->step);
    }
    return steps;
}

void Drain::run_behind(std::function<void()> job) {
    static_cast<void>(writer_.submit([job = std::move(job)] {
        job();
        return Result<std::string>(std::string());
    }));
}

Result<bool> Drain::begin_next() {
    if (waiting_.empty()) {
        return false;
    }
    now_ = std::move(waiting_.front());
    waiting_.pop_front();
    begun_ = now_->number;
    tried_partners_ = false;
    std::vector<std::size_t> own;
    for (std::size_t i = 0; i < now_->manifest.shards.size(); ++i) {
        if (writer_of(now_->manifest.shards[i].file) == shared_.peers().rank()) {
            own.push_back(i);
        }
    }
    return copy(std::move(own), true);
}

Result<bool> Drain::copy(std::vector<std::size_t> shards, bool opens) {
    auto job = writer_.submit([this, commit = now_, list = std::move(shards), opens] {
        return copy_now(*commit, list, opens);
    });
    if (!job) {
        mine_ = job.error();
        return tell(Phase::telling_copied);
    }
    job_ = std::move(*job);
    phase_ = Phase::copying;
    return true;
}

// In the writer's thread.
Result<std::string> Drain::copy_now(const Drainable& commit,
                                    const std::vector<std::size_t>& shards,
                                    bool opens) {
    if (opens && shared_.is_first()) {
        MPITRAIN_TRY_VOID(shared_.open_commit(commit.step, commit.token));
    }
    for (const std::size_t shard : shards) {
        MPITRAIN_TRY_VOID(shared_.make_place_of(commit.step, commit.token));
        MPITRAIN_TRY_VOID(copy_shard(shared_.disk(),
                                     commit.place,
                                     shared_.place_of(commit.step, commit.token),
                                     commit.manifest.shards[shard],
                                     commit.manifest.block_bytes,
                                     *staging_,
                                     {bytes_per_second_, hurry_}));
    }
    return std::string();
}

Result<bool> Drain::tell(Phase next) {
    MPITRAIN_TRY_VOID(shared_.peers().begin(encode_word(mine_)));
    phase_ = next;
    return true;
}

std::optional<std::vector<std::size_t>> Drain::second_try(const std::set<int>& failed) const {
    std::vector<std::size_t> mine;
    for (std::size_t i = 0; i < now_->manifest.shards.size(); ++i) {
        const int writer = writer_of(now_->manifest.shards[i].file);
        if (!failed.contains(writer)) {
            continue;
        }
        const auto partner = nodes_.partner_of(writer);
        if (tried_partners_ || !partner || failed.contains(*partner)) {
            return std::nullopt;
        }
        if (*partner == shared_.peers().rank()) {
            mine.push_back(i);
        }
    }
    return mine;
}

Result<bool> Drain::hear_copied() {
    MPITRAIN_TRY(const auto told, shared_.peers().poll());
    if (!told) {
        return false;
    }
    const Agreement copied = read_words(*told, mine_, shared_.peers().rank());
    if (!copied.failed()) {
        return commit_now();
    }
    std::set<int> failed;
    for (std::size_t rank = 0; rank < told->size(); ++rank) {
        if ((*told)[rank].starts_with('e')) {
            failed.insert(static_cast<int>(rank));
        }
    }
    // Rank 0 fails also where the directory cannot be written, and there a partner is no help; what
    // it then makes of the place is as futile, and told.
    auto again = second_try(failed);
    if (!again) {
        give_up(copied.failure());
        return true;
    }
    tried_partners_ = true;
    now_->warnings.push_back("from a second copy: " + copied.failures.front().text());
    return copy(*std::move(again), failed.contains(0));
}

Result<bool> Drain::commit_now() {
    if (!shared_.is_first()) {
        mine_ = std::string();
        return tell(Phase::telling_committed);
    }
    auto job = writer_.submit([this, commit = now_]() -> Result<std::string> {
        auto done = shared_.publish(
            commit->step, commit->token, commit->contents.manifest, commit->contents.view);
        if (!done) {
            shared_.abandon(commit->step, commit->token);
            return Error(std::move(done).error());
        }
        return std::string();
    });
    if (!job) {
        mine_ = job.error();
        return tell(Phase::telling_committed);
    }
    job_ = std::move(*job);
    phase_ = Phase::committing;
    return true;
}

Result<bool> Drain::hear_committed() {
    MPITRAIN_TRY(const auto told, shared_.peers().poll());
    if (!told) {
        return false;
    }
    const Agreement committed = read_words(*told, mine_, shared_.peers().rank());
    if (committed.failed()) {
        end(committed.failure());
        return true;
    }
    if (shared_.is_first()) {
        run_behind([this, step = now_->step, token = now_->token] {
            static_cast<void>(shared_.tidy(step, token));
        });
    }
    end(Committed{
        now_->step, shared_.path_of(now_->step), now_->manifest.size_bytes(), now_->warnings});
    return true;
}

void Drain::give_up(const Error& error) {
    if (shared_.is_first()) {
        run_behind(
            [this, step = now_->step, token = now_->token] { shared_.abandon(step, token); });
    }
    end(Error(error).mend("the nodes still hold it; the next job drains it"));
}

void Drain::end(Result<Committed> outcome) {
    phase_ = Phase::idle;
    now_.reset();
    ended_.push_back(std::move(outcome));
    constexpr std::size_t untold_max = 16;
    if (ended_.size() > untold_max) {
        ended_.pop_front();
    }
}

Result<bool> Drain::advance() {
    switch (phase_) {
        case Phase::idle:
            return begin_next();
        case Phase::copying:
        case Phase::committing: {
            auto done = take_if_done(*job_);
            if (!done) {
                return false;
            }
            mine_ = *std::move(done);
            return tell(phase_ == Phase::copying ? Phase::telling_copied
                                                 : Phase::telling_committed);
        }
        case Phase::telling_copied:
            return hear_copied();
        case Phase::telling_committed:
            return hear_committed();
    }
    return false;
}

std::optional<Result<Committed>> Drain::poll() {
    for (;;) {
        const auto moved = advance();
        if (!moved) {
            waiting_.clear();  // the ranks have lost each other
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

Result<void> Drain::settle(std::chrono::milliseconds deadline) {
    hurry_ = true;
    const auto until = std::chrono::steady_clock::now() + deadline;
    std::chrono::microseconds pause(20);
    while (phase_ != Phase::idle || !waiting_.empty() || !writer_.is_idle()) {
        const auto moved = advance();
        if (!moved) {
            waiting_.clear();
            end(moved.error());
        } else if (!*moved) {
            if (std::chrono::steady_clock::now() >= until) {
                return Error(ErrorCode::deadline_exceeded, "the drain has not ended")
                    .mend("a rank has ended, or the shared directory is stuck");
            }
            std::this_thread::sleep_for(pause);
            pause = std::min(pause * 2, std::chrono::microseconds(1000));
        }
    }
    return {};
}

}  // namespace mpitrain::checkpoint
