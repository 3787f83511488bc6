// MPI's blocking collectives, each noted and then passed on.
#include <mpi.h>

#include <optional>

#include "communicators.hpp"
#include "mpitrain/recorder/operation_log.hpp"
#include "real_mpi.hpp"

namespace {

using mpitrain::recorder::KnownCommunicator;
using mpitrain::recorder::Operation;
using mpitrain::recorder::OperationKind;
using mpitrain::recorder::OperationLog;

// Notes one call for as long as it lives.
class Noted {
  public:
    Noted(MPI_Comm comm, OperationKind kind, int count, MPI_Datatype type, int root = -1)
        : log_(OperationLog::of_this_process()) {
        KnownCommunicator* known =
            log_ != nullptr ? mpitrain::recorder::find_communicator(comm) : nullptr;
        if (known == nullptr) {
            log_ = nullptr;
            return;
        }
        int element = 0;
        if (count > 0) {
            MPITRAIN_REAL(MPI_Type_size)(type, &element);
        }
        sequence_ = log_->begin(Operation{
            .group = known->group,
            .number = ++known->number,
            .bytes = static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(element),
            .kind = kind,
            .root = root,
            .ranks = known->ranks});
    }
    Noted(const Noted&) = delete;
    Noted& operator=(const Noted&) = delete;
    ~Noted() {
        if (log_ != nullptr) {
            log_->end(sequence_);
        }
    }

  private:
    OperationLog* log_;
    std::uint64_t sequence_ = 0;
};

}  // namespace

// Counts that may rightly differ from rank to rank (the …v calls) are noted as none.
// NOLINTBEGIN(readability-function-size,cppcoreguidelines-avoid-non-const-global-variables): MPI's
// own parameter lists, and the functions behind them, found once
extern "C" {

int MPI_Barrier(MPI_Comm comm) {
    const Noted noted(comm, OperationKind::barrier, 0, nullptr);
    return MPITRAIN_REAL(MPI_Barrier)(comm);
}

int MPI_Bcast(void* data, int count, MPI_Datatype type, int root, MPI_Comm comm) {
    const Noted noted(comm, OperationKind::broadcast, count, type, root);
    return MPITRAIN_REAL(MPI_Bcast)(data, count, type, root, comm);
}

int MPI_Allreduce(
    const void* send, void* recv, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
    const Noted noted(comm, OperationKind::allreduce, count, type);
    return MPITRAIN_REAL(MPI_Allreduce)(send, recv, count, type, op, comm);
}

int MPI_Reduce(const void* send,
               void* recv,
               int count,
               MPI_Datatype type,
               MPI_Op op,
               int root,
               MPI_Comm comm) {
    const Noted noted(comm, OperationKind::reduce, count, type, root);
    return MPITRAIN_REAL(MPI_Reduce)(send, recv, count, type, op, root, comm);
}

int MPI_Reduce_scatter(
    const void* send, void* recv, const int counts[], MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
    const Noted noted(comm, OperationKind::reduce_scatter, 0, type);
    return MPITRAIN_REAL(MPI_Reduce_scatter)(send, recv, counts, type, op, comm);
}

int MPI_Reduce_scatter_block(
    const void* send, void* recv, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
    const Noted noted(comm, OperationKind::reduce_scatter, count, type);
    return MPITRAIN_REAL(MPI_Reduce_scatter_block)(send, recv, count, type, op, comm);
}

int MPI_Allgather(const void* send,
                  int send_count,
                  MPI_Datatype send_type,
                  void* recv,
                  int recv_count,
                  MPI_Datatype recv_type,
                  MPI_Comm comm) {
    const Noted noted(comm, OperationKind::allgather, recv_count, recv_type);
    return MPITRAIN_REAL(MPI_Allgather)(
        send, send_count, send_type, recv, recv_count, recv_type, comm);
}

int MPI_Allgatherv(const void* send,
                   int send_count,
                   MPI_Datatype send_type,
                   void* recv,
                   const int counts[],
                   const int places[],
                   MPI_Datatype recv_type,
                   MPI_Comm comm) {
    const Noted noted(comm, OperationKind::allgather, 0, recv_type);
    return MPITRAIN_REAL(MPI_Allgatherv)(
        send, send_count, send_type, recv, counts, places, recv_type, comm);
}

int MPI_Gather(const void* send,
               int send_count,
               MPI_Datatype send_type,
               void* recv,
               int recv_count,
               MPI_Datatype recv_type,
               int root,
               MPI_Comm comm) {
    const Noted noted(comm, OperationKind::gather, 0, send_type, root);
    return MPITRAIN_REAL(MPI_Gather)(
        send, send_count, send_type, recv, recv_count, recv_type, root, comm);
}

int MPI_Gatherv(const void* send,
                int send_count,
                MPI_Datatype send_type,
                void* recv,
                const int counts[],
                const int places[],
                MPI_Datatype recv_type,
                int root,
                MPI_Comm comm) {
    const Noted noted(comm, OperationKind::gather, 0, send_type, root);
    return MPITRAIN_REAL(MPI_Gatherv)(
        send, send_count, send_type, recv, counts, places, recv_type, root, comm);
}

int MPI_Scatter(const void* send,
                int send_count,
                MPI_Datatype send_type,
                void* recv,
                int recv_count,
                MPI_Datatype recv_type,
                int root,
                MPI_Comm comm) {
    const Noted noted(comm, OperationKind::scatter, 0, recv_type, root);
    return MPITRAIN_REAL(MPI_Scatter)(
        send, send_count, send_type, recv, recv_count, recv_type, root, comm);
}

int MPI_Scatterv(const void* send,
                 const int counts[],
                 const int places[],
                 MPI_Datatype send_type,
                 void* recv,
                 int recv_count,
                 MPI_Datatype recv_type,
                 int root,
                 MPI_Comm comm) {
    const Noted noted(comm, OperationKind::scatter, 0, recv_type, root);
    return MPITRAIN_REAL(MPI_Scatterv)(
        send, counts, places, send_type, recv, recv_count, recv_type, root, comm);
}

int MPI_Alltoall(const void* send,
                 int send_count,
                 MPI_Datatype send_type,
                 void* recv,
                 int recv_count,
                 MPI_Datatype recv_type,
                 MPI_Comm comm) {
    const Noted noted(comm, OperationKind::all_to_all, recv_count, recv_type);
    return MPITRAIN_REAL(MPI_Alltoall)(
        send, send_count, send_type, recv, recv_count, recv_type, comm);
}

int MPI_Scan(const void* send, void* recv, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
    const Noted noted(comm, OperationKind::scan, count, type);
    return MPITRAIN_REAL(MPI_Scan)(send, recv, count, type, op, comm);
}

int MPI_Exscan(
    const void* send, void* recv, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
    const Noted noted(comm, OperationKind::scan, count, type);
    return MPITRAIN_REAL(MPI_Exscan)(send, recv, count, type, op, comm);
}

}  // extern "C"
// NOLINTEND(readability-function-size,cppcoreguidelines-avoid-non-const-global-variables)
