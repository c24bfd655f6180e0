// Graphs for timing: bound to one shape, and unrolled for the naive baseline.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "backends/reference/executor.h"
#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain {

// A copy of the graph with its symbols bound, cleaned up by the pipeline's passes.
std::unique_ptr<Graph> specialized(const Graph& graph,
                                   const std::map<std::string, int64_t>& extents,
                                   const reference::Limits& limits);

// Gives a graph's inputs the extents of these values, and its symbols theirs. Throws Error if they
// don't fit.
void bind_shapes(Graph& graph, std::span<const RuntimeValue> inputs);

// What "naive" means: the recurrence fully unrolled, one op at a time. `imported` is a graph as the
// importer made it, its shapes bound, which no pass that fuses or hoists has seen; it is not
// changed. Throws Error if a loop can't be unrolled or the graph is too large once it is.
std::unique_ptr<Graph> unrolled(const Graph& imported, const reference::Limits& limits);

}  // namespace refrain
