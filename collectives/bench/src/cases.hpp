#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/collectives/mpi_interop.hpp"

namespace mpitrain::collectives::bench {

enum class Verb { allreduce, reduce, broadcast, reduce_scatter, allgather, all_to_all };

constexpr Verb all_verbs[] = {Verb::allreduce,
                              Verb::reduce,
                              Verb::broadcast,
                              Verb::reduce_scatter,
                              Verb::allgather,
                              Verb::all_to_all};
std::string_view to_string(Verb verb);
// What a byte on the busiest link weighs against a byte of algbw, as nccl-tests defines it.
double bus_factor(Verb verb, int ranks);

// One collective at one size, with its memory. `bytes` is that of the whole array, as in
// nccl-tests: of what every rank ends with, or, for reduce_scatter and all_to_all, begins with.
class Case {
  public:
    Case(Verb verb, std::size_t bytes, DataType type, ReduceOp op, Communicator& ranks);

    [[nodiscard]] std::size_t count() const { return count_; }  // elements of the whole array
    [[nodiscard]] bool can_be_in_place() const;
    // Fills the inputs anew.
    void prepare(bool in_place);
    Result<void> ours(bool in_place);
    // The same by MPI; none for avg and the 16-bit types, which MPI does not know.
    [[nodiscard]] bool mpi_can() const;
    int mpi(bool in_place, MPI_Comm comm);
    // How many elements of the result are not what the ranks' inputs make, on this rank. After
    // prepare() and one call.
    [[nodiscard]] std::size_t wrong(bool in_place) const;

  private:
    [[nodiscard]] Buffer whole(std::vector<std::byte>& memory) const;
    [[nodiscard]] Buffer own_part(std::vector<std::byte>& memory) const;

    Verb verb_;
    DataType type_;
    ReduceOp op_;
    Communicator& ranks_;
    std::size_t part_;  // elements of one rank's part, where there are parts
    std::size_t count_;
    std::vector<std::byte> send_;
    std::vector<std::byte> recv_;
};

}  // namespace mpitrain::collectives::bench
