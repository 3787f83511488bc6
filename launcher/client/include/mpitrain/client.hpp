#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

// What a training program may tell mpitrain and ask of it. Every call works, as a no-op, in a
// program that was started without mpitrain. Calls may come from any thread, one at a time a
// process. Nothing here needs MPI.
namespace mpitrain::client {

struct Metric {
    std::string_view name;  // at most 31 bytes are kept
    double value = 0;
};

// Says that `step` of `total` (0 = unknown) is done. Never blocks: a store into shared memory,
// about 100 ns. At most 8 metrics are kept; "loss" is shown in the progress line.
void progress(std::uint64_t step, std::uint64_t total, std::span<const Metric> metrics = {});

// Whether training must end before doing `step`. Gives the same answer on every rank for the same
// step, so all ranks leave the loop together: each must call it with the same, growing steps. About
// 20 ns; while a stop is being agreed, up to some milliseconds (bounded by 10 s, after which the
// answer is no).
bool should_stop(std::uint64_t step);

// How long until this program will be killed, once should_stop has said yes: what a last checkpoint
// may take. nullopt: no stop, or no deadline is known. Never negative. Ranks may differ by
// milliseconds.
std::optional<std::chrono::nanoseconds> stop_time_left();

// Brackets the time a program spends in saving, for the ledger. Optional.
void checkpoint_started();

// Says that a checkpoint of `step` is durable. Call on one rank or on all, after the commit. Ends
// checkpoint_started().
void checkpoint_committed(std::uint64_t step);

// Says that a checkpoint of `step` could not be saved, so that the launcher tells of it too, in the
// account and as an event. At most 255 bytes of the reason are kept. Ends checkpoint_started().
void checkpoint_failed(std::uint64_t step, std::string_view reason);

// The commit to resume from (MPITRAIN_RESUME), or nullopt for a fresh start.
std::optional<std::string> resume_path();

// Where checkpoints belong (MPITRAIN_CHECKPOINT_DIR), or nullopt.
std::optional<std::string> checkpoint_directory();

}  // namespace mpitrain::client
