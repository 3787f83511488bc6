/* The client's C interface compiles as C, links, and is a no-op in a program that mpitrain did not
 * start. */
#include <stdio.h>

#include "mpitrain/client.h"

int main(void) {
    const char* names[] = {"loss"};
    const double values[] = {1.5};
    mpitrain_progress(1, 2, names, values, 1);
    mpitrain_checkpoint_started();
    mpitrain_checkpoint_committed(1);
    if (mpitrain_should_stop(1) != 0 || mpitrain_resume_path()[0] != '\0' ||
        mpitrain_checkpoint_directory()[0] != '\0') {
        fputs("the client is no no-op here\n", stderr);
        return 1;
    }
    puts("a no-op, as promised");
    return 0;
}
