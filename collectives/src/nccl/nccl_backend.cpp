#include "nccl/nccl_backend.hpp"

#include <fmt/format.h>

#include <chrono>
#include <thread>

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

}  // namespace

Result<std::unique_ptr<NcclBackend>> NcclBackend::open(std::shared_ptr<const NcclApi> api,
                                                       std::unique_ptr<Device> device,
                                                       const ncclUniqueId& id,
                                                       int rank,
                                                       int size,
                                                       const CommunicatorOptions& options) {
    auto backend =
        std::make_unique<NcclBackend>(std::move(api), std::move(device), rank, size, options);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    const ncclResult_t result = backend->api_->init_rank(&backend->comm_, size, id, rank, &config);
    MPITRAIN_TRY_VOID(backend->settle(result, "opening an NCCL communicator"));
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
    if (comm_ != nullptr && synchronize() &&
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
    died(Error(ErrorCode::cancelled, "the communicator was given up by this rank"));
}

Error NcclBackend::died(Error why) {
    if (!death_) {
        death_ = why;
    }
    if (comm_ != nullptr) {
        api_->abort(comm_);
        comm_ = nullptr;
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

Result<std::unique_ptr<Backend>> NcclBackend::split(std::optional<int> color, int key) {
    if (api_->split == nullptr) {
        return Error(ErrorCode::unsupported, "this NCCL cannot split a communicator")
            .mend(
                "use NCCL 2.18 or newer, or split the MPI communicator and open NCCL on its parts");
    }
    MPITRAIN_TRY(auto device, device_->another());
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t comm = nullptr;
    MPITRAIN_TRY_VOID(settle(
        api_->split(comm_, color.value_or(NCCL_SPLIT_NOCOLOR), key, &comm, &config), "split"));
    if (comm == nullptr) {
        return std::unique_ptr<Backend>();
    }
    MPITRAIN_TRY_VOID(poll(comm, is_settled, "split"));
    int rank = 0;
    int size = 0;
    MPITRAIN_TRY_VOID(settle(api_->user_rank(comm, &rank), "split"));
    MPITRAIN_TRY_VOID(settle(api_->count(comm, &size), "split"));
    auto part = std::make_unique<NcclBackend>(api_, std::move(device), rank, size, options_);
    part->comm_ = comm;
    return std::unique_ptr<Backend>(std::move(part));
}

}  // namespace mpitrain::collectives
