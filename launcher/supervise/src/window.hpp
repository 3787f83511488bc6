#pragma once

#include <sys/ioctl.h>
#include <unistd.h>

namespace mpitrain {

// The size of the terminal that people watch, or 80 by 24.
inline winsize window_size() {
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
        size.ws_col = 80;
        size.ws_row = 24;
    }
    return size;
}

}  // namespace mpitrain
