// Graphs that can't be prepared as a whole because the end of a loop, a number of steps, an extent
// or a branch depends on data.
//
// Such a graph is cut at the first node that is in the way: what does not depend on it is prepared
// and runs first; what does depend on it is a graph of its own, prepared once the extents that it
// has left are known, or the numbers that it waits for (and perhaps cut again). The body of a loop
// whose states keep their shapes is prepared too and runs once an iteration; what it stacks grows
// as it goes. Anything else runs on the reference backend.
#pragma once

#include <memory>
#include <string>

#include "frontend/driver/program.h"

namespace refrain {

// `graph` has inputs of constant shapes. Null, and then `why` says why, if cutting it gains
// nothing. Throws Error as PreparedGraph does.
std::unique_ptr<Program> make_staged(const Graph& graph, const ExecutableOptions& options,
                                     std::string& why);

}  // namespace refrain
