// Result types of nodes at run time: the schemas' own rules, answered from the tensors at hand.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain::reference {

// Types of the node's results on these operands, one pointer an operand of the node, null where it
// is absent; every shape is static and of rank kMaxRank at most. This is also the check that the
// operands fit the op: throws Error, without a place, where they don't. The node must have tensor
// operands and results only and no regions, and must not be `dims` with symbols.
std::vector<ValueType> infer_concrete(const Node& node, std::span<const Tensor* const> operands);

// infer_concrete, and zeroed tensors of those types.
std::vector<Tensor> allocate_results(const Node& node, std::span<const Tensor* const> operands,
                                     const std::shared_ptr<MemoryBudget>& budget);

// The element of an integer tensor (i32 or i64) that has exactly one; `what` names it in the Error
// thrown otherwise.
int64_t single_integer(const Tensor& tensor, const char* what);
// Likewise of a boolean tensor.
bool single_boolean(const Tensor& tensor, const char* what);

}  // namespace refrain::reference
