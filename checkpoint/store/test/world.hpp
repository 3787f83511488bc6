#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "mpitrain/checkpoint/hdf5_container.hpp"
#include "mpitrain/checkpoint/loader.hpp"
#include "mpitrain/checkpoint/saver.hpp"
#include "mpitrain/fake/file_system.hpp"

// Ranks as threads on one fake disk.
namespace mpitrain::checkpoint::test {

// Where the threads meet. A rank that dies breaks it, as a lost process breaks MPI.
class Meeting {
  public:
    explicit Meeting(int size) : words_(static_cast<std::size_t>(size)) {}

    void leave() {
        const std::lock_guard guard(mutex_);
        broken_ = true;
        changed_.notify_all();
    }

    // Brings a word; gives the number of the round it belongs to.
    std::uint64_t bring(int rank, std::string mine) {
        const std::lock_guard guard(mutex_);
        const auto round = round_;
        words_[static_cast<std::size_t>(rank)] = std::move(mine);
        if (++arrived_ == words_.size()) {
            all_ = words_;
            arrived_ = 0;
            ++round_;
            changed_.notify_all();
        }
        return round;
    }
    // All words of that round, or nullopt when they are not there yet.
    Result<std::optional<std::vector<std::string>>> take(std::uint64_t round,
                                                         std::chrono::milliseconds deadline) {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, deadline, [&] { return round_ != round || broken_; });
        if (broken_) {
            return Error(ErrorCode::unavailable, "a rank is gone");
        }
        return round_ == round ? std::nullopt : std::optional(all_);
    }

    // Bytes from one rank to another.
    void post(int from, int to, std::span<const std::byte> bytes) {
        const std::lock_guard guard(mutex_);
        posted_[{from, to}].emplace_back(bytes.begin(), bytes.end());
        changed_.notify_all();
    }
    Result<std::vector<std::byte>> fetch(int from, int to, std::chrono::milliseconds deadline) {
        std::unique_lock lock(mutex_);
        auto& box = posted_[{from, to}];
        changed_.wait_for(lock, deadline, [&] { return !box.empty() || broken_; });
        if (box.empty()) {
            return Error(ErrorCode::unavailable, "a rank is gone");
        }
        auto bytes = std::move(box.front());
        box.pop_front();
        return bytes;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> posted_;
    std::vector<std::string> words_;
    std::vector<std::string> all_;
    std::size_t arrived_ = 0;
    std::uint64_t round_ = 0;
    bool broken_ = false;
};

class ThreadPeer final : public Peers {
  public:
    ThreadPeer(Meeting& meeting, Meeting& behind, int rank, int size)
        : meeting_(meeting), behind_(behind), rank_(rank), size_(size) {}
    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }
    Result<std::vector<std::string>> exchange(std::string mine,
                                              std::chrono::milliseconds deadline) override {
        MPITRAIN_TRY(auto all, meeting_.take(meeting_.bring(rank_, std::move(mine)), deadline));
        if (!all) {
            meeting_.leave();
            return Error(ErrorCode::deadline_exceeded, "a rank is gone");
        }
        return *std::move(all);
    }
    Result<void> begin(std::string mine) override {
        begun_ = behind_.bring(rank_, std::move(mine));
        return {};
    }
    Result<std::optional<std::vector<std::string>>> poll() override {
        return behind_.take(begun_, std::chrono::milliseconds(0));
    }
    Result<void> swap(int to,
                      std::span<const std::byte> out,
                      int from,
                      std::span<std::byte> in,
                      std::chrono::milliseconds deadline) override {
        if (to >= 0) {
            meeting_.post(rank_, to, out);
        }
        if (from >= 0) {
            MPITRAIN_TRY(const auto bytes, meeting_.fetch(from, rank_, deadline));
            if (bytes.size() != in.size()) {
                return Error(ErrorCode::internal, "another length was sent");
            }
            std::copy(bytes.begin(), bytes.end(), in.begin());
        }
        return {};
    }

  private:
    Meeting& meeting_;
    Meeting& behind_;
    int rank_;
    int size_;
    std::uint64_t begun_ = 0;
};

// The state that a world of any size trains: every value follows from the step and its index.
struct State {
    static constexpr std::uint64_t rows = 301;
    static constexpr std::uint64_t columns = 64;  // so that "w" is above the pool's limit

    // The rows of "w" that a rank holds: uneven, and none at all on the last of many.
    static std::pair<std::uint64_t, std::uint64_t> rows_of(int rank, int size) {
        const auto r = static_cast<std::uint64_t>(rank);
        const auto n = static_cast<std::uint64_t>(size);
        return {rows * r / n, rows * (r + 1) / n};
    }

    State(int rank, int size) : begin(rows_of(rank, size).first), end(rows_of(rank, size).second) {
        w.resize((end - begin) * columns);
    }
    void fill(std::uint64_t step) {
        for (std::size_t i = 0; i < w.size(); ++i) {
            w[i] = static_cast<float>(step * 1000) + static_cast<float>(begin * columns + i);
        }
        for (std::size_t i = 0; i < bias.size(); ++i) {
            bias[i] = static_cast<double>(step) + 0.25 * static_cast<double>(i);
        }
        count = static_cast<std::int64_t>(step);
        random.assign(33, std::byte{static_cast<unsigned char>(step)});
    }
    [[nodiscard]] Contribution contribution() const {
        return {{{"layer/w", DType::float32, {rows, columns}, {{begin, 0}, {end - begin, columns}}},
                 {"layer/bias", DType::float64, {bias.size()}, {}},
                 {"count", DType::int64, {}, {}}},
                {{"random", false, random.size()}}};
    }
    template <typename Byte, typename Self>
    static std::vector<Byte*> pointers(Self& self) {
        return {reinterpret_cast<Byte*>(self.w.data()),
                reinterpret_cast<Byte*>(self.bias.data()),
                reinterpret_cast<Byte*>(&self.count)};
    }
    bool operator==(const State&) const = default;

    std::uint64_t begin;
    std::uint64_t end;
    std::vector<float> w;
    std::array<double, 5> bias{};
    std::int64_t count = 0;
    std::vector<std::byte> random;
};

struct SaveOutcome {
    std::vector<Result<Committed>> ranks;
    [[nodiscard]] bool all_ok() const {
        return std::all_of(ranks.begin(), ranks.end(), [](const auto& r) { return r.has_value(); });
    }
    [[nodiscard]] bool any_ok() const {
        return std::any_of(ranks.begin(), ranks.end(), [](const auto& r) { return r.has_value(); });
    }
    [[nodiscard]] std::string text() const {
        std::string text;
        for (const auto& rank : ranks) {
            text += rank ? "ok; " : rank.error().text() + "; ";
        }
        return text;
    }
};

// One life of a job: its ranks start, save and load, and end.
class World {
  public:
    World(fake::Disk& disk, int size, StoreOptions options = default_options())
        : size_(size), options_(std::move(options)), container_(make_hdf5_container()) {
        meeting_ = std::make_shared<Meeting>(size);
        behind_ = std::make_shared<Meeting>(size);
        for (int rank = 0; rank < size; ++rank) {
            files_.push_back(disk.mount([meeting = meeting_, behind = behind_] {
                meeting->leave();
                behind->leave();
            }));
            staging_.push_back(std::make_unique<Staging>());
            peers_.push_back(std::make_unique<ThreadPeer>(*meeting_, *behind_, rank, size));
            savers_.push_back(make_saver(surroundings(rank), options_));
        }
    }

    static StoreOptions default_options() {
        return {.directory = "/run",
                .model = "",
                .keep = {.last = 1},
                .deadline = std::chrono::seconds(20)};
    }

    static SaveInput input_of(std::uint64_t step, State& state) {
        return {step,
                std::make_shared<Contribution>(state.contribution()),
                State::pointers<const std::byte>(state),
                {state.random.data()},
                {{"loss", 1.0 / static_cast<double>(step)}}};
    }

    SaveOutcome save(std::uint64_t step) {
        SaveOutcome outcome;
        outcome.ranks.resize(static_cast<std::size_t>(size_), Error(ErrorCode::internal, "unset"));
        each_rank([&](int rank) {
            State state(rank, size_);
            state.fill(step);
            outcome.ranks[static_cast<std::size_t>(rank)] =
                savers_[static_cast<std::size_t>(rank)]->save(input_of(step, state));
        });
        return outcome;
    }

    // The same behind the training, which goes on changing its state.
    SaveOutcome save_behind(std::uint64_t step) {
        SaveOutcome outcome;
        outcome.ranks.resize(static_cast<std::size_t>(size_), Error(ErrorCode::internal, "unset"));
        each_rank([&](int rank) {
            outcome.ranks[static_cast<std::size_t>(rank)] = save_one_behind(rank, step);
        });
        return outcome;
    }
    Saver& saver(int rank) { return *savers_[static_cast<std::size_t>(rank)]; }

    // The step that all ranks loaded right, by every value; an error's text, or what is wrong.
    std::string load() {
        std::vector<std::string> found(static_cast<std::size_t>(size_));
        each_rank([&](int rank) { found[static_cast<std::size_t>(rank)] = load_one(rank); });
        for (const std::string& one : found) {
            if (one != found.front()) {
                return "the ranks disagree: " + one + " and " + found.front();
            }
        }
        return found.front();
    }

    void release() {
        each_rank([&](int rank) {
            static_cast<void>(savers_[static_cast<std::size_t>(rank)]->release());
        });
    }

    Surroundings surroundings(int rank) {
        const auto at = static_cast<std::size_t>(rank);
        return {*files_[at],
                *container_,
                *peers_[at],
                *staging_[at],
                [] { return std::chrono::system_clock::time_point(); },
                [] { return "t" + std::to_string(++tokens()); },
                {.job = "",
                 .attempt = 0,
                 .host_name = "node",
                 .host = "h",
                 .process = 1,
                 .process_start = 1},
                [](const WriterIdentity&) { return true; }};
    }
    FileSystem& files(int rank) { return *files_[static_cast<std::size_t>(rank)]; }
    std::vector<std::string> warnings;  // of the last load, on rank 0

  private:
    static std::atomic<std::uint64_t>& tokens() {
        static std::atomic<std::uint64_t> count = 0;
        return count;
    }

    template <typename Work>
    void each_rank(Work work) {
        std::vector<std::jthread> threads;
        threads.reserve(static_cast<std::size_t>(size_));
        for (int rank = 0; rank < size_; ++rank) {
            threads.emplace_back([&work, rank] { work(rank); });
        }
    }

    Result<Committed> save_one_behind(int rank, std::uint64_t step) {
        Saver& one = saver(rank);
        State state(rank, size_);
        state.fill(step);
        MPITRAIN_TRY(const bool started, one.start(input_of(step, state)));
        state.fill(step + 1000);
        if (!started) {
            return Error(ErrorCode::unavailable, "skipped");
        }
        MPITRAIN_TRY_VOID(one.settle(options_.deadline));
        auto outcome = one.poll();
        return outcome ? *std::move(outcome) : Error(ErrorCode::internal, "no outcome");
    }

    std::string load_one(int rank) {
        Surroundings around = surroundings(rank);
        State back(rank, size_);
        const auto loaded = load_newest(around,
                                        options_,
                                        back.contribution().tensors,
                                        {.memory = State::pointers<std::byte>(back)});
        if (!loaded) {
            return std::string(to_string(loaded.error().code()));
        }
        if (!*loaded) {
            return "nothing";
        }
        if (rank == 0) {
            warnings = (*loaded)->warnings;
        }
        State wanted(rank, size_);
        wanted.fill((*loaded)->manifest.step);
        back.random = (*loaded)->blobs.front();
        return back == wanted ? std::to_string((*loaded)->manifest.step) : "wrong values";
    }

    int size_;
    StoreOptions options_;
    std::unique_ptr<Container> container_;
    std::shared_ptr<Meeting> meeting_;
    std::shared_ptr<Meeting> behind_;
    std::vector<std::unique_ptr<FileSystem>> files_;
    std::vector<std::unique_ptr<ThreadPeer>> peers_;
    std::vector<std::unique_ptr<Staging>> staging_;
    std::vector<std::unique_ptr<Saver>> savers_;
};

// An empty, durable checkpoint directory.
inline void make_run_directory(fake::Disk& disk) {
    const auto files = disk.mount();
    static_cast<void>(files->make_directory("/run"));
    static_cast<void>(files->sync_directory("/"));
}

}  // namespace mpitrain::checkpoint::test
