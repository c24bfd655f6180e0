// Graphs of dynamic shape at one shape.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ir/graph.h"

namespace refrain::passes {

// Gives symbols of dimensions their extents everywhere: in types and in `dims`, and in the types
// that follow from those. Symbols that the graph doesn't have are ignored. Returns whether it
// changed anything. Throws Error if an extent is negative or makes the graph contradict itself; the
// graph is then of no use any more.
bool specialize(Graph& graph, const std::map<std::string, int64_t>& extents);

// Gives symbols another name, or one that others have too, everywhere. The graph must not
// contradict itself then, as where both are extents of one axis.
void rename_symbols(Graph& graph, const std::map<std::string, Dim>& symbols);

}  // namespace refrain::passes
