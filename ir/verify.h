// Checks that a graph is well formed.
#pragma once

#include "ir/graph.h"

namespace refrain {

// Arity, number of results and regions, attributes known, typed and complete, by the op's schema.
// Throws Error without a place (callers add the node).
void verify_form(const Node& node);

// The whole graph: every node's form; every operand defined before its use in the same region;
// every region ends in one yield; nesting no deeper than kMaxRegionDepth; each result's type
// refines what the schema infers; input names unique and not empty; `dims` uses only symbols that
// an input's type binds. Throws Error that names node, op, expected and found. O(nodes).
void verify(const Graph& graph);

}  // namespace refrain
