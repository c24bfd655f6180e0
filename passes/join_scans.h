// Two scans of which the second reads what the first one stacks, as one.
#pragma once

#include <cstddef>

#include "ir/graph.h"

namespace refrain::passes::internal {

// A scan of more states would be too much for who splits it.
constexpr size_t kMaxJoinedStates = 64;

struct JoinedScans {
  Node* scan = nullptr;     // null if there is nothing to join
  size_t first_states = 0;  // the states of the first scan, which come first
};

// Joins a scan with a later one in its region that reads step by step what the first multiplies, by
// weights, of its states and doesn't need itself: a product that may as well be the second's. They
// are joined only if the second depends on the first through such slices alone. Both scans are gone
// then, and what read the first comes behind the new one. Costs O(nodes of the bodies and nodes
// between the scans).
JoinedScans join_with_reader(Node& first);

}  // namespace refrain::passes::internal
