// A Graphviz view of a graph.
#pragma once

#include <string>

#include "ir/graph.h"

namespace refrain {

// The graph in Graphviz' dot language: a box a node, a cluster a region, an edge a use, labelled
// with its type. Constants are small grey boxes that show their type and, if they have one element,
// its value.
std::string to_dot(const Graph& graph);

}  // namespace refrain
