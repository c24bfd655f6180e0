// Internal to frontend/decompile: what the axes of a model's inputs are.
#pragma once

#include <unordered_map>
#include <vector>

#include "frontend/decompile/symbolic.h"
#include "ir/graph.h"

namespace refrain::decompile {

// Time is what scans run over, and what convolutions and pooling in one dimension slide along; the
// batch is what states of scans have in front of their features, and if that is of a fixed extent,
// axes of the same extent in front of other inputs; an axis of a fixed extent that
// softmax or a reduction goes over is the time of a sequence of its own; the rest is as
// default_axes has it.
std::unordered_map<const Value*, std::vector<Axis>> input_axes(const Graph& graph);

}  // namespace refrain::decompile
