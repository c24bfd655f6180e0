// Which dimensions are time.
#pragma once

#include <set>
#include <string>

#include "ir/graph.h"

namespace refrain::passes {

// The symbols of dimensions that scans run over.
std::set<std::string> scanned_symbols(const Graph& graph);

// The symbols that count steps: the extents that scans run over; if those are not known, and there
// are scans or loops, the inputs' symbols that no state has. An optimized graph tells most.
std::set<std::string> time_symbols(const Graph& graph);

}  // namespace refrain::passes
