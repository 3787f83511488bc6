#pragma once

#include "mpitrain/control_page.hpp"

namespace mpitrain::client::detail {

// The page shared with the rank's agent, or null: started without mpitrain, or a forked child of
// the program. Attached when the library is loaded. A plain load: costs nothing.
ControlPage* page();

// Maps the page at `path`; what loading the library does with MPITRAIN_CONTROL. Leaves all as it is
// when there is no valid page. For tests.
void attach(const char* path);

// From now on a SIGTERM from outside is a request to stop, written into the page, unless the
// program handles it itself. Acts once.
void catch_terminate();

}  // namespace mpitrain::client::detail
