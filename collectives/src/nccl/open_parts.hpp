#pragma once

#include <memory>

#include "meeting.hpp"
#include "mpitrain/collectives/communicator.hpp"
#include "nccl/device.hpp"
#include "nccl/nccl_api.hpp"

namespace mpitrain::collectives {

// What one rank needs before NCCL's own, collective start.
struct NcclParts {
    std::shared_ptr<const NcclApi> api;
    std::unique_ptr<Device> device;
};

// open_nccl() of a rank that has its parts, or the error why not. All ranks get a communicator, or
// all an error, within the deadline, whichever of them are missing or cannot; it names those.
Result<Communicator> open_nccl_with(Meeting& ranks,
                                    Result<NcclParts> parts,
                                    const CommunicatorOptions& options);

}  // namespace mpitrain::collectives
