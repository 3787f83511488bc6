#include "roll_call.hpp"

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <thread>

#include "mpi_call.hpp"
#include "mpitrain/collectives/mpi_interop.hpp"

namespace mpitrain::collectives {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int answer_tag = 3;
constexpr int roll_tag = 4;
constexpr std::uint8_t nothing = 0xff;

// What MPI may still write to after a rank has not come: it then lives as long as the process.
struct Board {
    explicit Board(int ranks)
        : answers(static_cast<std::size_t>(ranks), nothing),
          requests(static_cast<std::size_t>(ranks), MPI_REQUEST_NULL) {}
    std::vector<std::uint8_t> answers;
    std::vector<MPI_Request> requests;
};

// Whether all requests were done before `end`.
Result<bool> wait_until(std::span<MPI_Request> requests, Clock::time_point end) {
    for (;;) {
        MPITRAIN_TRY(const bool done, mpi_test_all(requests));
        if (done || Clock::now() > end) {
            return done;
        }
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
}

// Those whose answer has come, although not all have.
Result<void> forget_unanswered(Board& board) {
    for (std::size_t r = 1; r < board.requests.size(); ++r) {
        int done = 0;
        MPITRAIN_TRY_VOID(
            mpi_checked(MPI_Test(&board.requests[r], &done, MPI_STATUS_IGNORE), "MPI_Test"));
        if (done == 0) {
            board.answers[r] = nothing;
        }
    }
    return {};
}

Answers as_answers(std::span<const std::uint8_t> roll) {
    Answers answers;
    for (const std::uint8_t each : roll) {
        answers.push_back(each == nothing ? std::nullopt : std::optional(each));
    }
    return answers;
}

Result<Answers> keep_roll(MPI_Comm comm, std::uint8_t mine, int ranks, Clock::time_point end) {
    auto board = std::make_unique<Board>(ranks);
    board->answers[0] = mine;
    for (int r = 1; r < ranks; ++r) {
        const auto at = static_cast<std::size_t>(r);
        MPITRAIN_TRY_VOID(mpi_checked(
            MPI_Irecv(&board->answers[at], 1, MPI_BYTE, r, answer_tag, comm, &board->requests[at]),
            "MPI_Irecv"));
    }
    MPITRAIN_TRY(const bool complete, wait_until(board->requests, end));
    if (!complete) {
        MPITRAIN_TRY_VOID(forget_unanswered(*board));
    }
    const std::vector<std::uint8_t> roll = board->answers;
    for (int r = 1; r < ranks; ++r) {
        if (roll[static_cast<std::size_t>(r)] != nothing) {
            // They wait for it; a small message goes out at once.
            MPITRAIN_TRY_VOID(
                mpi_checked(MPI_Send(roll.data(), ranks, MPI_BYTE, r, roll_tag, comm), "MPI_Send"));
        }
    }
    if (!complete) {
        static_cast<void>(board.release());
    }
    return as_answers(roll);
}

Result<Answers> answer(
    MPI_Comm comm, std::uint8_t mine, int ranks, Clock::time_point end, Nanoseconds patience) {
    auto board = std::make_unique<Board>(ranks);
    std::array<MPI_Request, 2> requests{MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    MPITRAIN_TRY_VOID(mpi_checked(
        MPI_Irecv(board->answers.data(), ranks, MPI_BYTE, 0, roll_tag, comm, &requests[0]),
        "MPI_Irecv"));
    MPITRAIN_TRY_VOID(
        mpi_checked(MPI_Isend(&mine, 1, MPI_BYTE, 0, answer_tag, comm, &requests[1]), "MPI_Isend"));
    auto waited = wait_until(requests, end);
    if (waited && *waited) {
        return as_answers(board->answers);
    }
    static_cast<void>(board.release());
    if (!waited) {
        return std::move(waited).error();
    }
    return Error(ErrorCode::deadline_exceeded,
                 fmt::format("rank 0 did not come within {}", format_duration(patience)));
}

}  // namespace

Result<Answers> roll_call(Communicator& ranks, std::uint8_t mine, Nanoseconds patience) {
    MPITRAIN_TRY(const MPI_Comm comm, native_mpi(ranks));
    const auto now = Clock::now();
    if (ranks.size() == 1) {
        return Answers{mine};
    }
    if (ranks.rank() == 0) {
        return keep_roll(comm, mine, ranks.size(), now + patience * 3 / 4);
    }
    return answer(comm, mine, ranks.size(), now + patience, patience);
}

std::string absentees(const Answers& answers) {
    std::vector<std::size_t> absent;
    for (std::size_t r = 0; r < answers.size(); ++r) {
        if (!answers[r]) {
            absent.push_back(r);
        }
    }
    if (absent.empty()) {
        return "";
    }
    constexpr std::size_t named_max = 16;
    std::string text = fmt::format("rank{} {}", absent.size() > 1 ? "s" : "", absent[0]);
    for (std::size_t i = 1; i < absent.size() && i < named_max; ++i) {
        text += fmt::format("{} {}", i + 1 == absent.size() ? " and" : ",", absent[i]);
    }
    if (absent.size() > named_max) {
        text += fmt::format(" and {} more", absent.size() - named_max);
    }
    return text;
}

}  // namespace mpitrain::collectives
