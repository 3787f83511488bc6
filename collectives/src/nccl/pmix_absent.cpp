// meet_by_pmix() of builds without PMIx's header.
#include "nccl/pmix_meeting.hpp"

namespace mpitrain::collectives {

Result<std::unique_ptr<Meeting>> meet_by_pmix(Nanoseconds /*deadline*/) {
    return Error(ErrorCode::unsupported, "this mpitrain was built without PMIx")
        .mend("open NCCL over an MPI communicator");
}

}  // namespace mpitrain::collectives
