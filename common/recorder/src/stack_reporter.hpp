#pragma once

#include "mpitrain/recorder/operation_page.hpp"

namespace mpitrain::recorder {

// Answers a signal of the agent with the stack of the thread that gets it, appended to the file
// "<control file>.stacks": functions of the program and its libraries, and, where CPython runs in
// this process, the Python frames of all its threads. Tells the agent on the page that it does.
// Does nothing where the program uses that signal itself. Call once.
void answer_with_stacks(OperationPage& page, const char* control_path);

}  // namespace mpitrain::recorder
