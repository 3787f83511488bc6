// MpiBackend's reductions: in rank_tree order by TreeCollectives, in any order by MPI.
#include "buffers.hpp"
#include "mpi_backend.hpp"
#include "mpi_call.hpp"
#include "reduce_element.hpp"
#include "tree_reduce.hpp"

namespace mpitrain::collectives {

namespace {

constexpr std::size_t native_count_max = std::size_t{1} << 28;  // within MPI's int

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

Result<void> MpiBackend::allreduce(ConstBuffer send, Buffer recv, ReduceOp op) {
    if (on_one_node()) {
        return checked(inside_->allreduce(send, recv, op));
    }
    if (levels_ && TwoLevels::can_do(send.type, op)) {
        return checked(levels_->allreduce(send, recv, op));
    }
    if (options_.order == ReductionOrder::any && op != ReduceOp::avg) {
        return reduce_natively(send, recv, op, std::nullopt);
    }
    return tree_.allreduce(send, recv, op);
}

Result<void> MpiBackend::reduce(ConstBuffer send, Buffer recv, ReduceOp op, int root) {
    if (on_one_node()) {
        return checked(inside_->reduce(send, recv, op, root));
    }
    if (options_.order == ReductionOrder::any && op != ReduceOp::avg) {
        return reduce_natively(send, recv, op, root);
    }
    return tree_.reduce(send, recv, op, root);
}

Result<void> MpiBackend::reduce_scatter(ConstBuffer send, Buffer recv, ReduceOp op) {
    if (!on_one_node()) {
        return tree_.reduce_scatter(send, recv, op);
    }
    std::vector<Slice> slices;
    for (int r = 0; r < size_; ++r) {
        slices.push_back({static_cast<std::size_t>(r) * recv.count, recv.count});
    }
    return checked(inside_->reduce_scatter(send, slices, op, recv));
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
