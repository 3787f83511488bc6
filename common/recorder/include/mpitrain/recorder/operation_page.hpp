#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

// The flight recorder's page (docs/formats/operation-page.md). It is the second page of a rank's
// control file. The rank's threads write it, its agent reads it; both only store and load atomics.
namespace mpitrain::recorder {

enum class OperationKind : std::uint32_t {
    none,
    barrier,
    broadcast,
    allreduce,
    reduce,
    reduce_scatter,
    allgather,
    gather,
    scatter,
    all_to_all,
    scan,
};
constexpr std::uint32_t operation_kinds = 11;

// One collective of one rank. A value.
struct Operation {
    std::uint64_t sequence = 0;  // of this rank, from 1
    std::uint64_t begun_ns = 0;  // CLOCK_MONOTONIC
    std::uint64_t ended_ns = 0;  // 0: it has not returned
    std::uint64_t group = 0;     // the same number on all ranks that take part; 0 = unknown
    std::uint64_t number = 0;    // of the group's collectives, as this rank counts, from 1
    std::uint64_t bytes = 0;     // of the data as the call counts it; 0 where ranks may differ
    OperationKind kind = OperationKind::none;
    std::uint32_t shape = 0;  // type and op, as numbers of the library that recorded
    std::int32_t root = -1;   // -1 = none
    std::uint32_t ranks = 0;  // in the group
};

struct OperationEntry {
    std::atomic<std::uint64_t> sequence;  // 0 while being written
    std::atomic<std::uint64_t> begun_ns;
    std::atomic<std::uint64_t> ended_ns;
    std::atomic<std::uint64_t> group;
    std::atomic<std::uint64_t> number;
    std::atomic<std::uint64_t> bytes;
    std::atomic<std::uint32_t> kind;
    std::atomic<std::uint32_t> shape;
    std::atomic<std::int32_t> root;
    std::atomic<std::uint32_t> ranks;
};
static_assert(sizeof(OperationEntry) == 64);

struct OperationPage {
    static constexpr std::uint64_t expected_magic = 0x31'72'65'70'6f'74'70'6d;  // "mptoper1"
    static constexpr std::size_t entries_kept = 63;

    std::uint64_t magic;                // written by the agent
    std::atomic<std::uint64_t> begun;   // operations ever; number i (from 1) is in i % entries_kept
    std::atomic<std::uint64_t> writer;  // the last process that opened it to write; 0 = none
    std::atomic<std::uint64_t> spent_ns;  // in operations that have ended, of all threads together
    std::atomic<std::uint64_t> stacks_signal;   // what the writer answers with stacks; 0 = nothing
    std::atomic<std::uint64_t> stacks_written;  // answers so far
    std::array<std::uint64_t, 2> reserved;
    std::array<OperationEntry, entries_kept> entries;
};
static_assert(sizeof(OperationPage) == 4096);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

constexpr std::size_t operation_page_offset = 4096;  // in the control file
constexpr std::size_t operation_page_bytes = sizeof(OperationPage);

// What the page holds now, oldest first: the last operations, less any that is just being written.
inline std::vector<Operation> read_operations(const OperationPage& page) {
    std::vector<Operation> all;
    const std::uint64_t begun = page.begun.load(std::memory_order_acquire);
    const std::uint64_t kept =
        begun < OperationPage::entries_kept ? begun : OperationPage::entries_kept;
    for (std::uint64_t sequence = begun - kept + 1; sequence <= begun; ++sequence) {
        const OperationEntry& entry = page.entries[sequence % OperationPage::entries_kept];
        if (entry.sequence.load(std::memory_order_acquire) != sequence) {
            continue;
        }
        const auto get = [](const auto& field) { return field.load(std::memory_order_relaxed); };
        const Operation operation{.sequence = sequence,
                                  .begun_ns = get(entry.begun_ns),
                                  .ended_ns = get(entry.ended_ns),
                                  .group = get(entry.group),
                                  .number = get(entry.number),
                                  .bytes = get(entry.bytes),
                                  .kind = static_cast<OperationKind>(get(entry.kind)),
                                  .shape = get(entry.shape),
                                  .root = get(entry.root),
                                  .ranks = get(entry.ranks)};
        std::atomic_thread_fence(std::memory_order_acquire);
        if (entry.sequence.load(std::memory_order_relaxed) == sequence) {
            all.push_back(operation);
        }
    }
    return all;
}

}  // namespace mpitrain::recorder
