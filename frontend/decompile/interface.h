// Internal to frontend/decompile: how the text's inputs and outputs lie in the model's.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "frontend/decompile/symbolic.h"

namespace refrain::decompile {

bool has_parts(const std::vector<Axis>& axes);

// 1: time before batch; 2: after it; 0 if it has not both.
int layout_of(const std::vector<Axis>& axes);

// The axes that the text has, as it orders them: time and batch, then features. `layout` 0 keeps
// the order of time and batch.
std::vector<size_t> text_order(const std::vector<Axis>& axes, int layout);

// Where a part lies in the whole: for each axis the place along it; -1 where the part has all.
std::vector<int64_t> place_of(const std::vector<Axis>& axes, size_t part);

// Names of axes of time and batch, as in `f32[T=9, B]`.
class AxisNames {
 public:
  explicit AxisNames(const Graph& graph) : graph_(graph) {}
  std::string of(const Dim& dim, Axis::Kind kind);

 private:
  const Graph& graph_;
  std::map<int64_t, std::string> frozen_;  // by the extent
};

}  // namespace refrain::decompile
