// MpiBackend's reductions. reduce_tree() says in what order elements are combined.
#include <array>
#include <cstring>

#include "buffers.hpp"
#include "mpi_backend.hpp"
#include "mpi_call.hpp"
#include "reduce_element.hpp"
#include "tree_reduce.hpp"

namespace mpitrain::collectives {

namespace {

constexpr std::size_t segment_bytes = std::size_t{8} << 20;        // bounds the scratch memory
constexpr std::size_t gathered_bytes_max = std::size_t{64} << 10;  // received by each rank
constexpr std::size_t native_count_max = std::size_t{1} << 28;     // within MPI's int

// An MPI_Op made from reduce_pair() for the life of one call.
class ScopedOp {
  public:
    ScopedOp(DataType type, ReduceOp op) {
        const auto function = with_type_and_op(
            type, op, []<DataType t, ReduceOp o>() { return &ScopedOp::apply<t, o>; });
        MPI_Op_create(function, 1, &op_);
        MPI_Type_contiguous(static_cast<int>(size_bytes(type)), MPI_BYTE, &element_);
        MPI_Type_commit(&element_);
    }
    ScopedOp(const ScopedOp&) = delete;
    ScopedOp& operator=(const ScopedOp&) = delete;
    ~ScopedOp() {
        MPI_Op_free(&op_);
        MPI_Type_free(&element_);
    }
    [[nodiscard]] MPI_Op op() const { return op_; }
    [[nodiscard]] MPI_Datatype element() const { return element_; }

  private:
    template <DataType type, ReduceOp op>
    static void apply(void* from, void* into, int* count, MPI_Datatype* /*element*/) {
        reduce_pair(from, into, static_cast<std::size_t>(*count), type, op);
    }
    MPI_Op op_ = MPI_OP_NULL;
    MPI_Datatype element_ = MPI_DATATYPE_NULL;
};

}  // namespace

std::vector<MpiBackend::Slice> MpiBackend::equal_slices(std::size_t begin,
                                                        std::size_t count) const {
    const auto parts = static_cast<std::size_t>(size_);
    std::vector<Slice> slices;
    for (std::size_t r = 0; r < parts; ++r) {
        const std::size_t from = count / parts * r + std::min(r, count % parts);
        slices.push_back({begin + from, count / parts + (r < count % parts ? 1 : 0)});
    }
    return slices;
}

Result<std::byte*> MpiBackend::reduce_slices(ConstBuffer send,
                                             std::span<const Slice> slices,
                                             ReduceOp op,
                                             std::byte* out,
                                             std::string_view call) {
    const Slice own = slices[static_cast<std::size_t>(rank_)];
    const std::size_t own_bytes = own.count * size_bytes(send.type);
    const auto ranks = static_cast<std::size_t>(size_);
    std::byte* received = scratch(ranks * own_bytes);  // ours holds the result if `out` is null
    std::vector<const void*> pieces(ranks);
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int d = 1; d < size_; ++d) {
        const auto other = static_cast<std::size_t>(peer(d));
        const Slice theirs = slices[other];
        outgoing.push_back({peer(d), at(send, theirs.begin), theirs.count * size_bytes(send.type)});
        incoming.push_back({peer(d), received + other * own_bytes, own_bytes});
        pieces[other] = received + other * own_bytes;
    }
    pieces[static_cast<std::size_t>(rank_)] = at(send, own.begin);
    MPITRAIN_TRY_VOID(transfer(outgoing, incoming, collective_tag, call));
    if (out == nullptr) {
        out = received + static_cast<std::size_t>(rank_) * own_bytes;
    }
    reduce_tree(pieces, own.count, send.type, op, out);
    return out;
}

Result<void> MpiBackend::allreduce_gathered(ConstBuffer send, Buffer recv, ReduceOp op) {
    const auto ranks = static_cast<std::size_t>(size_);
    std::byte* received = scratch(ranks * send.bytes());
    std::vector<const void*> pieces(ranks);
    std::vector<Outgoing> outgoing;
    std::vector<Incoming> incoming;
    for (int d = 1; d < size_; ++d) {
        std::byte* piece = received + static_cast<std::size_t>(peer(d)) * send.bytes();
        outgoing.push_back({peer(d), at(send, 0), send.bytes()});
        incoming.push_back({peer(d), piece, send.bytes()});
        pieces[static_cast<std::size_t>(peer(d))] = piece;
    }
    pieces[static_cast<std::size_t>(rank_)] = send.data;
    MPITRAIN_TRY_VOID(transfer(outgoing, incoming, collective_tag, "allreduce"));
    reduce_tree(pieces, send.count, send.type, op, recv.data);
    return {};
}

Result<void> MpiBackend::allreduce(ConstBuffer send, Buffer recv, ReduceOp op) {
    if (options_.order == ReductionOrder::any && op != ReduceOp::avg) {
        return reduce_natively(send, recv, op, std::nullopt);
    }
    if (static_cast<std::size_t>(size_) * send.bytes() <= gathered_bytes_max || size_ == 1) {
        return allreduce_gathered(send, recv, op);
    }
    const std::size_t most = segment_bytes / size_bytes(send.type);
    return in_segments(send.count, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        const auto slices = equal_slices(begin, count);
        std::byte* own = at(recv, slices[static_cast<std::size_t>(rank_)].begin);
        MPITRAIN_TRY_VOID(reduce_slices(send, slices, op, own, "allreduce"));
        return spread_slices(recv, slices, "allreduce");
    });
}

Result<void> MpiBackend::reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root) {
    if (options_.order == ReductionOrder::any && op != ReduceOp::avg) {
        return reduce_natively(send, recv, op, root);
    }
    const std::size_t most = segment_bytes / size_bytes(send.type);
    return in_segments(send.count, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        const auto slices = equal_slices(begin, count);
        const Slice own = slices[static_cast<std::size_t>(rank_)];
        std::byte* out = rank_ == root ? at(recv, own.begin) : nullptr;
        MPITRAIN_TRY(const std::byte* reduced, reduce_slices(send, slices, op, out, "reduce"));
        std::vector<Outgoing> outgoing;
        std::vector<Incoming> incoming;
        if (rank_ != root) {
            outgoing.push_back({root, reduced, own.count * size_bytes(send.type)});
        }
        for (int d = 1; d < size_ && rank_ == root; ++d) {
            const Slice theirs = slices[static_cast<std::size_t>(peer(d))];
            incoming.push_back(
                {peer(d), at(recv, theirs.begin), theirs.count * size_bytes(send.type)});
        }
        return transfer(outgoing, incoming, collective_tag, "reduce");
    });
}

Result<void> MpiBackend::reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op) {
    const auto ranks = static_cast<std::size_t>(size_);
    const std::size_t most =
        std::max<std::size_t>(segment_bytes / size_bytes(send.type) / ranks, 1);
    return in_segments(recv.count, most, [&](std::size_t begin, std::size_t count) -> Result<void> {
        std::vector<Slice> slices;
        for (std::size_t r = 0; r < ranks; ++r) {
            slices.push_back({r * recv.count + begin, count});
        }
        MPITRAIN_TRY_VOID(reduce_slices(send, slices, op, at(recv, begin), "reduce_scatter"));
        return {};
    });
}

Result<void> MpiBackend::reduce_natively(ConstBuffer send,
                                         Buffer recv,
                                         ReduceOp op,
                                         std::optional<int> root) {
    const ScopedOp scoped(send.type, op);
    const bool in_place = send.data == recv.data && rank_ == root.value_or(rank_);
    return in_segments(
        send.count, native_count_max, [&](std::size_t begin, std::size_t count) -> Result<void> {
            const void* from = in_place ? MPI_IN_PLACE : at(send, begin);
            void* into = rank_ == root.value_or(rank_) ? at(recv, begin) : nullptr;
            const int n = static_cast<int>(count);
            MPI_Request request = MPI_REQUEST_NULL;
            const int code =
                root
                    ? MPI_Ireduce(
                          from, into, n, scoped.element(), scoped.op(), *root, comm_, &request)
                    : MPI_Iallreduce(from, into, n, scoped.element(), scoped.op(), comm_, &request);
            if (code != MPI_SUCCESS) {
                return died(mpi_error(code, root ? "MPI_Ireduce" : "MPI_Iallreduce"));
            }
            return wait({&request, 1}, root ? "reduce" : "allreduce");
        });
}

}  // namespace mpitrain::collectives
