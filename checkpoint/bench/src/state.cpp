#include "state.hpp"

#include <fmt/format.h>

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "mpitrain/base/assert.hpp"

namespace mpitrain::checkpoint::bench {
namespace {

// Never on a page border: what is to be saved rarely is.
constexpr std::size_t first_byte = 64;
constexpr std::size_t border = 64;
constexpr std::size_t huge_page = 2 * 1024 * 1024;

std::size_t bytes_of(const TensorSpec& tensor) {
    const Block block = resolved_block(tensor);
    return static_cast<std::size_t>(*element_count(block.extent)) * size_bytes(tensor.dtype);
}

template <typename Tensor, typename Pointer>
std::vector<Tensor> place(std::span<const TensorSpec> tensors, std::span<std::byte> memory) {
    std::vector<Tensor> placed;
    std::size_t at = first_byte;
    for (const TensorSpec& tensor : tensors) {
        MPITRAIN_ASSERT(at + bytes_of(tensor) <= memory.size());
        placed.push_back({tensor, static_cast<Pointer>(memory.data() + at), false});
        at += (bytes_of(tensor) + border - 1) / border * border;
    }
    return placed;
}

TensorSpec by_rows(
    std::string name, DType dtype, std::uint64_t rows, std::uint64_t columns, int rank, int size) {
    const auto r = static_cast<std::uint64_t>(rank);
    const auto n = static_cast<std::uint64_t>(size);
    const std::uint64_t begin = rows * r / n;
    const std::uint64_t end = rows * (r + 1) / n;
    return {std::move(name), dtype, {rows, columns}, {{begin, 0}, {end - begin, columns}}};
}

}  // namespace

Slab::Slab(std::size_t size_bytes)
    : size_bytes_((size_bytes + huge_page - 1) / huge_page * huge_page),
      memory_(static_cast<std::byte*>(std::aligned_alloc(huge_page, size_bytes_))) {
    MPITRAIN_ASSERT(memory_ != nullptr);
    // The plain cases write from here: they are to be the limit, so they get the best memory.
    static_cast<void>(::madvise(memory_.get(), size_bytes_, MADV_HUGEPAGE));
    std::memset(memory_.get(), 1, size_bytes_);
}

void Slab::fill(std::uint64_t seed) {
    std::uint64_t state = seed * 2 + 1;
    for (std::size_t at = 0; at + sizeof state <= size_bytes_; at += sizeof state) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::memcpy(memory_.get() + at, &state, sizeof state);
    }
}

std::vector<TensorSpec> tensors_of(std::uint64_t total_bytes,
                                   std::size_t count,
                                   int rank,
                                   int size) {
    constexpr std::uint64_t columns_of_one = 1024;
    if (count == 1) {
        const std::uint64_t rows = total_bytes / 4 / columns_of_one;
        return {by_rows("model/weight", DType::float32, rows, columns_of_one, rank, size)};
    }
    std::vector<TensorSpec> tensors;
    const std::size_t small = count / 10;
    const std::uint64_t mean = total_bytes / (count - small);
    for (std::size_t i = 0; i < count; ++i) {
        const std::string name = fmt::format("model/layer{:03}/tensor{:05}", i / 12, i);
        if (i % 10 == 9) {
            tensors.push_back({name, DType::float32, {200}, {}});
            continue;
        }
        const DType dtype = i % 2 == 0 ? DType::float32 : DType::bfloat16;
        // From half to one and a half times the mean.
        const std::uint64_t wanted = mean / 2 + mean * (i % 11) / 10;
        const std::uint64_t columns = i % 7 == 0 ? 127 : 128;
        const std::uint64_t rows = std::max<std::uint64_t>(1, wanted / columns / size_bytes(dtype));
        tensors.push_back(by_rows(name, dtype, rows, columns, rank, size));
    }
    return tensors;
}

std::size_t memory_bytes(std::span<const TensorSpec> tensors) {
    std::size_t bytes = first_byte;
    for (const TensorSpec& tensor : tensors) {
        bytes += (bytes_of(tensor) + border - 1) / border * border;
    }
    return bytes;
}

std::vector<SaveTensor> to_save(std::span<const TensorSpec> tensors, std::span<std::byte> memory) {
    return place<SaveTensor, const void*>(tensors, memory);
}

std::vector<LoadTensor> to_load(std::span<const TensorSpec> tensors, std::span<std::byte> memory) {
    return place<LoadTensor, void*>(tensors, memory);
}

}  // namespace mpitrain::checkpoint::bench
