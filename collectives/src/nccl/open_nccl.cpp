#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "mpitrain/collectives/nccl.hpp"
#include "nccl/cuda_device.hpp"
#include "nccl/nccl_backend.hpp"
#include "nccl/open_parts.hpp"
#include "nccl/pmix_meeting.hpp"

namespace mpitrain::collectives {

namespace {

using Clock = std::chrono::steady_clock;

// What a rank says of itself before the start, and after it.
enum Readiness : std::uint8_t { cannot_start = 0, starts_by_one_id = 1, starts_by_many = 2 };

Result<NcclParts> prepare(const NcclOptions& options) {
    NcclParts parts;
    MPITRAIN_TRY(parts.api, NcclApi::open(options.library));
    MPITRAIN_TRY(parts.device, open_cuda_device(options.device, options.stream));
    return parts;
}

std::uint8_t readiness_of(const Result<NcclParts>& parts) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread of this library changes the environment
    const bool by_address = std::getenv("NCCL_COMM_ID") != nullptr;  // NCCL then has one root only
    return !parts                                                     ? cannot_start
           : parts->api->init_rank_scalable != nullptr && !by_address ? starts_by_many
                                                                      : starts_by_one_id;
}

Error absent(const Answers& answers, Nanoseconds patience) {
    return Error(ErrorCode::deadline_exceeded,
                 fmt::format(
                     "{} did not come within {}", absentees(answers), format_duration(patience)))
        .at("opening an NCCL communicator")
        .mend("see whether it is stuck, or has ended");
}

// The least that any rank said. Errors: a rank did not answer, or cannot.
Result<std::uint8_t> agree(Meeting& ranks,
                           std::uint8_t mine,
                           Nanoseconds patience,
                           std::string_view what) {
    MPITRAIN_TRY(const Answers answers, ranks.roll_call(mine, patience));
    if (!absentees(answers).empty()) {
        return absent(answers, patience);
    }
    const auto least = std::min_element(answers.begin(), answers.end());
    if (**least == cannot_start) {
        return Error(ErrorCode::unavailable,
                     fmt::format("rank {} {}", least - answers.begin(), what))
            .at("opening an NCCL communicator")
            .mend("see that rank's own message");
    }
    return **least;
}

// The ids of the start, from the ranks that mint them.
Result<std::vector<ncclUniqueId>> spread_ids(Meeting& ranks, const NcclApi& api, int count) {
    std::string mine;
    Error problem(ErrorCode::unavailable, "a rank could not make an id for NCCL's ranks");
    for (int i = 0; i < count; ++i) {
        if (minter_of(i, count, ranks.size()) == ranks.rank()) {
            ncclUniqueId id{};
            const ncclResult_t result = api.get_unique_id(&id);
            if (result == ncclSuccess) {
                mine.assign(id.internal, sizeof id.internal);
            } else {
                problem = nccl_error(api, result, nullptr, "making an id for NCCL's ranks");
            }
        }
    }
    MPITRAIN_TRY(const auto all, ranks.exchange(mine));
    std::vector<ncclUniqueId> ids;
    for (int i = 0; i < count; ++i) {
        const auto& id = all[static_cast<std::size_t>(minter_of(i, count, ranks.size()))];
        if (id.size() != sizeof(ncclUniqueId)) {
            return problem;
        }
        std::memcpy(ids.emplace_back().internal, id.data(), id.size());
    }
    return ids;
}

}  // namespace

// In eighths of the deadline: four for all to come, three for NCCL to start, one to agree that it
// has.
Result<Communicator> open_nccl_with(Meeting& ranks,
                                    Result<NcclParts> parts,
                                    const CommunicatorOptions& options) {
    const auto begin = Clock::now();
    const Nanoseconds eighth = options.deadline / 8;
    auto agreed = agree(ranks, readiness_of(parts), eighth * 4, "cannot open NCCL or its GPU");
    if (!parts) {
        return std::move(parts).error();
    }
    MPITRAIN_TRY(const std::uint8_t readiness, std::move(agreed));
    const int count = readiness == starts_by_many ? ids_for(ranks.size()) : 1;
    MPITRAIN_TRY(const auto ids, spread_ids(ranks, *parts->api, count));
    CommunicatorOptions start = options;
    start.deadline = begin + eighth * 7 - Clock::now();
    auto backend = NcclBackend::open(
        std::move(parts->api), std::move(parts->device), ids, ranks.rank(), ranks.size(), start);
    auto started = agree(ranks,
                         backend ? starts_by_one_id : cannot_start,
                         std::max(begin + eighth * 8 - Clock::now(), eighth),
                         "could not start NCCL");
    if (!started && started.error().code() == ErrorCode::deadline_exceeded) {
        return std::move(started).error();  // says more than that NCCL waited in vain
    }
    if (!backend) {
        return std::move(backend).error();
    }
    MPITRAIN_TRY([[maybe_unused]] const std::uint8_t all_started, std::move(started));
    (*backend)->set_deadline(options.deadline);
    return Communicator(*std::move(backend));
}

Result<Communicator> open_nccl(Communicator& ranks, const NcclOptions& options) {
    MpiMeeting meeting(ranks);
    return open_nccl_with(meeting, prepare(options), options.common);
}

Result<Communicator> open_nccl_by_pmix(const NcclOptions& options) {
    MPITRAIN_TRY(const auto meeting, meet_by_pmix(options.common.deadline));
    return open_nccl_with(*meeting, prepare(options), options.common);
}

Result<void*> nccl_stream(Communicator& communicator) {
    if (communicator.backend() != BackendKind::nccl) {
        return Error(ErrorCode::invalid_argument, "this communicator is not built on NCCL");
    }
    return static_cast<NcclBackend&>(backend_of(communicator)).stream();
}

}  // namespace mpitrain::collectives
