#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "mpitrain/checkpoint/checkpointer.hpp"

namespace mpitrain::checkpoint::bench {

// Page-aligned memory, touched.
class Slab {
  public:
    explicit Slab(std::size_t size_bytes);
    [[nodiscard]] std::span<std::byte> bytes() const { return {memory_.get(), size_bytes_}; }
    void fill(std::uint64_t seed);

  private:
    struct Free {
        void operator()(std::byte* memory) const { std::free(memory); }
    };
    std::size_t size_bytes_;
    std::unique_ptr<std::byte, Free> memory_;
};

// The tensors of a model of `total_bytes`, shared out by rows: `count` of them, every tenth of 300
// and more under a kilobyte and replicated, some of a prime number of rows, floats of 32 and of 16
// bits in turn. A count of one is a single float32 matrix.
std::vector<TensorSpec> tensors_of(std::uint64_t total_bytes,
                                   std::size_t count,
                                   int rank,
                                   int size);

// What a rank's tensors take in memory, each on a border of 64 bytes, as frameworks allocate.
std::size_t memory_bytes(std::span<const TensorSpec> tensors);
std::vector<SaveTensor> to_save(std::span<const TensorSpec> tensors, std::span<std::byte> memory);
std::vector<LoadTensor> to_load(std::span<const TensorSpec> tensors, std::span<std::byte> memory);

}  // namespace mpitrain::checkpoint::bench
