// Einstein summation equations.
#pragma once

#include <string>
#include <vector>

namespace refrain {

// An equation resolved for operands of known rank: each axis of each operand and of the result has
// a label; the same label means the same extent (or 1, for the labels of an ellipsis); labels that
// the result lacks are summed over. Semantics: ONNX Einsum, numpy.einsum.
struct EinsumPlan {
  std::vector<std::vector<int>> operands;  // label of each axis
  std::vector<int> result;
  int labels = 0;           // all labels are below this
  int broadcast_below = 0;  // labels below this come from the ellipsis and may broadcast
};

// Throws Error if the equation is malformed or does not fit the ranks.
EinsumPlan parse_einsum(const std::string& equation, const std::vector<size_t>& ranks);

}  // namespace refrain
