#ifndef MPITRAIN_CLIENT_H
#define MPITRAIN_CLIENT_H

/* The C face of mpitrain/client.hpp, for C, Fortran, Python and anything else that can load
 * libmpitrain_client.so. Meaning, cost and threads as there. */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void mpitrain_progress(
    uint64_t step, uint64_t total, const char* const* names, const double* values, int count);
int mpitrain_should_stop(uint64_t step);  /* 1 or 0 */
int64_t mpitrain_stop_time_left_ms(void); /* -1: no stop, or no deadline */
void mpitrain_checkpoint_started(void);
void mpitrain_checkpoint_committed(uint64_t step);
void mpitrain_checkpoint_failed(uint64_t step, const char* reason);
const char* mpitrain_resume_path(void); /* never NULL; "" = fresh start; owned by the library */
const char* mpitrain_checkpoint_directory(void); /* never NULL; "" = none */

#ifdef __cplusplus
}
#endif

#endif
