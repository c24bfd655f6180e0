// Regions drawn as inline SVG.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "ir/graph.h"

namespace refrain::cli {

// Number of each value in order of definition: a region's arguments, then node by node its results
// and what its regions define. The text form defines values in the same order.
using ValueNumbers = std::unordered_map<const Value*, size_t>;
ValueNumbers number_values(const Graph& graph);

// Regions of more nodes are not drawn: nobody could read them.
inline constexpr size_t kMostDrawnNodes = 400;

// The region from arguments (top) to what it yields (bottom), layer by layer: a node stands below
// all that it reads. Constants are left out. Each node links to `#`, `anchor` and the number of its
// first result.
std::string draw(const Region& region, const ValueNumbers& numbers, std::string_view anchor);

// With &, <, >, quotes as entities.
std::string escape_html(std::string_view text);

}  // namespace refrain::cli
