#include "verify.hpp"

#include <mpi.h>

namespace mpitrain::collectives::bench {

namespace {

constexpr DataType all_types[] = {DataType::f64,
                                  DataType::f32,
                                  DataType::f16,
                                  DataType::bf16,
                                  DataType::i32,
                                  DataType::i64,
                                  DataType::u8};
constexpr ReduceOp all_ops[] = {
    ReduceOp::sum, ReduceOp::prod, ReduceOp::min, ReduceOp::max, ReduceOp::avg};
// In bytes; on both sides of every change of algorithm.
constexpr std::size_t sizes[] = {0, 8, 120, 9'992, 65'544, 700'008, 3'000'008};
constexpr std::size_t many_segments = (std::size_t{20} << 20) + 24;
constexpr std::size_t beyond_31_bits = (std::size_t{1} << 31) + 1000;

bool reduces(Verb verb) {
    return verb == Verb::allreduce || verb == Verb::reduce || verb == Verb::reduce_scatter;
}

class Check {
  public:
    Check(Communicator& ranks, std::size_t& checks) : ranks_(ranks), checks_(checks) {}

    Result<void> run(Verb verb, std::size_t bytes, DataType type, ReduceOp op) {
        Case one(verb, bytes, type, op, ranks_);
        for (const bool in_place : {false, true}) {
            if (in_place && !one.can_be_in_place()) {
                continue;
            }
            one.prepare(in_place);
            MPITRAIN_TRY_VOID(one.ours(in_place));
            wrong_ += one.wrong(in_place);
            ++checks_;
        }
        return {};
    }
    [[nodiscard]] std::size_t wrong() const { return wrong_; }

  private:
    Communicator& ranks_;
    std::size_t& checks_;
    std::uint64_t wrong_ = 0;  // on this rank
};

Result<void> check_types_and_sizes(Check& check, Verb verb) {
    for (const DataType type : all_types) {
        for (const ReduceOp op : all_ops) {
            if (op != ReduceOp::sum && !reduces(verb)) {
                continue;
            }
            for (const std::size_t bytes : sizes) {
                MPITRAIN_TRY_VOID(check.run(verb, bytes, type, op));
            }
        }
    }
    return {};
}

}  // namespace

Result<std::size_t> verify_everything(Communicator& ranks, bool huge, std::size_t& checks) {
    Check check(ranks, checks);
    for (const Verb verb : all_verbs) {
        MPITRAIN_TRY_VOID(check_types_and_sizes(check, verb));
        MPITRAIN_TRY_VOID(check.run(verb, many_segments, DataType::f32, ReduceOp::sum));
    }
    for (const Verb verb : {Verb::allreduce, Verb::broadcast, Verb::allgather}) {
        if (huge) {
            MPITRAIN_TRY_VOID(check.run(verb, beyond_31_bits, DataType::f32, ReduceOp::sum));
        }
    }
    std::uint64_t wrong = check.wrong();
    MPI_Allreduce(MPI_IN_PLACE, &wrong, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    return static_cast<std::size_t>(wrong);
}

}  // namespace mpitrain::collectives::bench
