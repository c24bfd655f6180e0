// Internal to `passes`: elements that were taken out of a tensor and put together again.
#pragma once

#include "ir/graph.h"

namespace refrain::passes::internal {

// In a region, without those inside it:
// - a concatenation of elements of one tensor, unsqueezed or cut with their axis, neighbours in
//   ascending or descending order, becomes that tensor or a slice of it, the axis moved to where
//   they were put;
// - what is turned over twice is not at all, and what a scan stacks for being turned over it stacks
//   the other way round;
// - what a scan stacks for being transposed to another axis it stacks along that axis;
// - the last element of what a scan stacks of a state is the state.
// Returns whether anything changed.
bool restack(Region& region);

}  // namespace refrain::passes::internal
