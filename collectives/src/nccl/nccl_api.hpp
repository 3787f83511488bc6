#pragma once

#include <nccl.h>

#include <memory>
#include <string>
#include <string_view>

#include "mpitrain/base/result.hpp"

namespace mpitrain::collectives {

// NCCL's functions, looked up in a library that is opened at run time. Those that older versions
// lack may be null.
struct NcclApi {
    // Errors: unavailable (no such library), unsupported (a function is missing, which is named).
    static Result<std::shared_ptr<const NcclApi>> open(const std::string& library);

    decltype(&ncclGetVersion) get_version = nullptr;
    decltype(&ncclGetUniqueId) get_unique_id = nullptr;
    decltype(&ncclCommInitRankConfig) init_rank = nullptr;
    decltype(&ncclCommGetAsyncError) async_error = nullptr;
    decltype(&ncclCommUserRank) user_rank = nullptr;
    decltype(&ncclCommCount) count = nullptr;
    decltype(&ncclCommAbort) abort = nullptr;
    decltype(&ncclCommFinalize) finalize = nullptr;
    decltype(&ncclCommDestroy) destroy = nullptr;
    decltype(&ncclGetErrorString) error_string = nullptr;
    decltype(&ncclGetLastError) last_error = nullptr;
    decltype(&ncclGroupStart) group_start = nullptr;
    decltype(&ncclGroupEnd) group_end = nullptr;
    decltype(&ncclSend) send = nullptr;
    decltype(&ncclRecv) recv = nullptr;
    decltype(&ncclBroadcast) broadcast = nullptr;
    decltype(&ncclAllReduce) all_reduce = nullptr;
    decltype(&ncclReduce) reduce = nullptr;
    decltype(&ncclReduceScatter) reduce_scatter = nullptr;
    decltype(&ncclAllGather) all_gather = nullptr;
    // May be null: since 2.18, 2.23, 2.27, 2.28, 2.29 and 2.29.
    decltype(&ncclCommSplit) split = nullptr;
    decltype(&ncclCommInitRankScalable) init_rank_scalable = nullptr;
    decltype(&ncclCommShrink) shrink = nullptr;
    decltype(&ncclCommRevoke) revoke = nullptr;
    decltype(&ncclCommGrow) grow = nullptr;
    decltype(&ncclCommGetUniqueId) get_grow_id = nullptr;
};

// What an NCCL call returned, as an error, with NCCL's own last words about `comm` (may be null).
Error nccl_error(const NcclApi& api, ncclResult_t result, ncclComm_t comm, std::string_view call);

}  // namespace mpitrain::collectives
