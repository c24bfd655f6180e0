// Ops on sequences and optional values, which are not kernels: they handle whole values.
#pragma once

#include <memory>
#include <span>

#include "ir/graph.h"
#include "ir/runtime_value.h"

namespace refrain::reference {

bool is_sequence_op(Op op);

// Runs an op of which is_sequence_op holds; all have one result. Operands are consumed; a sequence
// that nobody else holds is changed in place. Throws Error for positions out of range and for
// tensors that don't fit together.
RuntimeValue run_sequence_op(const Node& node, std::span<RuntimeValue> operands,
                             const std::shared_ptr<MemoryBudget>& budget);

}  // namespace refrain::reference
