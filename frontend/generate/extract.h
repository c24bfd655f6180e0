// Internal to frontend/generate: parts of a region as graphs of their own.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/graph.h"

namespace refrain::generate {

// What values of one region are computed from: nodes, and the values at which the walk ended, which
// are the region's arguments and those of `ends`, in no order.
struct Sources {
  std::unordered_set<const Node*> nodes;
  std::unordered_set<const Value*> values;
};
Sources sources_of(const std::vector<const Value*>& values,
                   const std::unordered_set<const Value*>& ends = {});

// A graph that computes `outputs` (values of one region) from `inputs` (of the same region), which
// must be all that sources_of(outputs, inputs) has; values in `constants` become constants. Inputs
// are called i0, i1, ... and outputs o0, o1, ...
std::unique_ptr<Graph> extract(const std::vector<const Value*>& inputs,
                               const std::vector<const Value*>& outputs,
                               const std::unordered_map<const Value*, TensorPtr>& constants = {});

}  // namespace refrain::generate
