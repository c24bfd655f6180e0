// Internal to executables: element-wise nodes as instructions of pointwise programs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backends/highway/program.h"
#include "ir/graph.h"
#include "ir/tensor.h"

namespace refrain::executable {

// The instruction of an element-wise f32 node, registers not yet filled in; none if programs have
// no such operation or an operand or the result is not f32.
std::optional<highway::Instruction> instruction_of(const Node& node);

// The same for nodes that may read and make booleans, which are 1 and 0 in programs: comparisons of
// f32, logic and choices too. None for casts.
std::optional<highway::Instruction> instruction_of_truths(const Node& node);

// The element of an f32 tensor that has exactly one.
std::optional<float> single_element(const Tensor* tensor);

// How operands can be addressed in a space of `result` extents seen as [rows, columns], where the
// columns are the product of the extents from axis k on: bit k is set if the operand moves by whole
// rows or not at all over the axes before k, and by element or not at all over those from k on.
uint64_t splits_of(std::span<const int64_t> operand, std::span<const int64_t> result);

// Strides of such an operand, in elements, for a split that splits_of allows.
struct OperandStrides {
  int64_t row = 0, column = 0;
};
OperandStrides strides_at(std::span<const int64_t> operand, std::span<const int64_t> result,
                          size_t k);

}  // namespace refrain::executable
