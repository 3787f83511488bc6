#include "mpitrain/checkpoint/mpi_peers.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <thread>
#include <utility>

#include "mpi_call.hpp"

namespace mpitrain::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

class MpiPeers final : public Peers {
  public:
    MpiPeers(MPI_Comm comm, int rank, int size) : comm_(comm), rank_(rank), size_(size) {}
    MpiPeers(const MpiPeers&) = delete;
    MpiPeers& operator=(const MpiPeers&) = delete;
    ~MpiPeers() override {
        int finalized = 0;
        MPI_Finalized(&finalized);
        // A group that a rank has left cannot be freed together: MPI's own end does it.
        if (finalized == 0 && !broken_) {
            MPI_Comm_free(&comm_);
        }
    }

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }

    Result<std::vector<std::string>> exchange(std::string mine,
                                              std::chrono::milliseconds deadline) override {
        if (broken_) {
            return Error(ErrorCode::unavailable, "the ranks lost each other in an earlier call")
                .mend("restart the job from its last commit");
        }
        auto result = exchange_until(std::move(mine), Clock::now() + deadline);
        broken_ = !result;
        return result;
    }

  private:
    // A short message and its length: most are short, so that one round is enough.
    struct Slot {
        std::int32_t length = 0;
        std::array<char, 508> text{};
    };
    // What a collective reads and writes. After a deadline MPI may still touch it, so it is kept
    // for the life of the process.
    struct Transfer {
        std::string mine;
        Slot slot;
        std::vector<Slot> slots;
        std::vector<int> lengths;  // of the long messages; 0 for the short ones
        std::vector<int> offsets;
        std::string all;
    };

    Result<std::vector<std::string>> exchange_until(std::string mine, Clock::time_point until) {
        if (mine.size() > static_cast<std::size_t>(std::numeric_limits<int>::max() / size_)) {
            return Error(ErrorCode::unsupported, "too many tensors to describe in one exchange");
        }
        auto transfer = std::make_unique<Transfer>();
        transfer->mine = std::move(mine);
        auto all = gather(*transfer, until);
        if (!all && all.error().code() == ErrorCode::deadline_exceeded) {
            static_cast<void>(transfer.release());
        }
        return all;
    }

    Result<std::vector<std::string>> gather(Transfer& transfer, Clock::time_point until) {
        const auto ranks = static_cast<std::size_t>(size_);
        transfer.slot.length = static_cast<std::int32_t>(transfer.mine.size());
        transfer.mine.copy(transfer.slot.text.data(), transfer.slot.text.size());
        transfer.slots.resize(ranks);
        MPI_Request request = MPI_REQUEST_NULL;
        MPITRAIN_TRY_VOID(mpi_done(MPI_Iallgather(&transfer.slot,
                                                  sizeof(Slot),
                                                  MPI_BYTE,
                                                  transfer.slots.data(),
                                                  sizeof(Slot),
                                                  MPI_BYTE,
                                                  comm_,
                                                  &request),
                                   "exchange messages"));
        MPITRAIN_TRY_VOID(wait(request, until));
        MPITRAIN_TRY_VOID(gather_long(transfer, until));
        std::vector<std::string> words;
        for (std::size_t rank = 0; rank < ranks; ++rank) {
            const Slot& slot = transfer.slots[rank];
            words.push_back(
                is_long(slot)
                    ? transfer.all.substr(static_cast<std::size_t>(transfer.offsets[rank]),
                                          static_cast<std::size_t>(slot.length))
                    : std::string(slot.text.data(), static_cast<std::size_t>(slot.length)));
        }
        return words;
    }

    static bool is_long(const Slot& slot) {
        return static_cast<std::size_t>(slot.length) > slot.text.size();
    }

    // A second round for the messages that are longer than a slot, if there are any.
    Result<void> gather_long(Transfer& transfer, Clock::time_point until) {
        std::int64_t total = 0;
        for (const Slot& slot : transfer.slots) {
            transfer.lengths.push_back(is_long(slot) ? slot.length : 0);
            transfer.offsets.push_back(static_cast<int>(total));
            total += transfer.lengths.back();
            if (total > std::numeric_limits<int>::max()) {
                return Error(ErrorCode::unsupported,
                             "too many tensors to describe in one exchange");
            }
        }
        if (total == 0) {
            return {};
        }
        transfer.all.resize(static_cast<std::size_t>(total));
        MPI_Request request = MPI_REQUEST_NULL;
        MPITRAIN_TRY_VOID(
            mpi_done(MPI_Iallgatherv(transfer.mine.data(),
                                     transfer.lengths[static_cast<std::size_t>(rank_)],
                                     MPI_BYTE,
                                     transfer.all.data(),
                                     transfer.lengths.data(),
                                     transfer.offsets.data(),
                                     MPI_BYTE,
                                     comm_,
                                     &request),
                     "exchange long messages"));
        return wait(request, until);
    }

    // Polls, first eagerly, then ever more seldom: the wait may be for another rank's disk, and its
    // core may be this one.
    static Result<void> wait(MPI_Request& request, Clock::time_point until) {
        constexpr std::chrono::microseconds pause_max(500);
        constexpr int eager_polls = 40;
        std::chrono::microseconds pause(0);
        for (int poll = 0;; ++poll) {
            int done = 0;
            MPITRAIN_TRY_VOID(mpi_done(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "exchange"));
            if (done != 0) {
                return {};
            }
            if (poll < eager_polls) {
                std::this_thread::yield();
                continue;
            }
            if (Clock::now() >= until) {
                return Error(ErrorCode::deadline_exceeded, "not every rank came in time")
                    .mend("a rank has ended, or its disk is stuck");
            }
            pause = std::min(pause_max, pause + std::chrono::microseconds(10));
            std::this_thread::sleep_for(pause);
        }
    }

    MPI_Comm comm_;
    int rank_;
    int size_;
    bool broken_ = false;
};

}  // namespace

Result<std::unique_ptr<Peers>> mpi_peers(MPI_Comm comm) {
    int initialized = 0;
    MPI_Initialized(&initialized);
    if (initialized == 0) {
        return Error(ErrorCode::unavailable, "MPI is not initialised").mend("call MPI_Init first");
    }
    MPI_Comm own = MPI_COMM_NULL;
    MPITRAIN_TRY_VOID(mpi_done(MPI_Comm_dup(comm, &own), "duplicate a communicator"));
    MPITRAIN_TRY_VOID(
        mpi_done(MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN), "set an error handler"));
    int rank = 0;
    int size = 1;
    MPITRAIN_TRY_VOID(mpi_done(MPI_Comm_rank(own, &rank), "tell the rank"));
    MPITRAIN_TRY_VOID(mpi_done(MPI_Comm_size(own, &size), "tell the size"));
    return std::make_unique<MpiPeers>(own, rank, size);
}

}  // namespace mpitrain::checkpoint
