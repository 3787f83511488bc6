#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/attribute.hpp"
#include "mpitrain/checkpoint/device_memory.hpp"
#include "mpitrain/checkpoint/peers.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"
#include "mpitrain/checkpoint/tensor.hpp"

// What a training program links to make its state survive: every rank describes the part of each
// tensor it holds, save() makes one durable commit of all of them, and load() gives them back, on
// the same or on another number of ranks. A commit is whole or invisible, whatever dies when.
//
//   auto peers = mpi_peers(MPI_COMM_WORLD);                           // or single_peer()
//   auto checkpoints = Checkpointer::open({.directory = dir}, **peers);
//   std::vector<LoadTensor> into = {load_into("w", {rows, cols}, w.data())};
//   auto restored = (*checkpoints)->load_latest(into);               // *restored empty: fresh
//   start … std::vector<SaveTensor> from = {save_from("w", {rows, cols}, w.data())}; auto commit =
//   (*checkpoints)->save(step, from, {.attributes = {{"loss", loss}}});
namespace mpitrain::checkpoint {

// A tensor to save. `data` holds the elements of spec.block (the whole tensor when that is empty)
// in row-major order and must stay unchanged until the save returns. A block that several ranks
// name alike is taken as replicated: it is written once, its parts spread over those ranks.
struct SaveTensor {
    TensorSpec spec;
    const void* data = nullptr;
    bool on_device = false;  // in the memory of Options::device
};

// Where to put a tensor, or a block of it: any block, whatever the blocks it was saved in.
struct LoadTensor {
    TensorSpec spec;
    void* data = nullptr;
    bool on_device = false;  // in the memory of Options::device
};

// Opaque bytes, such as a random generator's state or a position in the data.
struct Blob {
    enum class Scope : std::uint8_t {
        every_rank,  // each rank keeps its own
        global,      // rank 0's is kept; the other ranks may leave it out
    };
    std::string name{};
    std::vector<std::byte> bytes{};
    Scope scope = Scope::every_rank;
};

struct SaveExtras {
    Attributes attributes{};
    std::vector<Blob> blobs{};
    // How long until this program must have ended, where a stop has been asked for: a save that is
    // known to take longer fails at once, and the commit before stays. Of save() alone.
    std::optional<std::chrono::milliseconds> time_left{};
};

// A commit that is visible and durable.
struct Commit {
    std::uint64_t step = 0;
    std::string path;                   // DIR/step-<n>
    std::uint64_t size_bytes = 0;       // of all files
    std::vector<std::string> warnings;  // on rank 0: an old commit that could not be removed
};

// A blob of a commit, and the rank of the saving world that kept it; nullopt for a global one.
struct RestoredBlob {
    std::string name;
    std::optional<int> rank;
    std::vector<std::byte> bytes;
};

// What came back besides the tensors.
struct Restored {
    std::uint64_t step = 0;
    std::string path;
    int world_size = 0;  // the number of ranks that saved it
    Attributes attributes;
    std::vector<RestoredBlob> blobs;  // of every rank that saved; each rank gets all of them
    // What was wrong on the way: a newer commit that is damaged, a file that only other tools read.
    std::vector<std::string> warnings;

    // The bytes under `name`: the global blob, or the one that `rank` kept. Null if there is none.
    [[nodiscard]] const std::vector<std::byte>* blob(std::string_view name,
                                                     std::optional<int> rank = {}) const;
};

struct Options {
    std::string directory{};
    std::string model{};          // refused at load when both sides name one and they differ
    std::uint32_t keep_last = 3;  // older commits are removed after a new one; 0 keeps all
    // Commits that stay beyond that: those whose step is a multiple of keep_every, and one for each
    // keep_interval of time. 0: none.
    std::uint64_t keep_every = 0;
    std::chrono::seconds keep_interval{0};
    // How fast save_async writes at most, for each rank; 0: as fast as the disk.
    std::uint64_t async_bytes_per_second = 0;
    // How long one rank waits for the others in each phase of a save or load.
    std::chrono::milliseconds deadline = std::chrono::minutes(10);
    // Layout::single: all ranks write one file, checkpoint.h5, with the tensors as its datasets.
    Layout layout = Layout::per_rank;
    // Where tensors that are said to be on a device are; see cuda_memory.hpp. Must outlive the
    // checkpointer.
    DeviceMemory* device = nullptr;
    // checkpoint.h5, by which HDF5 tools see whole tensors; left out beyond 64 shards or 4096
    // blocks.
    bool hdf5_view = true;
    // A directory of each node, such as one in memory or on a disk of its own; empty: none. Then
    // save() and save_async() return when the nodes have made the commit durable, and poll() tells
    // when `directory` has it too: save_async() copies to the nodes before it returns.
    std::string local_directory{};
    // With that, a second copy of each rank's part on the next node.
    bool partner_copies = true;
};

// Saves and loads checkpoints in one directory. All calls but poll() are collective over the peers
// and want the same arguments on every rank but for blocks, data and blobs. Thread-compatible. The
// first save takes the directory's writer lease, which the destructor gives back.
//
// After a failed save the training may go on: nothing that was committed is lost, and the next save
// starts anew. All ranks get an error when one fails.
class Checkpointer {
  public:
    // `peers` must outlive the result. MPITRAIN_JOB_ID and MPITRAIN_ATTEMPT, where set, name the
    // writer: a later attempt of the same job takes the directory over from an earlier one. Errors:
    // invalid_argument, permission_denied, io; the directory is made if it is missing.
    static Result<std::unique_ptr<Checkpointer>> open(Options options, Peers& peers);

    virtual ~Checkpointer() = default;

    // Commits `tensors` as `step`. Durable when it returns. Errors: already_exists (this step is
    // there and good), invalid_argument (a tensor: name, block, overlap, hole), resource_exhausted
    // (disk full, quota), permission_denied (read-only, another writer holds the lease), cancelled
    // (a later attempt has taken over), deadline_exceeded (also: time_left is too short) and
    // unavailable (a rank is gone), io.
    virtual Result<Commit> save(std::uint64_t step,
                                std::span<const SaveTensor> tensors,
                                const SaveExtras& extras = {}) = 0;

    // Saves behind the training: returns when the state has been copied, so that it may change, and
    // writes it in a thread of low priority. The copy takes as much memory as this rank writes,
    // made on the first call and kept. The ranks wait for each other here, never for a disk; MPI is
    // used by the caller's thread alone. Returns false when the one before is still under way on
    // some rank, as with a disk that is stuck: this step is then skipped. Errors: those of the
    // ranks and the plan. What goes wrong later comes from poll(), as does the commit.
    virtual Result<bool> save_async(std::uint64_t step,
                                    std::span<const SaveTensor> tensors,
                                    const SaveExtras& extras = {}) = 0;

    // Call at every step, on every rank: the ranks agree on an asynchronous commit from here, each
    // without ever waiting. The outcome of each save_async that has ended, once: a commit, which is
    // durable, or an error, after which nothing is visible that was not before.
    virtual std::optional<Result<Commit>> poll() = 0;

    // Waits until no asynchronous save is under way, now without its limit of speed; save() and
    // load() do so by themselves. Its outcome stays for poll(). Errors: deadline_exceeded.
    virtual Result<void> wait(std::chrono::milliseconds deadline) = 0;

    // How long a save() of these tensors would take, with a margin, by the last one of the same
    // tensors; nullopt: not known. Not collective.
    [[nodiscard]] virtual std::optional<std::chrono::milliseconds> estimate(
        std::span<const SaveTensor> tensors, const SaveExtras& extras = {}) const = 0;

    // Loads from the newest commit that is whole. nullopt: the directory holds no commit. A damaged
    // one is skipped and reported; when all are, that is data_loss, never a fresh start. Buffers
    // are unspecified on error. Errors: not_found (a tensor), invalid_argument (another dtype,
    // shape or model), unsupported (a newer format), data_loss, io.
    virtual Result<std::optional<Restored>> load_latest(std::span<const LoadTensor> tensors) = 0;

    // Loads from the commit at `path`, a directory step-<n>. Errors: as above, not_found (path).
    virtual Result<Restored> load(const std::string& path, std::span<const LoadTensor> tensors) = 0;
};

// The dtype of a C++ element type. 16-bit and 8-bit floats have none: set TensorSpec::dtype.
template <typename T>
constexpr DType dtype_of();

// A whole tensor, the same on every rank that names it.
template <typename T>
SaveTensor save_from(std::string name, std::vector<std::uint64_t> shape, const T* data) {
    return {TensorSpec{std::move(name), dtype_of<T>(), std::move(shape), Block{}}, data, false};
}
template <typename T>
LoadTensor load_into(std::string name, std::vector<std::uint64_t> shape, T* data) {
    return {TensorSpec{std::move(name), dtype_of<T>(), std::move(shape), Block{}}, data, false};
}

// This rank's block of a sharded tensor.
template <typename T>
SaveTensor save_from(std::string name,
                     std::vector<std::uint64_t> shape,
                     Block block,
                     const T* data) {
    return {TensorSpec{std::move(name), dtype_of<T>(), std::move(shape), std::move(block)},
            data,
            false};
}
template <typename T>
LoadTensor load_into(std::string name, std::vector<std::uint64_t> shape, Block block, T* data) {
    return {TensorSpec{std::move(name), dtype_of<T>(), std::move(shape), std::move(block)},
            data,
            false};
}

template <>
constexpr DType dtype_of<double>() {
    return DType::float64;
}
template <>
constexpr DType dtype_of<float>() {
    return DType::float32;
}
template <>
constexpr DType dtype_of<std::int64_t>() {
    return DType::int64;
}
template <>
constexpr DType dtype_of<std::int32_t>() {
    return DType::int32;
}
template <>
constexpr DType dtype_of<std::int16_t>() {
    return DType::int16;
}
template <>
constexpr DType dtype_of<std::int8_t>() {
    return DType::int8;
}
template <>
constexpr DType dtype_of<std::uint64_t>() {
    return DType::uint64;
}
template <>
constexpr DType dtype_of<std::uint32_t>() {
    return DType::uint32;
}
template <>
constexpr DType dtype_of<std::uint16_t>() {
    return DType::uint16;
}
template <>
constexpr DType dtype_of<std::uint8_t>() {
    return DType::uint8;
}
template <>
constexpr DType dtype_of<bool>() {
    return DType::boolean;
}

}  // namespace mpitrain::checkpoint
