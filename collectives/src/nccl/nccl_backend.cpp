#include "nccl/nccl_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

namespace mpitrain::collectives {

namespace {

constexpr std::size_t segment_bytes = std::size_t{64} << 20;

ncclDataType_t nccl_type(DataType type) {
    switch (type) {
        case DataType::f64:
            return ncclFloat64;
        case DataType::f32:
            return ncclFloat32;
        case DataType::f16:
            return ncclFloat16;
        case DataType::bf16:
            return ncclBfloat16;
        case DataType::i32:
            return ncclInt32;
        case DataType::i64:
            return ncclInt64;
        case DataType::u8:
            break;
    }
    return ncclUint8;
}

ncclRedOp_t nccl_op(ReduceOp op) {
    switch (op) {
        case ReduceOp::sum:
            return ncclSum;
        case ReduceOp::prod:
            return ncclProd;
        case ReduceOp::min:
            return ncclMin;
        case ReduceOp::max:
            return ncclMax;
        case ReduceOp::avg:
            break;
    }
    return ncclAvg;
}

Result<bool> is_settled(ncclResult_t state) {
    return state == ncclSuccess;
}

bool is_under_way(ncclResult_t result) {
    return result == ncclSuccess || result == ncclInProgress;
}

ncclConfig_t non_blocking() {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    return config;
}

Error cannot(std::string_view what, std::string_view since) {
    return Error(ErrorCode::unsupported, fmt::format("this NCCL cannot {}", what))
        .mend(fmt::format("use NCCL {} or newer", since));
}

}  // namespace

int ids_for(int ranks) {
    constexpr int ranks_per_id = 256;
    return (ranks + ranks_per_id - 1) / ranks_per_id;
}

int minter_of(int index, int ids, int ranks) {
    // The first ranks % ids shares have one rank more.
    return index * (ranks / ids) + std::min(index, ranks % ids);
}

Result<std::unique_ptr<NcclBackend>> NcclBackend::open(std::shared_ptr<const NcclApi> api,
                                                       std::unique_ptr<Device> device,
                                                       std::span<const ncclUniqueId> ids,
                                                       int rank,
                                                       int size,
                                                       const CommunicatorOptions& options) {
    auto backend =
        std::make_unique<NcclBackend>(std::move(api), std::move(device), rank, size, options);
    ncclConfig_t config = non_blocking();
    ncclResult_t result = ncclSuccess;
    if (ids.size() == 1) {
        result = backend->api_->init_rank(&backend->comm_, size, ids[0], rank, &config);
    } else {
        std::vector<ncclUniqueId> all(ids.begin(), ids.end());  // not const for NCCL
        result = backend->api_->init_rank_scalable(
            &backend->comm_, size, rank, static_cast<int>(all.size()), all.data(), &config);
    }
    MPITRAIN_TRY_VOID(backend->settle(result, "opening an NCCL communicator"));
    backend->opened_ = true;
    return backend;
}

Result<std::unique_ptr<NcclBackend>> NcclBackend::join(std::shared_ptr<const NcclApi> api,
                                                       std::unique_ptr<Device> device,
                                                       const ncclUniqueId& ticket,
                                                       int rank,
                                                       int size,
                                                       const CommunicatorOptions& options) {
    if (api->grow == nullptr) {
        return cannot("grow a communicator", "2.29");
    }
    auto backend =
        std::make_unique<NcclBackend>(std::move(api), std::move(device), rank, size, options);
    ncclConfig_t config = non_blocking();
    MPITRAIN_TRY_VOID(
        backend->settle(backend->api_->grow(nullptr, size, &ticket, rank, &backend->comm_, &config),
                        "joining an NCCL communicator"));
    backend->opened_ = true;
    return backend;
}

NcclBackend::NcclBackend(std::shared_ptr<const NcclApi> api,
                         std::unique_ptr<Device> device,
                         int rank,
                         int size,
                         const CommunicatorOptions& options)
    : api_(std::move(api)),
      device_(std::move(device)),
      rank_(rank),
      size_(size),
      options_(options),
      tree_(*this, rank, size, segment_bytes) {}

NcclBackend::~NcclBackend() {
    if (comm_ != nullptr && !death_ && synchronize() &&
        settle(api_->finalize(comm_), "closing an NCCL communicator")) {
        api_->destroy(comm_);
        comm_ = nullptr;
    }
    abort();
    if (scratch_ != nullptr) {
        device_->release(scratch_);
    }
}

Result<void> NcclBackend::usable() const {
    if (death_) {
        return Error(*death_);
    }
    return {};
}

void NcclBackend::abort() {
    if (!death_) {
        death_ = Error(ErrorCode::cancelled, "the communicator was given up by this rank");
    }
    if (comm_ != nullptr) {
        api_->abort(comm_);
        comm_ = nullptr;
    }
}

// Ends the kernels that wait for a lost peer. Where NCCL can, the communicator is only revoked:
// shrink() needs what is left of it.
Error NcclBackend::died(Error why) {
    if (!death_) {
        death_ = why;
        const bool can_shrink = api_->revoke != nullptr && api_->shrink != nullptr;
        const bool revoked = can_shrink && comm_ != nullptr && opened_ &&
                             is_under_way(api_->revoke(comm_, NCCL_REVOKE_DEFAULT));
        if (!revoked) {
            abort();
        }
    }
    return why;
}

template <typename Done>
Result<void> NcclBackend::poll(ncclComm_t comm, const Done& done, std::string_view call) {
    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now();
    for (int round = 0;; ++round) {
        ncclResult_t state = ncclSuccess;
        const ncclResult_t asked = api_->async_error(comm, &state);
        state = asked == ncclSuccess ? state : asked;
        if (state != ncclSuccess && state != ncclInProgress) {
            return died(nccl_error(*api_, state, comm, call));
        }
        MPITRAIN_TRY(const bool is_done, done(state));
        if (is_done) {
            return {};
        }
        if (Clock::now() - begin > options_.deadline) {
            const std::string waited = format_duration(options_.deadline);
            return died(
                Error(ErrorCode::deadline_exceeded,
                      fmt::format("not all ranks came within {}", waited))
                    .at(call)
                    .mend("see whether a rank is stuck, or made other calls than this one"));
        }
        constexpr int rounds_awake = 1000;  // about a millisecond; short operations end sooner
        if (round > rounds_awake) {
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    }
}

Result<void> NcclBackend::settle(ncclResult_t result, std::string_view call) {
    if (result != ncclSuccess && result != ncclInProgress) {
        return died(nccl_error(*api_, result, comm_, call));
    }
    if (result == ncclSuccess) {
        return {};
    }
    return poll(comm_, is_settled, call);
}

Result<void> NcclBackend::on_device(Result<void> done) {
    if (!done) {
        return died(std::move(done).error());
    }
    return done;
}

Result<void> NcclBackend::synchronize() {
    const auto idle = [this](ncclResult_t /*state*/) -> Result<bool> {
        auto answer = device_->idle();
        if (!answer) {
            return died(std::move(answer).error());
        }
        return *answer;
    };
    return poll(comm_, idle, "synchronize");
}

Result<void> NcclBackend::transfer(std::span<const Outgoing> outgoing,
                                   std::span<const Incoming> incoming,
                                   std::string_view call) {
    if (outgoing.empty() && incoming.empty()) {
        return {};
    }
    MPITRAIN_TRY_VOID(settle(api_->group_start(), call));
    ncclResult_t first = ncclSuccess;
    const auto keep = [&first](ncclResult_t result) {
        first = first == ncclSuccess && result != ncclInProgress ? result : first;
    };
    for (const Incoming& in : incoming) {
        if (in.bytes > 0) {
            keep(api_->recv(in.data, in.bytes, ncclUint8, in.from, comm_, cuda_stream()));
        }
    }
    for (const Outgoing& out : outgoing) {
        if (out.bytes > 0) {
            keep(api_->send(out.data, out.bytes, ncclUint8, out.to, comm_, cuda_stream()));
        }
    }
    const ncclResult_t ended = api_->group_end();  // always, else the group stays open
    MPITRAIN_TRY_VOID(settle(first, call));
    return settle(ended, call);
}

Result<void> NcclBackend::combine(
    const Pieces& pieces, std::size_t count, DataType type, ReduceOp op, void* out) {
    return on_device(device_->combine(pieces, count, type, op, out));
}

Result<void> NcclBackend::copy(void* to, const void* from, std::size_t bytes) {
    return on_device(device_->copy(to, from, bytes));
}

Result<std::byte*> NcclBackend::scratch(std::size_t bytes) {
    if (scratch_bytes_ < bytes) {
        if (scratch_ != nullptr) {
            MPITRAIN_TRY_VOID(synchronize());  // what was enqueued may still use it
            device_->release(scratch_);
            scratch_ = nullptr;
            scratch_bytes_ = 0;
        }
        MPITRAIN_TRY(scratch_, device_->allocate(bytes));
        scratch_bytes_ = bytes;
    }
    return scratch_;
}

Result<void> NcclBackend::broadcast(Buffer data, int root) {
    return settle(
        api_->broadcast(
            data.data, data.data, data.count, nccl_type(data.type), root, comm_, cuda_stream()),
        "broadcast");
}

Result<void> NcclBackend::allreduce(ConstBuffer send, Buffer recv, ReduceOp op) {
    if (options_.order == ReductionOrder::rank_tree) {
        return tree_.allreduce(send, recv, op);
    }
    return settle(api_->all_reduce(send.data,
                                   recv.data,
                                   send.count,
                                   nccl_type(send.type),
                                   nccl_op(op),
                                   comm_,
                                   cuda_stream()),
                  "allreduce");
}

Result<void> NcclBackend::reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root) {
    if (options_.order == ReductionOrder::rank_tree) {
        return tree_.reduce(send, recv, op, root);
    }
    return settle(api_->reduce(send.data,
                               recv.data,
                               send.count,
                               nccl_type(send.type),
                               nccl_op(op),
                               root,
                               comm_,
                               cuda_stream()),
                  "reduce");
}

Result<void> NcclBackend::reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op) {
    if (options_.order == ReductionOrder::rank_tree) {
        return tree_.reduce_scatter(send, recv, op);
    }
    return settle(api_->reduce_scatter(send.data,
                                       recv.data,
                                       recv.count,
                                       nccl_type(send.type),
                                       nccl_op(op),
                                       comm_,
                                       cuda_stream()),
                  "reduce_scatter");
}

Result<void> NcclBackend::allgather(ConstBuffer send, Buffer recv) {
    return settle(api_->all_gather(
                      send.data, recv.data, send.count, nccl_type(send.type), comm_, cuda_stream()),
                  "allgather");
}

Result<void> NcclBackend::all_to_all(ConstBuffer send, Buffer recv) {
    return tree_.all_to_all(send, recv);
}

Result<void> NcclBackend::send_recv(ConstBuffer data, int to, Buffer into, int from) {
    const Outgoing out{to, static_cast<const std::byte*>(data.data), data.bytes()};
    const Incoming in{from, static_cast<std::byte*>(into.data), into.bytes()};
    return transfer({&out, 1}, {&in, 1}, "send_recv");
}

Result<void> NcclBackend::barrier() {
    MPITRAIN_TRY(std::byte* const one, scratch(1));
    MPITRAIN_TRY_VOID(
        settle(api_->all_reduce(one, one, 1, ncclUint8, ncclMax, comm_, cuda_stream()), "barrier"));
    return synchronize();
}

// Gives null where NCCL makes none for this rank.
template <typename Begin>
Result<std::unique_ptr<NcclBackend>> NcclBackend::derive(std::string_view call,
                                                         const Begin& begin) {
    MPITRAIN_TRY(auto device, device_->another());
    ncclConfig_t config = non_blocking();
    ncclComm_t comm = nullptr;
    auto made = settle(begin(&comm, &config), call);
    if (made && comm != nullptr) {
        made = poll(comm, is_settled, call);
    }
    if (!made) {
        if (comm != nullptr) {
            api_->abort(comm);
        }
        return std::move(made).error();
    }
    if (comm == nullptr) {
        return std::unique_ptr<NcclBackend>();
    }
    int rank = 0;
    int size = 0;
    MPITRAIN_TRY_VOID(settle(api_->user_rank(comm, &rank), call));
    MPITRAIN_TRY_VOID(settle(api_->count(comm, &size), call));
    auto part = std::make_unique<NcclBackend>(api_, std::move(device), rank, size, options_);
    part->comm_ = comm;
    part->opened_ = true;
    return part;
}

Result<std::unique_ptr<Backend>> NcclBackend::split(std::optional<int> color, int key) {
    if (api_->split == nullptr) {
        return cannot("split a communicator", "2.18");
    }
    return derive("split", [&](ncclComm_t* comm, ncclConfig_t* config) {
        return api_->split(comm_, color.value_or(NCCL_SPLIT_NOCOLOR), key, comm, config);
    });
}

Result<std::unique_ptr<Backend>> NcclBackend::shrink(std::span<const int> without) {
    if (api_->shrink == nullptr) {
        return cannot("shrink a communicator", "2.27");
    }
    if (comm_ == nullptr) {
        return Error(*death_);
    }
    std::vector<int> excluded(without.begin(), without.end());  // not const for NCCL
    const int how = death_ ? NCCL_SHRINK_ABORT : NCCL_SHRINK_DEFAULT;
    return derive("shrink", [&](ncclComm_t* comm, ncclConfig_t* config) {
        const int count = static_cast<int>(excluded.size());
        return api_->shrink(comm_, excluded.data(), count, comm, config, how);
    });
}

Result<ncclUniqueId> NcclBackend::grow_ticket() {
    if (api_->get_grow_id == nullptr || api_->grow == nullptr) {
        return cannot("grow a communicator", "2.29");
    }
    ncclUniqueId ticket{};
    MPITRAIN_TRY_VOID(settle(api_->get_grow_id(comm_, &ticket), "grow"));
    return ticket;
}

Result<std::unique_ptr<NcclBackend>> NcclBackend::grow(int size, const ncclUniqueId* ticket) {
    if (api_->grow == nullptr) {
        return cannot("grow a communicator", "2.29");
    }
    return derive("grow", [&](ncclComm_t* comm, ncclConfig_t* config) {
        return api_->grow(comm_, size, ticket, -1, comm, config);
    });
}

}  // namespace mpitrain::collectives
