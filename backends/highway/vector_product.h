// Products of matrices with vectors that are both computed, as attention has them.
#pragma once

#include <memory>

#include "backends/executable/step_kernel.h"
#include "ir/graph.h"

namespace refrain::highway {

// A kernel for a matmul of f32 whose operands and result have constant shapes and equal batches,
// if one row meets each matrix, or each matrix one column; or if all matrices meet the same column.
// Otherwise null.
std::unique_ptr<StepKernel> make_vector_product(const Node& node);

}  // namespace refrain::highway
