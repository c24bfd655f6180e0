// Reductions along axes that need not be the last, as steps of an executable.
#pragma once

#include <memory>
#include <span>

#include "backends/executable/step_kernel.h"
#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain::highway {

// A kernel for a node whose operands and result have constant shapes, or null if it is none of
// these, of f32: sum, mean, maximum or minimum over neighbouring axes, softmax and its logarithm,
// index of the largest or smallest element. `constants` holds for each operand its tensor if it is
// a constant, else null.
std::unique_ptr<StepKernel> make_axis_kernel(const Node& node,
                                             std::span<const Tensor* const> constants);

}  // namespace refrain::highway
