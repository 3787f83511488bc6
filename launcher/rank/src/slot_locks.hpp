#pragma once

#include <vector>

#include "mpitrain/base/result.hpp"
#include "mpitrain/wire/message.hpp"
#include "posix.hpp"

namespace mpitrain::rank {

// Takes the locks of a rank's slots in the machine-wide registry (supervise/slot_registry.hpp says
// what they mean), waiting for those that an earlier attempt is just letting go of. Held as long as
// the descriptors are open. Errors: resource_exhausted naming the lock, within 1.5 s; those of
// open(2).
Result<std::vector<UniqueFd>> take_slot_locks(const std::vector<wire::SlotLock>& locks);

}  // namespace mpitrain::rank
