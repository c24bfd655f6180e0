// Copies of nodes, regions and graphs. Constants' tensors are shared, not copied.
#pragma once

#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"

namespace refrain {

// From values of the source to values of the copy.
using ValueMap = std::unordered_map<const Value*, Value*>;

// Copies a node, nested regions included, into `target` before `position` (null: at the end).
// Operands are looked up in `map`, which must have them; results are added to it.
Node* clone_node(const Node& node, Region& target, Node* position, ValueMap& map);

// Copies the nodes of `source`, but for its yield, into `target` with `arguments` in the place of
// the source's arguments. Returns what the source yields.
std::vector<Value*> inline_region(const Region& source, std::span<Value* const> arguments,
                                  Region& target, Node* position);

std::unique_ptr<Region> clone_region(const Region& region);
std::unique_ptr<Graph> clone_graph(const Graph& graph);

}  // namespace refrain
