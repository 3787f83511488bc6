#include <cstring>
#include <vector>

#include "mpitrain/collectives/nccl.hpp"
#include "nccl/cuda_device.hpp"
#include "nccl/nccl_api.hpp"
#include "nccl/nccl_backend.hpp"

namespace mpitrain::collectives {

namespace {

// What one rank needs before NCCL's own, collective start.
struct Parts {
    std::shared_ptr<const NcclApi> api;
    std::unique_ptr<Device> device;
    ncclUniqueId id{};
};

Result<Parts> prepare(bool mints_id, const NcclOptions& options) {
    Parts parts;
    MPITRAIN_TRY(parts.api, NcclApi::open(options.library));
    MPITRAIN_TRY(parts.device, open_cuda_device(options.device, options.stream));
    if (mints_id) {
        const ncclResult_t result = parts.api->get_unique_id(&parts.id);
        if (result != ncclSuccess) {
            return nccl_error(*parts.api, result, nullptr, "making an id for NCCL's ranks");
        }
    }
    return parts;
}

}  // namespace

Result<Communicator> open_nccl(Communicator& ranks, const NcclOptions& options) {
    auto parts = prepare(ranks.rank() == 0, options);
    // A rank that cannot take part says so here, so that no other waits for it inside NCCL.
    std::vector<std::int32_t> ready{parts ? 1 : 0};
    MPITRAIN_TRY_VOID(ranks.allreduce(ready, ReduceOp::min));
    if (!parts) {
        return std::move(parts).error();
    }
    if (ready[0] == 0) {
        return Error(ErrorCode::unavailable, "another rank cannot open NCCL or its GPU")
            .mend("see that rank's own message");
    }
    std::vector<std::uint8_t> id(sizeof(ncclUniqueId));
    std::memcpy(id.data(), &parts->id, id.size());
    MPITRAIN_TRY_VOID(ranks.broadcast(id, 0));
    std::memcpy(&parts->id, id.data(), id.size());
    MPITRAIN_TRY(auto backend,
                 NcclBackend::open(std::move(parts->api),
                                   std::move(parts->device),
                                   parts->id,
                                   ranks.rank(),
                                   ranks.size(),
                                   options.common));
    return Communicator(std::move(backend));
}

Result<void*> nccl_stream(Communicator& communicator) {
    if (communicator.backend() != BackendKind::nccl) {
        return Error(ErrorCode::invalid_argument, "this communicator is not built on NCCL");
    }
    return static_cast<NcclBackend&>(backend_of(communicator)).stream();
}

}  // namespace mpitrain::collectives
