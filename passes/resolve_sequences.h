// Sequences that are known element by element.
#pragma once

#include "ir/graph.h"

namespace refrain::passes {

// Where all elements of a sequence are known (an unrolled Loop inserted them one by one), replaces
// what reads them: sequence_at by the element, sequence_length by a constant, concat_from_sequence
// by a concat. The ops that built the sequence stay for dce. Returns whether it changed anything.
bool resolve_sequences(Graph& graph);

}  // namespace refrain::passes
