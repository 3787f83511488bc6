#include "nccl/nccl_api.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

namespace mpitrain::collectives {

namespace {

template <typename Function>
bool find(void* library, const char* name, Function*& function) {
    function = reinterpret_cast<Function*>(::dlsym(library, name));
    return function != nullptr;
}

// The name of the first function that is missing; null if there is none.
const char* find_all(void* library, NcclApi& api) {
    const char* missing = nullptr;
    const auto need = [&](const char* name, auto& function) {
        if (!find(library, name, function) && missing == nullptr) {
            missing = name;
        }
    };
    need("ncclGetVersion", api.get_version);
    need("ncclGetUniqueId", api.get_unique_id);
    need("ncclCommInitRankConfig", api.init_rank);
    need("ncclCommGetAsyncError", api.async_error);
    need("ncclCommUserRank", api.user_rank);
    need("ncclCommCount", api.count);
    need("ncclCommAbort", api.abort);
    need("ncclCommFinalize", api.finalize);
    need("ncclCommDestroy", api.destroy);
    need("ncclGetErrorString", api.error_string);
    need("ncclGetLastError", api.last_error);
    need("ncclGroupStart", api.group_start);
    need("ncclGroupEnd", api.group_end);
    need("ncclSend", api.send);
    need("ncclRecv", api.recv);
    need("ncclBroadcast", api.broadcast);
    need("ncclAllReduce", api.all_reduce);
    need("ncclReduce", api.reduce);
    need("ncclReduceScatter", api.reduce_scatter);
    need("ncclAllGather", api.all_gather);
    find(library, "ncclCommSplit", api.split);
    find(library, "ncclCommInitRankScalable", api.init_rank_scalable);
    find(library, "ncclCommShrink", api.shrink);
    find(library, "ncclCommRevoke", api.revoke);
    find(library, "ncclCommGrow", api.grow);
    find(library, "ncclCommGetUniqueId", api.get_grow_id);
    return missing;
}

ErrorCode code_of(ncclResult_t result) {
    switch (result) {
        case ncclInvalidArgument:
        case ncclInvalidUsage:
            return ErrorCode::invalid_argument;
        case ncclInternalError:
            return ErrorCode::internal;
        case ncclTimeout:
            return ErrorCode::deadline_exceeded;
        default:
            return ErrorCode::unavailable;  // the GPU, the network or a peer
    }
}

}  // namespace

Result<std::shared_ptr<const NcclApi>> NcclApi::open(const std::string& library) {
    // Never closed again: NCCL leaves threads behind that run its code.
    void* opened = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (opened == nullptr) {
        const char* why = ::dlerror();  // NOLINT(concurrency-mt-unsafe): per thread in glibc
        return Error(ErrorCode::unavailable, fmt::format("cannot open NCCL: {}", why))
            .mend("install libnccl2, or add its folder to LD_LIBRARY_PATH");
    }
    auto api = std::make_shared<NcclApi>();
    if (const char* missing = find_all(opened, *api)) {
        return Error(ErrorCode::unsupported, fmt::format("this NCCL has no {}", missing))
            .at(library)
            .mend("use NCCL 2.14 or newer");
    }
    return std::shared_ptr<const NcclApi>(std::move(api));
}

Error nccl_error(const NcclApi& api, ncclResult_t result, ncclComm_t comm, std::string_view call) {
    std::string text = fmt::format("NCCL says: {}", api.error_string(result));
    const char* last = api.last_error(comm);
    if (last != nullptr && *last != '\0') {
        text += fmt::format("; {}", last);
    }
    return Error(code_of(result), std::move(text)).at(call).mend("NCCL_DEBUG=WARN tells more");
}

}  // namespace mpitrain::collectives
