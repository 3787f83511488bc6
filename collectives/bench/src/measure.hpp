#pragma once

#include <optional>
#include <span>
#include <string>

#include "algorithms.hpp"
#include "cases.hpp"

namespace mpitrain::collectives::bench {

struct Plan {
    Verb verb = Verb::allreduce;
    std::size_t bytes_min = 4096;
    std::size_t bytes_max = std::size_t{256} << 20;
    std::size_t factor = 4;
    DataType type = DataType::f32;
    ReduceOp op = ReduceOp::sum;
    int rounds = 7;
    bool compare = true;  // with MPI's own
};

// Times of one call, in microseconds, of the slowest rank; over the rounds.
struct Times {
    double min = 0;
    double median = 0;
    double max = 0;
};

struct Baseline {
    std::string algorithm;
    Times times;
};

struct Way {  // out of place or in place
    Times times;
    std::size_t wrong = 0;  // elements, over all ranks
    std::optional<Baseline> baseline;
};

struct Row {
    std::size_t bytes = 0;
    std::size_t count = 0;
    Way apart;
    std::optional<Way> in_place;
};

// One size. `algorithms` are MPI's; the best is found first, then both sides take turns.
// Collective. Errors: those of the communicator.
Result<Row> measure(const Plan& plan,
                    std::size_t bytes,
                    std::span<const Algorithm> algorithms,
                    Communicator& ranks);

Times summarize(std::vector<double> samples);

}  // namespace mpitrain::collectives::bench
