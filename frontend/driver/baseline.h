// Graphs for timing: bound to one shape, and unrolled for the naive baseline.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "backends/reference/executor.h"
#include "ir/graph.h"

namespace refrain {

// A copy of the graph with its symbols bound, cleaned up by the pipeline's passes.
std::unique_ptr<Graph> specialized(const Graph& graph,
                                   const std::map<std::string, int64_t>& extents,
                                   const reference::Limits& limits);

// What "naive" means: the recurrence fully unrolled, one op at a time. `graph` is specialized() and
// is not changed. Throws Error if a loop can't be unrolled or the graph is too large once it is.
std::unique_ptr<Graph> unrolled(const Graph& graph, const reference::Limits& limits);

}  // namespace refrain
