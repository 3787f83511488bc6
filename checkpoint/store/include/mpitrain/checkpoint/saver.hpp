#pragma once

#include <cstddef>
#include <memory>
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
    Contribution contribution;
    std::vector<const std::byte*> tensors;  // in the contribution's order
    std::vector<const std::byte*> blobs;
    Attributes attributes;  // rank 0's are kept
};

struct Committed {
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
    // Durable on return. After an error nothing is visible that was not before.
    virtual Result<Committed> save(const SaveInput& input) = 0;
    // Gives the directory's lease back, on rank 0.
    virtual Result<void> release() = 0;
};

std::unique_ptr<Saver> make_saver(Surroundings surroundings, StoreOptions options);

}  // namespace mpitrain::checkpoint
