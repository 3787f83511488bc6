#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/checkpoint/attribute.hpp"
#include "mpitrain/checkpoint/save_plan.hpp"
#include "mpitrain/checkpoint/surroundings.hpp"

namespace mpitrain::checkpoint {

// What one rank brings to one save. The buffers are read until save() returns.
struct SaveInput {
    std::uint64_t step = 0;
    // Never null. The same object as before, when nothing has changed, is known at once.
    std::shared_ptr<const Contribution> contribution;
    std::vector<const std::byte*> tensors;  // in the contribution's order
    std::vector<const std::byte*> blobs;
    Attributes attributes;  // rank 0's are kept
    // Until what is going on must have ended: a save that is known to take longer is not begun.
    std::optional<std::chrono::milliseconds> time_left{};
    // Beside the tensors: 1 where one is in StoreOptions::device's memory. Empty: none is.
    std::vector<std::uint8_t> on_device{};
};

struct Committed {
    std::uint64_t step = 0;
    std::string path;
    std::uint64_t size_bytes = 0;
    std::vector<std::string> warnings;  // on rank 0
};

// Makes commits. The protocol is in docs/formats/checkpoint.md; its points of no return are marked
// in the source. Plan and file layout are kept from one save to the next while no rank's
// contribution changes. Thread-compatible; save() is collective.
class Saver {
  public:
    virtual ~Saver() = default;
    // Durable on return. After an error nothing is visible that was not before. Waits for a save
    // that start() began. Errors: deadline_exceeded also when the estimate exceeds time_left.
    virtual Result<Committed> save(const SaveInput& input) = 0;
    // Copies the state and saves it behind the training: the buffers are free on return. False: one
    // is under way on some rank, and this one was not begun. Collective, but waits for no disk.
    virtual Result<bool> start(const SaveInput& input) = 0;
    // Never waits; each rank calls it now and then. The outcome of a save that start() began and
    // that has ended, once.
    virtual std::optional<Result<Committed>> poll() = 0;
    // Waits until no save is under way. Errors: deadline_exceeded.
    virtual Result<void> settle(std::chrono::milliseconds deadline) = 0;
    // How long save() of this would take, by the last of its kind; nullopt: not known.
    [[nodiscard]] virtual std::optional<std::chrono::milliseconds> estimate(
        const Contribution& mine) const = 0;
    // Gives the directory's lease back, on rank 0.
    virtual Result<void> release() = 0;
};

std::unique_ptr<Saver> make_saver(Surroundings surroundings, StoreOptions options);

}  // namespace mpitrain::checkpoint
