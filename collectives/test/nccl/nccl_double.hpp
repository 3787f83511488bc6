#pragma once

#include <nccl.h>

// A library in NCCL's place, for tests without a GPU: the same functions on host memory and
// FakeStreams, with threads of one process as ranks. As with NCCL, a non-blocking start and every
// collective end only when all ranks have come, errors may come late, and an aborted communicator
// never completes. Only what the tests use: u8 max, f32 sum and avg.
extern "C" {
// All communicators report this asynchronous error from now on; ncclSuccess: none.
void nccl_double_inject(ncclResult_t error);
int nccl_double_aborts(void);    // calls of ncclCommAbort so far
int nccl_double_destroys(void);  // calls of ncclCommDestroy so far
int nccl_double_ids_of_last_start(void);
}
