#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mpitrain/checkpoint/tiers.hpp"
#include "world.hpp"

// Ranks as threads on one fake disk, where "/run" is the directory that all share and "/node<k>"
// that of node k, which can be lost alone.
namespace mpitrain::checkpoint::test {

struct TieredJob {
    int ranks = 4;
    int nodes = 2;
    std::string site{"/node"};  // another one is other machines
    bool partner_copies = true;
    std::uint64_t attempt = 0;  // of job "j"; 0: of none, and earlier writers are dead
};

// One life of a job.
class TieredWorld {
  public:
    TieredWorld(fake::Disk& disk, TieredJob job) : job_(std::move(job)) {
        container_ = make_hdf5_container();
        meeting_ = std::make_shared<Meeting>(job_.ranks);
        behind_ = std::make_shared<Meeting>(job_.ranks);
        for (int rank = 0; rank < job_.ranks; ++rank) {
            files_.push_back(disk.mount([meeting = meeting_, behind = behind_] {
                meeting->leave();
                behind->leave();
            }));
            staging_.push_back(std::make_unique<Staging>());
            peers_.push_back(std::make_unique<ThreadPeer>(*meeting_, *behind_, rank, job_.ranks));
            stores_.push_back(make_tiered_store(surroundings(rank),
                                                options(),
                                                {.local_directory = directory_of(node_of(rank)),
                                                 .partner_copies = job_.partner_copies}));
        }
    }

    [[nodiscard]] int node_of(int rank) const { return rank * job_.nodes / job_.ranks; }
    [[nodiscard]] std::string directory_of(int node) const {
        return job_.site + std::to_string(node);
    }

    // Until the nodes hold it.
    SaveOutcome save_on_nodes(std::uint64_t step) {
        return each([&](int rank) {
            State state(rank, job_.ranks);
            state.fill(step);
            return store(rank).save(World::input_of(step, state));
        });
    }
    // Until nothing is left to drain: the last outcome on each rank.
    SaveOutcome drain() {
        return each([&](int rank) -> Result<Committed> {
            MPITRAIN_TRY_VOID(store(rank).settle(options().deadline));
            Result<Committed> last = Error(ErrorCode::not_found, "nothing was drained");
            while (auto outcome = store(rank).poll()) {
                last = *std::move(outcome);
            }
            return last;
        });
    }
    // Both.
    SaveOutcome save(std::uint64_t step) {
        auto saved = save_on_nodes(step);
        return saved.all_ok() ? drain() : saved;
    }

    // The step that all ranks loaded right, by every value; an error's code, or what is wrong.
    std::string load() {
        std::vector<std::string> found(static_cast<std::size_t>(job_.ranks));
        each([&](int rank) -> Result<Committed> {
            found[static_cast<std::size_t>(rank)] = load_one(rank);
            return Committed{};
        });
        for (const std::string& one : found) {
            if (one != found.front()) {
                return "the ranks disagree: " + one + " and " + found.front();
            }
        }
        return found.front();
    }
    void release() {
        each([&](int rank) -> Result<Committed> {
            MPITRAIN_TRY_VOID(store(rank).release());
            return Committed{};
        });
    }

    TieredStore& store(int rank) { return *stores_[static_cast<std::size_t>(rank)]; }
    std::vector<std::string> warnings;  // of the last load, on rank 0

  private:
    static StoreOptions options() {
        return {.directory = "/run", .keep = {.last = 1}, .deadline = std::chrono::seconds(20)};
    }
    template <typename Work>
    SaveOutcome each(Work work) {
        SaveOutcome outcome;
        outcome.ranks.resize(static_cast<std::size_t>(job_.ranks),
                             Error(ErrorCode::internal, "unset"));
        std::vector<std::jthread> threads;
        threads.reserve(outcome.ranks.size());
        for (int rank = 0; rank < job_.ranks; ++rank) {
            threads.emplace_back([&work, &outcome, rank] {
                outcome.ranks[static_cast<std::size_t>(rank)] = work(rank);
            });
        }
        threads.clear();
        return outcome;
    }

    Surroundings surroundings(int rank) {
        static std::atomic<std::uint64_t> tokens = 0;
        const auto at = static_cast<std::size_t>(rank);
        return {*files_[at],
                *container_,
                *peers_[at],
                *staging_[at],
                [] { return std::chrono::system_clock::time_point(); },
                [] { return "a" + std::to_string(++tokens); },
                {.job = job_.attempt == 0 ? "" : "j",
                 .attempt = job_.attempt,
                 .host_name = "node",
                 .host = "h",
                 .process = 1,
                 .process_start = 1},
                [is_dead = job_.attempt == 0](const WriterIdentity&) { return is_dead; }};
    }

    std::string load_one(int rank) {
        State back(rank, job_.ranks);
        const auto loaded =
            store(rank).load_newest(back.contribution().tensors, State::pointers<std::byte>(back));
        if (!loaded) {
            return std::string(to_string(loaded.error().code()));
        }
        if (!*loaded) {
            return "nothing";
        }
        if (rank == 0) {
            warnings = (*loaded)->warnings;
        }
        State wanted(rank, job_.ranks);
        wanted.fill((*loaded)->manifest.step);
        back.random = (*loaded)->blobs.front();
        return back == wanted ? std::to_string((*loaded)->manifest.step) : "wrong values";
    }

    TieredJob job_;
    std::unique_ptr<Container> container_;
    std::shared_ptr<Meeting> meeting_;
    std::shared_ptr<Meeting> behind_;
    std::vector<std::unique_ptr<FileSystem>> files_;
    std::vector<std::unique_ptr<ThreadPeer>> peers_;
    std::vector<std::unique_ptr<Staging>> staging_;
    std::vector<std::unique_ptr<TieredStore>> stores_;
};

}  // namespace mpitrain::checkpoint::test
