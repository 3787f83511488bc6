/* Checkpoints for programs that are not C++: the functions of checkpointer.hpp over JSON and plain
 * pointers. Built into libmpitrain_checkpoint.so; python/mpitrain/checkpoint.py is its first user.
 *
 * Every function gives 0 for success, and in *answer a JSON text that the caller hands to
 * mpitrain_checkpoint_free; on failure another number (that of ErrorCode) and {"error": text,
 * "code": name}. Calls of one checkpointer come from one thread at a time, and are collective where
 * they are in C++.
 *
 * A tensor is {"name", "dtype", "shape"} and, where a rank holds but a part, {"offset", "extent"};
 * its bytes, row-major and without gaps, are at the pointer of the same place in the list; with
 * "device" true in the memory of the GPU that the option "cuda_device" numbers. Names
 * and dtypes are those of docs/formats/checkpoint.md. */
#ifndef MPITRAIN_CHECKPOINT_H
#define MPITRAIN_CHECKPOINT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpitrain_checkpointer mpitrain_checkpointer;

/* options: {"directory", "model", "keep_last", "keep_every", "keep_interval_s", "deadline_ms",
 * "hdf5_view", "layout" ("per_rank" or "single"), "async_bytes_per_second", "mpi"}, all but the
 * first optional. With "mpi" true the ranks are those of MPI_COMM_WORLD, and MPI is initialised if
 * it is not; the program, or the end of the process, finalises it. The answer is {}. */
int mpitrain_checkpointer_open(const char* options, mpitrain_checkpointer** out, char** answer);
/* Waits for a save behind the training, and gives the directory back. */
void mpitrain_checkpointer_close(mpitrain_checkpointer* self);

/* {"rank", "size"}. */
int mpitrain_checkpointer_world(mpitrain_checkpointer* self, char** answer);

/* what: {"tensors": [...], "blobs": [{"name", "bytes", "global"}], "attributes": {...},
 * "time_left_ms"}. The answer is a commit,
 * {"step", "path", "bytes", "warnings"}, or with `behind` {"started": bool}. */
int mpitrain_checkpointer_save(mpitrain_checkpointer* self,
                               uint64_t step,
                               const char* what,
                               const void* const* tensors,
                               const void* const* blobs,
                               int behind,
                               char** answer);
/* The outcome of a save behind the training: a commit, an error, or null while there is none to
 * tell. */
int mpitrain_checkpointer_poll(mpitrain_checkpointer* self, char** answer);
int mpitrain_checkpointer_wait(mpitrain_checkpointer* self, uint64_t deadline_ms, char** answer);

/* Loads `tensors` (a JSON list) from the commit at `path`, or from the newest one where that is
 * null. The answer: {"step", "path", "world_size", "attributes", "blobs": [{"name", "rank",
 * "hex"}], "warnings"}, or null where there is no commit. */
int mpitrain_checkpointer_load(mpitrain_checkpointer* self,
                               const char* path,
                               const char* tensors,
                               void* const* targets,
                               char** answer);

/* Ends MPI, if it was this library that began it: the last call of a program that ends well, after
 * all checkpointers are closed. Collective. Without it mpirun takes the program's end for a
 * failure.
 */
void mpitrain_checkpoint_end(void);

void mpitrain_checkpoint_free(char* answer);

#ifdef __cplusplus
}
#endif

#endif
