#include "cases.hpp"

#include <cmath>
#include <cstring>

namespace mpitrain::collectives::bench {

namespace {

bool has_parts(Verb verb) {
    return verb == Verb::reduce_scatter || verb == Verb::allgather || verb == Verb::all_to_all;
}

// Whole numbers so small that every sum and product of 64 ranks is exact in every type.
double element_of(int rank, std::size_t index, ReduceOp op) {
    const auto mixed = static_cast<std::size_t>(rank) * 5 + index;
    if (op == ReduceOp::prod) {
        return (mixed / 7) % 8 == 0 ? 2 : 1;
    }
    return static_cast<double>(mixed % 4);
}

double reduced(int ranks, std::size_t index, ReduceOp op) {
    double result = element_of(0, index, op);
    for (int r = 1; r < ranks; ++r) {
        const double value = element_of(r, index, op);
        result = op == ReduceOp::prod  ? result * value
                 : op == ReduceOp::min ? std::min(result, value)
                 : op == ReduceOp::max ? std::max(result, value)
                                       : result + value;
    }
    return op == ReduceOp::avg ? result / ranks : result;
}

template <typename T>
void put(std::byte* at, T value) {
    std::memcpy(at, &value, sizeof value);
}

void store(std::byte* at, DataType type, double value) {
    switch (type) {
        case DataType::f64:
            return put(at, value);
        case DataType::f32:
            return put(at, static_cast<float>(value));
        case DataType::f16:
            return put(at, Float16(static_cast<float>(value)));
        case DataType::bf16:
            return put(at, BFloat16(static_cast<float>(value)));
        case DataType::i32:
            return put(at, static_cast<std::int32_t>(value));
        case DataType::i64:
            return put(at, static_cast<std::int64_t>(value));
        case DataType::u8:
            return put(at, static_cast<std::uint8_t>(value));
    }
}

MPI_Datatype mpi_type(DataType type) {
    switch (type) {
        case DataType::f64:
            return MPI_DOUBLE;
        case DataType::f32:
            return MPI_FLOAT;
        case DataType::i32:
            return MPI_INT32_T;
        case DataType::i64:
            return MPI_INT64_T;
        case DataType::u8:
            return MPI_UINT8_T;
        case DataType::f16:
        case DataType::bf16:
            break;
    }
    return MPI_DATATYPE_NULL;
}

MPI_Op mpi_op(ReduceOp op) {
    switch (op) {
        case ReduceOp::sum:
            return MPI_SUM;
        case ReduceOp::prod:
            return MPI_PROD;
        case ReduceOp::min:
            return MPI_MIN;
        case ReduceOp::max:
            return MPI_MAX;
        case ReduceOp::avg:
            break;
    }
    return MPI_OP_NULL;
}

}  // namespace

std::string_view to_string(Verb verb) {
    constexpr std::string_view names[] = {
        "allreduce", "reduce", "broadcast", "reduce_scatter", "allgather", "all_to_all"};
    return names[static_cast<std::size_t>(verb)];
}

double bus_factor(Verb verb, int ranks) {
    const double n = ranks;
    return verb == Verb::allreduce ? 2 * (n - 1) / n : has_parts(verb) ? (n - 1) / n : 1;
}

Case::Case(Verb verb, std::size_t bytes, DataType type, ReduceOp op, Communicator& ranks)
    : verb_(verb), type_(type), op_(op), ranks_(ranks) {
    const auto parts = static_cast<std::size_t>(ranks.size());
    const std::size_t wanted = bytes / size_bytes(type);
    part_ = has_parts(verb) ? wanted / parts : wanted;
    count_ = has_parts(verb) ? part_ * parts : wanted;
    send_.resize(count_ * size_bytes(type));
    recv_.resize(send_.size());
}

bool Case::can_be_in_place() const {
    return verb_ != Verb::all_to_all && verb_ != Verb::reduce_scatter;
}

bool Case::mpi_can() const {
    const bool reduces =
        verb_ == Verb::allreduce || verb_ == Verb::reduce || verb_ == Verb::reduce_scatter;
    return mpi_type(type_) != MPI_DATATYPE_NULL && (!reduces || mpi_op(op_) != MPI_OP_NULL);
}

Buffer Case::whole(std::vector<std::byte>& memory) const {
    return {memory.data(), count_, type_};
}

Buffer Case::own_part(std::vector<std::byte>& memory) const {
    const auto rank = static_cast<std::size_t>(ranks_.rank());
    return {memory.data() + rank * part_ * size_bytes(type_), part_, type_};
}

void Case::prepare(bool in_place) {
    std::vector<std::byte>& memory = in_place || verb_ == Verb::broadcast ? recv_ : send_;
    const std::size_t element = size_bytes(type_);
    for (std::size_t i = 0; i < count_; ++i) {
        store(&memory[i * element], type_, element_of(ranks_.rank(), i, op_));
    }
    if (!in_place && verb_ != Verb::broadcast) {
        std::fill(recv_.begin(), recv_.end(), std::byte{0x5a});
    }
}

Result<void> Case::ours(bool in_place) {
    std::vector<std::byte>& from = in_place ? recv_ : send_;
    switch (verb_) {
        case Verb::allreduce:
            return ranks_.allreduce(whole(from), whole(recv_), op_);
        case Verb::reduce:
            return ranks_.reduce(whole(from), whole(recv_), op_, 0);
        case Verb::broadcast:
            return ranks_.broadcast(whole(recv_), 0);
        case Verb::reduce_scatter:
            return ranks_.reduce_scatter(whole(send_), own_part(recv_), op_);
        case Verb::allgather:
            return ranks_.allgather(own_part(from), whole(recv_));
        case Verb::all_to_all:
            break;
    }
    return ranks_.all_to_all(whole(send_), whole(recv_));
}

int Case::mpi(bool in_place, MPI_Comm comm) {
    const MPI_Datatype type = mpi_type(type_);
    const MPI_Op op = mpi_op(op_);
    const int count = static_cast<int>(count_);
    const int part = static_cast<int>(part_);
    void* const recv = recv_.data();
    switch (verb_) {
        case Verb::allreduce:
            return MPI_Allreduce(
                in_place ? MPI_IN_PLACE : send_.data(), recv, count, type, op, comm);
        case Verb::reduce: {
            const bool at_root = in_place && ranks_.rank() == 0;
            const void* from = at_root ? MPI_IN_PLACE : in_place ? recv : send_.data();
            return MPI_Reduce(from, recv, count, type, op, 0, comm);
        }
        case Verb::broadcast:
            return MPI_Bcast(recv, count, type, 0, comm);
        case Verb::reduce_scatter:
            return MPI_Reduce_scatter_block(
                send_.data(), own_part(recv_).data, part, type, op, comm);
        case Verb::allgather:
            return MPI_Allgather(
                in_place ? MPI_IN_PLACE : own_part(send_).data, part, type, recv, part, type, comm);
        case Verb::all_to_all:
            break;
    }
    return MPI_Alltoall(send_.data(), part, type, recv, part, type, comm);
}

std::size_t Case::wrong(bool /*in_place*/) const {
    const std::size_t element = size_bytes(type_);
    const auto rank = static_cast<std::size_t>(ranks_.rank());
    const bool own_only = verb_ == Verb::reduce_scatter;
    if (verb_ == Verb::reduce && rank != 0) {
        return 0;
    }
    std::size_t bad = 0;
    const std::size_t begin = own_only ? rank * part_ : 0;
    for (std::size_t i = begin; i < begin + (own_only ? part_ : count_); ++i) {
        double want = 0;
        if (verb_ == Verb::broadcast) {
            want = element_of(0, i, op_);
        } else if (verb_ == Verb::allgather) {
            want = element_of(static_cast<int>(i / part_), i, op_);
        } else if (verb_ == Verb::all_to_all) {
            want = element_of(static_cast<int>(i / part_), rank * part_ + i % part_, op_);
        } else {
            want = reduced(ranks_.size(), i, op_);
        }
        std::byte expected[8] = {};
        store(expected, type_, want);
        bad += std::memcmp(expected, &recv_[i * element], element) == 0 ? 0U : 1U;
    }
    return bad;
}

}  // namespace mpitrain::collectives::bench
