#include "nccl/nccl_double.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "nccl/nccl_double_state.hpp"

using mpitrain::collectives::testing::Bytes;
using mpitrain::collectives::testing::FakeStream;
using mpitrain::collectives::testing::Meeting;

namespace {

std::mutex meetings_mutex;
std::map<std::string, std::shared_ptr<Meeting>> meetings;  // by id
std::atomic<int> ids{0};
std::atomic<int> ids_of_last_start{0};
std::atomic<int> aborts{0};
std::atomic<int> destroys{0};
std::atomic<ncclResult_t> injected{ncclSuccess};

struct Message {
    bool sends;
    std::byte* data;
    std::size_t bytes;
    int peer;
    ncclComm_t comm;
    FakeStream* stream;
};
thread_local int group_depth = 0;
thread_local std::vector<Message> group;

FakeStream* stream_of(cudaStream_t stream) {
    return static_cast<FakeStream*>(static_cast<void*>(stream));
}

// Sends all at once, then waits for what is to be received.
void enqueue_group() {
    if (group.empty()) {
        return;
    }
    auto rest = std::make_shared<std::vector<Message>>(std::exchange(group, {}));
    const auto meeting = rest->front().comm->meeting;
    const int rank = rest->front().comm->rank;
    rest->front().stream->enqueue([rest, meeting, rank] {
        const std::lock_guard lock(meeting->mutex);
        std::erase_if(*rest, [&](const Message& message) {
            if (message.sends) {
                meeting->mail[{rank, message.peer}].emplace_back(message.data,
                                                                 message.data + message.bytes);
                return true;
            }
            auto& box = meeting->mail[{message.peer, rank}];
            if (box.empty()) {
                return false;
            }
            std::memcpy(message.data, box.front().data(), message.bytes);
            box.pop_front();
            return true;
        });
        return rest->empty();
    });
}

ncclResult_t add_message(const Message& message) {
    group.push_back(message);
    if (group_depth == 0) {
        enqueue_group();
    }
    return ncclSuccess;
}

// Brings this rank's bytes to the others; `finish` gets everyone's once they are there.
template <typename Finish>
ncclResult_t meet(ncclComm_t comm,
                  cudaStream_t stream,
                  const void* data,
                  std::size_t bytes,
                  const Finish& finish) {
    const auto meeting = comm->meeting;
    const int round = comm->round++;
    const int rank = comm->rank;
    const auto* begin = static_cast<const std::byte*>(data);
    stream_of(stream)->enqueue([meeting, round, rank, begin, bytes, finish] {
        const std::lock_guard lock(meeting->mutex);
        auto& all = meeting->rounds[round];
        all.try_emplace(rank, begin, begin + bytes);
        if (static_cast<int>(all.size()) < meeting->size) {
            return false;
        }
        finish(all);
        return true;
    });
    return ncclSuccess;
}

void combine(const std::map<int, Bytes>& all,
             std::size_t begin,
             std::size_t bytes,
             bool floats,
             bool average,
             void* out) {
    Bytes result(bytes);
    std::memcpy(result.data(), all.at(0).data() + begin, bytes);
    for (std::size_t r = 1; r < all.size(); ++r) {
        const std::byte* piece = all.at(static_cast<int>(r)).data() + begin;
        for (std::size_t i = 0; i < bytes; i += floats ? sizeof(float) : 1) {
            if (floats) {
                float a = 0;
                float b = 0;
                std::memcpy(&a, &result[i], sizeof a);
                std::memcpy(&b, piece + i, sizeof b);
                a += b;
                std::memcpy(&result[i], &a, sizeof a);
            } else {
                result[i] = std::max(result[i], piece[i]);
            }
        }
    }
    for (std::size_t i = 0; average && i < bytes; i += sizeof(float)) {
        float a = 0;
        std::memcpy(&a, &result[i], sizeof a);
        a /= static_cast<float>(all.size());
        std::memcpy(&result[i], &a, sizeof a);
    }
    std::memcpy(out, result.data(), bytes);
}

bool supports(ncclDataType_t type, ncclRedOp_t op) {
    return type == ncclFloat32 ? op == ncclSum || op == ncclAvg
                               : type == ncclUint8 && op == ncclMax;
}

}  // namespace

extern "C" {

void nccl_double_inject(ncclResult_t error) {
    injected = error;
}
int nccl_double_aborts(void) {
    return aborts;
}
int nccl_double_destroys(void) {
    return destroys;
}
int nccl_double_ids_of_last_start(void) {
    return ids_of_last_start;
}

ncclResult_t ncclGetVersion(int* version) {
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
    *id = {};
    const int number = ++ids;
    std::memcpy(id->internal, &number, sizeof number);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(
    ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
    if (config->blocking != 0) {
        return ncclInvalidUsage;  // a rank of this process would wait for itself
    }
    const std::lock_guard lock(meetings_mutex);
    auto& meeting = meetings[std::string(id.internal, sizeof id.internal)];
    if (!meeting) {
        meeting = std::make_shared<Meeting>();
        meeting->size = size;
    }
    const std::lock_guard inner(meeting->mutex);
    ++meeting->joined;
    ids_of_last_start = 1;
    *comm = std::make_unique<ncclComm>().release();
    (*comm)->meeting = meeting;
    (*comm)->rank = rank;
    return ncclInProgress;
}

ncclResult_t ncclCommInitRankScalable(
    ncclComm_t* comm, int size, int rank, int count, ncclUniqueId* all, ncclConfig_t* config) {
    const ncclResult_t result = ncclCommInitRankConfig(comm, size, all[0], rank, config);
    ids_of_last_start = count;
    return result;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
    bool all = false;
    {
        const std::lock_guard lock(mpitrain::collectives::testing::making_mutex());
        all = mpitrain::collectives::testing::is_made(*comm);
    }
    if (all) {
        const std::lock_guard lock(comm->meeting->mutex);
        all = comm->meeting->joined == comm->meeting->size;
    }
    *error = injected != ncclSuccess ? injected.load() : all ? ncclSuccess : ncclInProgress;
    return ncclSuccess;
}

ncclResult_t ncclCommUserRank(ncclComm_t comm, int* rank) {
    *rank = comm->rank;
    return ncclSuccess;
}
ncclResult_t ncclCommCount(ncclComm_t comm, int* count) {
    *count = comm->meeting->size;
    return ncclSuccess;
}
ncclResult_t ncclCommAbort(ncclComm_t comm) {
    ++aborts;
    std::unique_ptr<ncclComm>(comm).reset();
    return ncclSuccess;
}
ncclResult_t ncclCommFinalize(ncclComm_t /*comm*/) {
    return ncclInProgress;
}
ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    ++destroys;
    std::unique_ptr<ncclComm>(comm).reset();
    return ncclSuccess;
}
const char* ncclGetErrorString(ncclResult_t result) {
    return result == ncclRemoteError ? "remote process exited" : "error of the double";
}
const char* ncclGetLastError(ncclComm_t /*comm*/) {
    return "last words";
}

ncclResult_t ncclGroupStart() {
    ++group_depth;
    return ncclSuccess;
}
ncclResult_t ncclGroupEnd() {
    if (--group_depth == 0) {
        enqueue_group();
    }
    return ncclInProgress;
}
ncclResult_t ncclSend(const void* data,
                      size_t count,
                      ncclDataType_t type,
                      int peer,
                      ncclComm_t comm,
                      cudaStream_t stream) {
    if (type != ncclUint8) {
        return ncclInvalidArgument;
    }
    auto* bytes = static_cast<std::byte*>(const_cast<void*>(data));
    return add_message({true, bytes, count, peer, comm, stream_of(stream)});
}
ncclResult_t ncclRecv(
    void* data, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
    if (type != ncclUint8) {
        return ncclInvalidArgument;
    }
    return add_message(
        {false, static_cast<std::byte*>(data), count, peer, comm, stream_of(stream)});
}

ncclResult_t ncclBroadcast(const void* send,
                           void* recv,
                           size_t count,
                           ncclDataType_t type,
                           int root,
                           ncclComm_t comm,
                           cudaStream_t stream) {
    const std::size_t bytes = count * (type == ncclFloat32 ? 4 : 1);
    return meet(comm, stream, send, bytes, [recv, root](const std::map<int, Bytes>& all) {
        std::memcpy(recv, all.at(root).data(), all.at(root).size());
    });
}
ncclResult_t ncclAllReduce(const void* send,
                           void* recv,
                           size_t count,
                           ncclDataType_t type,
                           ncclRedOp_t op,
                           ncclComm_t comm,
                           cudaStream_t stream) {
    if (!supports(type, op)) {
        return ncclInvalidArgument;
    }
    const bool floats = type == ncclFloat32;
    const std::size_t bytes = count * (floats ? 4 : 1);
    return meet(comm, stream, send, bytes, [recv, bytes, floats, op](const auto& all) {
        combine(all, 0, bytes, floats, op == ncclAvg, recv);
    });
}
ncclResult_t ncclReduce(const void* send,
                        void* recv,
                        size_t count,
                        ncclDataType_t type,
                        ncclRedOp_t op,
                        int root,
                        ncclComm_t comm,
                        cudaStream_t stream) {
    if (!supports(type, op)) {
        return ncclInvalidArgument;
    }
    const bool floats = type == ncclFloat32;
    const std::size_t bytes = count * (floats ? 4 : 1);
    const bool here = comm->rank == root;
    return meet(comm, stream, send, bytes, [recv, bytes, floats, op, here](const auto& all) {
        if (here) {
            combine(all, 0, bytes, floats, op == ncclAvg, recv);
        }
    });
}
ncclResult_t ncclReduceScatter(const void* send,
                               void* recv,
                               size_t count,
                               ncclDataType_t type,
                               ncclRedOp_t op,
                               ncclComm_t comm,
                               cudaStream_t stream) {
    if (!supports(type, op)) {
        return ncclInvalidArgument;
    }
    const bool floats = type == ncclFloat32;
    const std::size_t bytes = count * (floats ? 4 : 1);
    const auto begin = static_cast<std::size_t>(comm->rank) * bytes;
    const std::size_t all_bytes = bytes * static_cast<std::size_t>(comm->meeting->size);
    return meet(comm, stream, send, all_bytes, [recv, begin, bytes, floats, op](const auto& all) {
        combine(all, begin, bytes, floats, op == ncclAvg, recv);
    });
}
ncclResult_t ncclAllGather(const void* send,
                           void* recv,
                           size_t count,
                           ncclDataType_t type,
                           ncclComm_t comm,
                           cudaStream_t stream) {
    const std::size_t bytes = count * (type == ncclFloat32 ? 4 : 1);
    return meet(comm, stream, send, bytes, [recv, bytes](const std::map<int, Bytes>& all) {
        for (const auto& [rank, piece] : all) {
            std::memcpy(static_cast<std::byte*>(recv) + static_cast<std::size_t>(rank) * bytes,
                        piece.data(),
                        bytes);
        }
    });
}

}  // extern "C"
