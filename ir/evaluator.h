// How passes compute constants without knowing a backend.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain {

// Evaluates one node on given operands. Implemented by a backend.
class Evaluator {
 public:
  virtual ~Evaluator() = default;
  // `operands` are as many as the node's; absent ones are null. The node must have tensor operands
  // and results only, and no regions. Returns one tensor a result. Throws Error where the operands
  // don't fit the op or the results would pass the evaluator's memory limit.
  virtual std::vector<TensorPtr> evaluate(const Node& node,
                                          std::span<const TensorPtr> operands) = 0;
};

}  // namespace refrain
