// What needs NCCL, in builds without CUDA.
#include "mpitrain/collectives/nccl.hpp"
#include "reducer/memory.hpp"

namespace mpitrain::collectives {

Result<Communicator> open_nccl(Communicator& /*ranks*/, const NcclOptions& /*options*/) {
    return Error(ErrorCode::unsupported, "this mpitrain was built without CUDA and NCCL")
        .mend("build it with -DMPITRAIN_CUDA=ON, or use the MPI backend on host memory");
}

Result<Communicator> open_nccl_by_pmix(const NcclOptions& /*options*/) {
    return Error(ErrorCode::unsupported, "this mpitrain was built without CUDA and NCCL")
        .mend("build it with -DMPITRAIN_CUDA=ON, or use the MPI backend on host memory");
}

Result<void*> nccl_stream(Communicator& /*communicator*/) {
    return Error(ErrorCode::invalid_argument, "this communicator is not built on NCCL");
}

Result<std::unique_ptr<ReducerMemory>> device_reducer_memory(Backend& /*backend*/,
                                                             void* /*compute_stream*/) {
    return Error(ErrorCode::unsupported, "this mpitrain was built without CUDA and NCCL");
}

}  // namespace mpitrain::collectives
