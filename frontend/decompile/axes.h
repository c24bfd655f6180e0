// Internal to frontend/decompile: what the axes of a model's inputs are.
#pragma once

#include <unordered_map>
#include <vector>

#include "frontend/decompile/symbolic.h"
#include "ir/graph.h"

namespace refrain::decompile {

// Time is what scans run over; the batch is what their states have in front of their features; the
// rest is as default_axes has it.
std::unordered_map<const Value*, std::vector<Axis>> input_axes(const Graph& graph);

}  // namespace refrain::decompile
