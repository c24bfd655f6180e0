// Internal to `passes`: sequences that loops build.
#pragma once

#include "ir/graph.h"

namespace refrain::passes::internal {

// States of a loop that start as a sequence of known elements, or of none, get one more element at
// the end in each iteration and are only read after the loop (element by element, for their length,
// or put together; also inside other loops and branches) become stacked results. (A concatenation
// of no elements, which is an error, becomes an empty tensor.) Users' types are left to
// refine_types. Returns the loop, which is made anew, or null if there is no such state.
Node* stack_sequences(Node* loop);

// What is read of the slices of a tensor, a split_to_sequence, is read of the tensor itself, if all
// is read as above. Returns whether it is; the split has no users then.
bool stack_split(Node* split);

}  // namespace refrain::passes::internal
