#pragma once

#include "mpitrain/base/result.hpp"
#include "mpitrain/collectives/communicator.hpp"
#include "options.hpp"

namespace mpitrain::collectives::bench {

// What a synthetic backward pass spends its time with.
enum class Work {
    device,     // nothing on the host, as when a GPU computes
    processor,  // arithmetic on this rank's core
};

// Medians over the rounds, of the slowest rank, in milliseconds.
struct Overlap {
    double reduce_ms = 0;   // all gradients ready at once, nothing else to do
    double compute_ms = 0;  // the backward pass alone
    double both_ms = 0;     // gradients become ready as the pass goes on
    // Of the reduction, the part that the pass hid.
    [[nodiscard]] double hidden() const { return (reduce_ms + compute_ms - both_ms) / reduce_ms; }
};

// A pass that takes as long as the reduction of `bytes` of gradients does. Collective.
Result<Overlap> measure_overlap(Work work, std::size_t bytes, int rounds, Communicator& ranks);

// Measures both kinds of work at the largest size of the plan, and prints them on rank 0.
Result<void> print_overlap(const Options& options, Communicator& ranks);

}  // namespace mpitrain::collectives::bench
