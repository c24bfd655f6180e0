// Internal to `passes`: scans, loops and branches with fewer slots, and without their regions.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"

namespace refrain::passes::internal {

// Which slots of a control node to keep, by position: arguments of its regions (a loop's iteration
// is one, and stays in any case) and results of the node. States are kept or dropped whole: their
// argument and their result agree.
struct KeptSlots {
  std::vector<bool> arguments, results;
};

// Makes the control node anew without the other slots and erases the old one. Arguments and results
// that go must have no uses that stay. Nodes of the body are moved, not copied. Returns the new
// node.
Node* keep_slots(Node* node, const KeptSlots& kept);

// Moves a region's nodes, but for its yield, before `position` in another region, with `arguments`
// in the place of its arguments. Returns what the region yields. The region is left without nodes.
std::vector<Value*> move_nodes(Region& source, std::span<Value* const> arguments, Region& target,
                               Node* position);

// Puts the region that a constant condition takes in the place of the branch. Returns the node to
// go on with, which may be the first one that was moved here; null if the condition is not
// constant.
Node* take_branch(Node* node);

// Index of the operand that a region's argument stands for (for a state: its initial value).
size_t operand_of_argument(const Node& node, size_t argument);

}  // namespace refrain::passes::internal
