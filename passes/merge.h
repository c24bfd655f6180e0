// Internal to `passes`: merging nodes that compute the same.
#pragma once

#include "ir/graph.h"

namespace refrain::passes::internal {

// Merges nodes of a region, and of those inside it, that are the same op on the same operands, if
// may_merge is true for them. Returns whether it changed anything; users' types are left to
// refine_types.
bool merge_equal_nodes(Region& region, bool (*may_merge)(const Node& node));

}  // namespace refrain::passes::internal
