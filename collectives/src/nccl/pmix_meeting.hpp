#pragma once

#include <memory>

#include "meeting.hpp"

namespace mpitrain::collectives {

// Of the ranks of the job, by PMIx alone: each puts what it has to say under a key of its own, and
// asks for the others'. PMIx is opened at run time and stays initialised until the process ends,
// since ending it would break a later MPI_Init. `deadline` bounds exchange().
// Errors: unsupported (built without PMIx's header), unavailable (no library, or not started by an
// engine that speaks PMIx).
Result<std::unique_ptr<Meeting>> meet_by_pmix(Nanoseconds deadline);

}  // namespace mpitrain::collectives
