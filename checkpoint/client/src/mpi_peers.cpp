#include "mpitrain/checkpoint/mpi_peers.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

#include "mpi_call.hpp"

namespace mpitrain::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

class MpiPeers final : public Peers {
  public:
    MpiPeers(MPI_Comm comm, MPI_Comm behind, int rank, int size)
        : comm_(comm), behind_(behind), rank_(rank), size_(size) {}
    MpiPeers(const MpiPeers&) = delete;
    MpiPeers& operator=(const MpiPeers&) = delete;
    ~MpiPeers() override {
        int finalized = 0;
        MPI_Finalized(&finalized);
        // A group that a rank has left cannot be freed together: MPI's own end does it.
        if (finalized == 0 && !broken_ && !begun_) {
            MPI_Comm_free(&comm_);
            MPI_Comm_free(&behind_);
        }
        // MPI may still touch it.
        static_cast<void>(begun_.release());
    }

    [[nodiscard]] int rank() const override { return rank_; }
    [[nodiscard]] int size() const override { return size_; }

    Result<std::vector<std::string>> exchange(std::string mine,
                                              std::chrono::milliseconds deadline) override {
        if (broken_) {
            return Error(ErrorCode::unavailable, "the ranks lost each other in an earlier call")
                .mend("restart the job from its last commit");
        }
        auto transfer = start(std::move(mine), comm_);
        auto result = transfer ? finish(**transfer, Clock::now() + deadline)
                               : Result<std::vector<std::string>>(transfer.error());
        if (!result && transfer) {
            static_cast<void>(transfer->release());  // MPI may still touch it
        }
        broken_ = !result;
        return result;
    }

    Result<void> begin(std::string mine) override {
        if (broken_) {
            return Error(ErrorCode::unavailable, "the ranks lost each other in an earlier call")
                .mend("restart the job from its last commit");
        }
        MPITRAIN_TRY(begun_, start(std::move(mine), behind_));
        return {};
    }

    Result<std::optional<std::vector<std::string>>> poll() override {
        if (!begun_) {
            return std::optional<std::vector<std::string>>();
        }
        MPITRAIN_TRY(const bool done, advance(*begun_));
        if (!done) {
            return std::optional<std::vector<std::string>>();
        }
        std::optional<std::vector<std::string>> words = words_of(*begun_);
        begun_.reset();
        return words;
    }

    Result<void> swap(int to,
                      std::span<const std::byte> out,
                      int from,
                      std::span<std::byte> in,
                      std::chrono::milliseconds deadline) override {
        if (broken_) {
            return Error(ErrorCode::unavailable, "the ranks lost each other in an earlier call")
                .mend("restart the job from its last commit");
        }
        // Of MPI's own memory, so that a rank that does not come leaves nobody's buffers in its
        // hands.
        auto lane = lane_ ? std::move(lane_) : std::make_unique<Lane>();
        lane->out.assign(out.begin(), out.end());
        lane->in.resize(in.size());
        auto done = start(*lane, to, from, comm_);
        if (done) {
            done = finish(*lane, Clock::now() + deadline);
        }
        broken_ = !done;
        if (!done) {
            static_cast<void>(lane.release());  // MPI may still touch it
            return done;
        }
        std::copy(lane->in.begin(), lane->in.end(), in.begin());
        lane_ = std::move(lane);
        return {};
    }

  private:
    // Bytes on their way, one to a rank and one from a rank.
    struct Lane {
        std::vector<std::byte> out;
        std::vector<std::byte> in;
        std::array<MPI_Request, 2> requests = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    };

    static Result<void> start(Lane& lane, int to, int from, MPI_Comm comm) {
        constexpr int tag = 1;
        if (from >= 0) {
            MPITRAIN_TRY_VOID(mpi_done(MPI_Irecv(lane.in.data(),
                                                 static_cast<int>(lane.in.size()),
                                                 MPI_BYTE,
                                                 from,
                                                 tag,
                                                 comm,
                                                 lane.requests.data()),
                                       "receive a part of a file"));
        }
        if (to >= 0) {
            MPITRAIN_TRY_VOID(mpi_done(MPI_Isend(lane.out.data(),
                                                 static_cast<int>(lane.out.size()),
                                                 MPI_BYTE,
                                                 to,
                                                 tag,
                                                 comm,
                                                 &lane.requests[1]),
                                       "send a part of a file"));
        }
        return {};
    }

    static Result<void> finish(Lane& lane, Clock::time_point until) {
        constexpr std::chrono::microseconds pause(50);
        constexpr int eager_polls = 2000;
        for (int poll = 0;; ++poll) {
            int done = 0;
            MPITRAIN_TRY_VOID(
                mpi_done(MPI_Testall(2, lane.requests.data(), &done, MPI_STATUSES_IGNORE),
                         "exchange parts of files"));
            if (done != 0) {
                return {};
            }
            if (poll < eager_polls) {
                std::this_thread::yield();
                continue;
            }
            if (Clock::now() >= until) {
                return Error(ErrorCode::deadline_exceeded, "a rank did not come in time")
                    .mend("it has ended, or its disk is stuck");
            }
            std::this_thread::sleep_for(pause);
        }
    }

    // A short message and its length: most are short, so that one round is enough.
    struct Slot {
        std::int32_t length = 0;
        std::array<char, 508> text{};
    };
    // An exchange under way: first the slots, then the messages that are longer than one.
    struct Transfer {
        MPI_Comm comm = MPI_COMM_NULL;
        MPI_Request request = MPI_REQUEST_NULL;
        bool slots_done = false;
        std::string mine;
        Slot slot;
        std::vector<Slot> slots;
        std::vector<int> lengths;  // of the long messages; 0 for the short ones
        std::vector<int> offsets;
        std::string all;
    };

    Result<std::unique_ptr<Transfer>> start(std::string mine, MPI_Comm comm) const {
        if (mine.size() > static_cast<std::size_t>(std::numeric_limits<int>::max() / size_)) {
            return Error(ErrorCode::unsupported, "too many tensors to describe in one exchange");
        }
        auto transfer = std::make_unique<Transfer>();
        transfer->comm = comm;
        transfer->mine = std::move(mine);
        transfer->slot.length = static_cast<std::int32_t>(transfer->mine.size());
        transfer->mine.copy(transfer->slot.text.data(), transfer->slot.text.size());
        transfer->slots.resize(static_cast<std::size_t>(size_));
        MPITRAIN_TRY_VOID(mpi_done(MPI_Iallgather(&transfer->slot,
                                                  sizeof(Slot),
                                                  MPI_BYTE,
                                                  transfer->slots.data(),
                                                  sizeof(Slot),
                                                  MPI_BYTE,
                                                  comm,
                                                  &transfer->request),
                                   "exchange messages"));
        return transfer;
    }

    // True when it has come to its end.
    Result<bool> advance(Transfer& transfer) const {
        int done = 0;
        MPITRAIN_TRY_VOID(
            mpi_done(MPI_Test(&transfer.request, &done, MPI_STATUS_IGNORE), "exchange"));
        if (done == 0) {
            return false;
        }
        if (transfer.slots_done) {
            return true;
        }
        transfer.slots_done = true;
        MPITRAIN_TRY(const bool more, start_long(transfer));
        return !more;
    }

    [[nodiscard]] std::vector<std::string> words_of(const Transfer& transfer) const {
        std::vector<std::string> words;
        for (std::size_t rank = 0; rank < transfer.slots.size(); ++rank) {
            const Slot& slot = transfer.slots[rank];
            const auto length = static_cast<std::size_t>(slot.length);
            words.push_back(
                is_long(slot)
                    ? transfer.all.substr(static_cast<std::size_t>(transfer.offsets[rank]), length)
                    : std::string(slot.text.data(), length));
        }
        return words;
    }

    static bool is_long(const Slot& slot) {
        return static_cast<std::size_t>(slot.length) > slot.text.size();
    }

    // Starts a second round for the messages that are longer than a slot. False: there are none.
    Result<bool> start_long(Transfer& transfer) const {
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
            return false;
        }
        transfer.all.resize(static_cast<std::size_t>(total));
        MPITRAIN_TRY_VOID(
            mpi_done(MPI_Iallgatherv(transfer.mine.data(),
                                     transfer.lengths[static_cast<std::size_t>(rank_)],
                                     MPI_BYTE,
                                     transfer.all.data(),
                                     transfer.lengths.data(),
                                     transfer.offsets.data(),
                                     MPI_BYTE,
                                     transfer.comm,
                                     &transfer.request),
                     "exchange long messages"));
        return true;
    }

    // Polls, first eagerly, then ever more seldom: the wait may be for another rank's disk, and its
    // core may be this one.
    Result<std::vector<std::string>> finish(Transfer& transfer, Clock::time_point until) const {
        constexpr std::chrono::microseconds pause_max(500);
        constexpr int eager_polls = 40;
        std::chrono::microseconds pause(0);
        for (int poll = 0;; ++poll) {
            MPITRAIN_TRY(const bool done, advance(transfer));
            if (done) {
                return words_of(transfer);
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
    MPI_Comm behind_;  // for begin(): its order is not that of exchange()
    int rank_;
    int size_;
    bool broken_ = false;
    std::unique_ptr<Transfer> begun_;
    std::unique_ptr<Lane> lane_;  // kept from one part to the next
};

}  // namespace

Result<std::unique_ptr<Peers>> mpi_peers(MPI_Comm comm) {
    int initialized = 0;
    MPI_Initialized(&initialized);
    if (initialized == 0) {
        return Error(ErrorCode::unavailable, "MPI is not initialised").mend("call MPI_Init first");
    }
    MPI_Comm own = MPI_COMM_NULL;
    MPI_Comm behind = MPI_COMM_NULL;
    for (MPI_Comm* copy : {&own, &behind}) {
        MPITRAIN_TRY_VOID(mpi_done(MPI_Comm_dup(comm, copy), "duplicate a communicator"));
        MPITRAIN_TRY_VOID(
            mpi_done(MPI_Comm_set_errhandler(*copy, MPI_ERRORS_RETURN), "set an error handler"));
    }
    int rank = 0;
    int size = 1;
    MPITRAIN_TRY_VOID(mpi_done(MPI_Comm_rank(own, &rank), "tell the rank"));
    MPITRAIN_TRY_VOID(mpi_done(MPI_Comm_size(own, &size), "tell the size"));
    return std::make_unique<MpiPeers>(own, behind, rank, size);
}

}  // namespace mpitrain::checkpoint
