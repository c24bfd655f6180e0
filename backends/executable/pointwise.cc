#include "backends/executable/pointwise.h"

namespace refrain::executable {
namespace {

using highway::Instruction;
using highway::Operation;

std::optional<Operation> operation_of(const Node& node) {
  switch (node.op()) {
// clang-format off
#define X(op)  \
  case Op::op: \
    return Operation::op;
    X(neg) X(abs) X(sign) X(sqrt) X(exp) X(log) X(erf) X(floor) X(ceil) X(round) X(sin) X(cos)
    X(sigmoid) X(tanh) X(relu) X(leaky_relu) X(elu) X(selu) X(hard_sigmoid) X(softplus)
    X(softsign) X(thresholded_relu) X(add) X(sub) X(mul) X(div) X(max) X(min) X(pow) X(prelu)
#undef X
        // clang-format on
        case Op::gelu : return node.flag(AttributeName::approximate)
        ? Operation::gelu_tanh
        : Operation::gelu;
    default:
      return std::nullopt;
  }
}

std::optional<Operation> truth_operation_of(Op op) {
  switch (op) {
    case Op::equal:
      return Operation::equal;
    case Op::less:
      return Operation::less;
    case Op::less_equal:
      return Operation::less_equal;
    case Op::greater:
      return Operation::greater;
    case Op::greater_equal:
      return Operation::greater_equal;
    case Op::logical_not:
      return Operation::logical_not;
    case Op::logical_and:
      return Operation::mul;
    case Op::logical_or:
      return Operation::max;
    case Op::logical_xor:
      return Operation::not_equal;
    case Op::is_nan:
      return Operation::is_nan;
    case Op::where:
      return Operation::select;
    default:
      return std::nullopt;
  }
}

float real(const Node& node, AttributeName name) { return static_cast<float>(node.real(name)); }

// Extent of the operand's axis that meets axis i of the result; 1 where it has none.
int64_t extent_at(std::span<const int64_t> operand, std::span<const int64_t> result, size_t i) {
  const size_t from_end = result.size() - i;
  return from_end <= operand.size() ? operand[operand.size() - from_end] : 1;
}

}  // namespace

std::optional<Instruction> instruction_of(const Node& node) {
  if (node.result_count() != 1 || node.result()->type().element != ElementType::f32) return {};
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (!node.operand(i) || node.operand(i)->type().element != ElementType::f32) return {};
  }
  const std::optional<Operation> operation = operation_of(node);
  if (!operation) return {};
  Instruction instruction{*operation, 0, {0, 0, 0}, 0, 0};
  switch (*operation) {
    case Operation::leaky_relu:
    case Operation::elu:
    case Operation::thresholded_relu:
      instruction.alpha = real(node, AttributeName::alpha);
      break;
    case Operation::selu:
      instruction.alpha = real(node, AttributeName::alpha);
      instruction.beta = real(node, AttributeName::gamma);
      break;
    case Operation::hard_sigmoid:
      instruction.alpha = real(node, AttributeName::alpha);
      instruction.beta = real(node, AttributeName::beta);
      break;
    default:
      break;
  }
  return instruction;
}

std::optional<Instruction> instruction_of_truths(const Node& node) {
  if (const auto instruction = instruction_of(node)) return instruction;
  if (node.result_count() != 1) return {};
  const auto known = [](const Value* value) {
    return value && (value->type().element == ElementType::f32 ||
                     value->type().element == ElementType::boolean);
  };
  for (size_t i = 0; i < node.operand_count(); ++i) {
    if (!known(node.operand(i))) return {};
  }
  const std::optional<Operation> operation = truth_operation_of(node.op());
  if (!operation || !known(node.result())) return {};
  return Instruction{*operation, 0, {0, 0, 0}, 0, 0};
}

std::optional<float> single_element(const Tensor* tensor) {
  if (!tensor || tensor->type() != ElementType::f32 || tensor->size() != 1) return {};
  return tensor->data<float>()[0];
}

uint64_t splits_of(std::span<const int64_t> operand, std::span<const int64_t> result) {
  const size_t rank = result.size();
  // moves[i]: whether the operand has the result's extent at axis i; extents of 1 are neutral.
  const auto moves = [&](size_t i) { return extent_at(operand, result, i) == result[i]; };
  uint64_t splits = 0;
  for (size_t k = 0; k <= rank; ++k) {
    const auto uniform = [&](size_t begin, size_t end) {
      bool all = true, none = true;
      for (size_t i = begin; i < end; ++i) {
        if (result[i] == 1) continue;
        (moves(i) ? none : all) = false;
      }
      return all || none;
    };
    if (uniform(0, k) && uniform(k, rank)) splits |= uint64_t{1} << k;
  }
  return splits;
}

OperandStrides strides_at(std::span<const int64_t> operand, std::span<const int64_t> result,
                          size_t k) {
  OperandStrides strides;
  int64_t columns = 1;
  for (size_t i = k; i < result.size(); ++i) {
    const int64_t extent = extent_at(operand, result, i);
    if (result[i] != 1 && extent == result[i]) strides.column = 1;
    columns *= extent;
  }
  for (size_t i = 0; i < k; ++i) {
    if (result[i] != 1 && extent_at(operand, result, i) == result[i]) strides.row = columns;
  }
  return strides;
}

}  // namespace refrain::executable
