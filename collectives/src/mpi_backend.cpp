#include "mpi_backend.hpp"

#include <algorithm>
#include <cstring>

#include "buffers.hpp"
#include "mpi_call.hpp"
#include "mpi_wait.hpp"
#include "mpitrain/collectives/mpi_interop.hpp"
#include "tree_reduce.hpp"

namespace mpitrain::collectives {

namespace {

constexpr std::size_t message_bytes_max = std::size_t{1} << 30;  // within MPI's int

}  // namespace

Result<std::unique_ptr<Backend>> MpiBackend::open(MPI_Comm group,
                                                  const CommunicatorOptions& options,
                                                  const Seat& seat,
                                                  bool in_background) {
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Request request = MPI_REQUEST_NULL;
    MPITRAIN_TRY_VOID(mpi_checked(MPI_Comm_idup(group, &comm, &request), "MPI_Comm_idup"));
    MPITRAIN_TRY_VOID(mpi_wait({&request, 1}, options.deadline, "opening a communicator"));
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    int rank = 0;
    int size = 1;
    MPITRAIN_TRY_VOID(mpi_checked(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank"));
    MPITRAIN_TRY_VOID(mpi_checked(MPI_Comm_size(comm, &size), "MPI_Comm_size"));
    auto backend = std::make_unique<MpiBackend>(comm, rank, size, options);
    backend->in_background_ = in_background;
    MPITRAIN_TRY_VOID(backend->share_memory(seat));
    return std::unique_ptr<Backend>(std::move(backend));
}

MpiBackend::MpiBackend(MPI_Comm comm, int rank, int size, const CommunicatorOptions& options)
    : comm_(comm),
      rank_(rank),
      size_(size),
      options_(options),
      tree_(*this, rank, size, segment_bytes) {}

MpiBackend::~MpiBackend() {
    if (death_) {
        // Messages may still be under way into the scratch memory: it must outlive them.
        std::make_unique<std::vector<std::byte>>(std::move(scratch_)).release();
    } else if (mpi_runs()) {
        MPI_Comm_free(&comm_);
    }
}

Result<void> MpiBackend::usable() const {
    if (death_) {
        return Error(*death_);
    }
    if (!mpi_runs()) {
        return Error(ErrorCode::unavailable, "MPI has ended")
            .mend("call Environment::close() after the last use of a communicator");
    }
    return {};
}

void MpiBackend::abort() {
    died(Error(ErrorCode::cancelled, "the communicator was given up by this rank"));
}

Error MpiBackend::died(Error why) {
    if (!death_) {
        death_ = why;
        if (node_) {
            node_->give_up();
        }
    }
    return why;
}

Result<void> MpiBackend::checked(Result<void> done) {
    if (!done && !death_) {
        return died(std::move(done).error());
    }
    return done;
}

Result<void> MpiBackend::wait(std::span<MPI_Request> requests, std::string_view call) {
    auto done = mpi_wait(requests, options_.deadline, call);
    if (!done) {
        return died(std::move(done).error());
    }
    return {};
}

Result<void> MpiBackend::transfer(std::span<const Outgoing> outgoing,
                                  std::span<const Incoming> incoming,
                                  std::string_view call) {
    return exchange(outgoing, incoming, collective_tag, call);
}

Result<void> MpiBackend::exchange(std::span<const Outgoing> outgoing,
                                  std::span<const Incoming> incoming,
                                  int tag,
                                  std::string_view call) {
    std::vector<MPI_Request> requests;
    const auto post = [&](std::size_t bytes, auto&& start) {
        return in_segments(bytes, message_bytes_max, [&](std::size_t begin, std::size_t count) {
            requests.push_back(MPI_REQUEST_NULL);
            return mpi_checked(start(begin, static_cast<int>(count), &requests.back()), call);
        });
    };
    for (const Incoming& in : incoming) {
        const auto start = [&](std::size_t begin, int count, MPI_Request* request) {
            return MPI_Irecv(in.data + begin, count, MPI_BYTE, in.from, tag, comm_, request);
        };
        if (auto posted = post(in.bytes, start); !posted) {
            return died(std::move(posted).error());
        }
    }
    for (const Outgoing& out : outgoing) {
        const auto start = [&](std::size_t begin, int count, MPI_Request* request) {
            return MPI_Isend(out.data + begin, count, MPI_BYTE, out.to, tag, comm_, request);
        };
        if (auto posted = post(out.bytes, start); !posted) {
            return died(std::move(posted).error());
        }
    }
    return wait(requests, call);
}

Result<void> MpiBackend::combine(
    const Pieces& pieces, std::size_t count, DataType type, ReduceOp op, void* out) {
    std::vector<const void*> each;
    for (int r = 0; r < pieces.ranks; ++r) {
        each.push_back(pieces.received + static_cast<std::size_t>(r) * pieces.stride);
    }
    each[static_cast<std::size_t>(pieces.own)] = pieces.own_data;
    reduce_tree(each, count, type, op, out);
    return {};
}

Result<void> MpiBackend::copy(void* to, const void* from, std::size_t bytes) {
    std::memcpy(to, from, bytes);
    return {};
}

Result<std::byte*> MpiBackend::scratch(std::size_t bytes) {
    if (scratch_.size() < bytes) {
        scratch_.resize(bytes);
    }
    return scratch_.data();
}

Result<void> MpiBackend::broadcast(Buffer data, int root) {
    if (on_one_node()) {
        return checked(inside_->broadcast(data, root));
    }
    const std::size_t most = message_bytes_max / size_bytes(data.type);
    return in_segments(data.count, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        const Buffer segment = part(data, begin, count);
        MPITRAIN_TRY(const int bytes, narrow_count(segment.bytes()));
        MPI_Request request = MPI_REQUEST_NULL;
        if (const int code = MPI_Ibcast(segment.data, bytes, MPI_BYTE, root, comm_, &request)) {
            return died(mpi_error(code, "MPI_Ibcast"));
        }
        return wait({&request, 1}, "broadcast");
    });
}

Result<void> MpiBackend::allgather(ConstBuffer send, Buffer recv) {
    if (!on_one_node()) {
        return tree_.allgather(send, recv);
    }
    std::vector<Slice> slices;
    for (int r = 0; r < size_; ++r) {
        slices.push_back({static_cast<std::size_t>(r) * send.count, send.count});
    }
    std::byte* own = at(recv, slices[static_cast<std::size_t>(rank_)].begin);
    if (own != send.data) {
        std::memcpy(own, send.data, send.bytes());
    }
    return checked(inside_->allgather(recv, slices));
}

Result<void> MpiBackend::all_to_all(ConstBuffer send, Buffer recv) {
    return on_one_node() ? checked(inside_->all_to_all(send, recv)) : tree_.all_to_all(send, recv);
}

Result<void> MpiBackend::send_recv(ConstBuffer data, int to, Buffer into, int from) {
    const Outgoing out{to, at(data, 0), data.bytes()};
    const Incoming in{from, at(into, 0), into.bytes()};
    const std::string_view call = into.count == 0 ? "send" : data.count == 0 ? "recv" : "send_recv";
    return exchange(
        {&out, data.count > 0 ? 1U : 0U}, {&in, into.count > 0 ? 1U : 0U}, message_tag, call);
}

Result<void> MpiBackend::barrier() {
    if (on_one_node()) {
        return checked(inside_->barrier());
    }
    MPI_Request request = MPI_REQUEST_NULL;
    if (const int code = MPI_Ibarrier(comm_, &request)) {
        return died(mpi_error(code, "MPI_Ibarrier"));
    }
    return wait({&request, 1}, "barrier");
}

Result<std::unique_ptr<Backend>> MpiBackend::split(std::optional<int> color, int key) {
    // MPI_Comm_split cannot be bounded; a barrier before it makes sure that all ranks are there.
    MPITRAIN_TRY_VOID(barrier());
    MPI_Comm comm = MPI_COMM_NULL;
    if (const int code = MPI_Comm_split(comm_, color.value_or(MPI_UNDEFINED), key, &comm)) {
        return died(mpi_error(code, "MPI_Comm_split"));
    }
    if (comm == MPI_COMM_NULL) {
        return std::unique_ptr<Backend>();
    }
    return adopt(comm);
}

Result<std::unique_ptr<Backend>> MpiBackend::shrink(std::span<const int> without) {
    MPITRAIN_TRY_VOID(usable());
    // MPI_Comm_create_group cannot be bounded; a word from each of the others before it makes sure
    // that they are there.
    const auto stays = [&](int rank) {
        return std::find(without.begin(), without.end(), rank) == without.end();
    };
    std::vector<std::byte> words(static_cast<std::size_t>(size_));
    const std::byte own{1};
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int r = 0; r < size_; ++r) {
        if (r != rank_ && stays(r)) {
            outgoing.push_back({r, &own, 1});
            incoming.push_back({r, &words[static_cast<std::size_t>(r)], 1});
        }
    }
    MPITRAIN_TRY_VOID(exchange(outgoing, incoming, gathering_tag, "shrink"));
    MPI_Group all = MPI_GROUP_NULL;
    MPI_Group rest = MPI_GROUP_NULL;
    MPITRAIN_TRY_VOID(mpi_checked(MPI_Comm_group(comm_, &all), "MPI_Comm_group"));
    MPI_Group_excl(all, static_cast<int>(without.size()), without.data(), &rest);
    MPI_Comm comm = MPI_COMM_NULL;
    const int code = MPI_Comm_create_group(comm_, rest, gathering_tag, &comm);
    MPI_Group_free(&rest);
    MPI_Group_free(&all);
    if (code != MPI_SUCCESS) {
        return died(mpi_error(code, "MPI_Comm_create_group"));
    }
    return adopt(comm);
}

Result<std::unique_ptr<Backend>> MpiBackend::adopt(MPI_Comm comm) {
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    int rank = 0;
    int size = 1;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    auto backend = std::make_unique<MpiBackend>(comm, rank, size, options_);
    MPITRAIN_TRY_VOID(backend->share_memory(seat_));
    return std::unique_ptr<Backend>(std::move(backend));
}

Result<std::unique_ptr<Backend>> MpiBackend::for_background() {
    MPITRAIN_TRY_VOID(usable());
    CommunicatorOptions options = options_;
    options.order = ReductionOrder::rank_tree;
    return open(comm_, options, seat_, true);
}

bool MpiBackend::may_run_beside_others() const {
    int given = MPI_THREAD_SINGLE;
    MPI_Query_thread(&given);
    return on_one_node() || given == MPI_THREAD_MULTIPLE;
}

Result<Communicator> Communicator::world(const Environment& /*environment*/,
                                         const CommunicatorOptions& options) {
    return communicator_from_mpi(MPI_COMM_WORLD, options);
}

Result<Communicator> communicator_from_mpi(MPI_Comm group, const CommunicatorOptions& options) {
    if (!mpi_runs()) {
        return Error(ErrorCode::unavailable, "MPI does not run").mend("open an Environment first");
    }
    MPITRAIN_TRY(auto backend, MpiBackend::open(group, options));
    return Communicator(std::move(backend));
}

Result<MPI_Comm> native_mpi(Communicator& communicator) {
    if (communicator.backend() != BackendKind::mpi) {
        return Error(ErrorCode::invalid_argument, "this communicator is not built on MPI");
    }
    return static_cast<MpiBackend&>(backend_of(communicator)).native();
}

}  // namespace mpitrain::collectives
