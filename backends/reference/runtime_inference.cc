#include "backends/reference/runtime_inference.h"

#include <string>

#include "ir/error.h"

namespace refrain::reference {
namespace {

class ConcreteContext final : public InferenceContext {
 public:
  ConcreteContext(const Node& node, std::span<const Tensor* const> operands)
      : InferenceContext(node), operands_(operands) {
    types_.reserve(operands.size());
    for (const Tensor* tensor : operands) {
      types_.push_back(tensor
                           ? ValueType::tensor(tensor->type(), Shape::of_extents(tensor->extents()))
                           : ValueType());
    }
  }

  bool has_operand(size_t i) const override { return i < operands_.size() && operands_[i]; }
  const ValueType& operand(size_t i) const override { return types_[i]; }

  std::optional<TensorView> constant(size_t i) const override {
    if (!has_operand(i)) return std::nullopt;
    return operands_[i]->view();
  }

  std::optional<std::vector<Dim>> dims(size_t i) const override {
    if (!has_operand(i) || operands_[i]->rank() > 1 || !is_integer(operands_[i]->type())) {
      return std::nullopt;
    }
    std::vector<Dim> result;
    for (int64_t value : operands_[i]->view().as_ints()) {
      if (value < 0) return std::nullopt;
      result.emplace_back(value);
    }
    return result;
  }

 private:
  std::span<const Tensor* const> operands_;
  std::vector<ValueType> types_;
};

void require_single(const Tensor& tensor, const char* what) {
  if (tensor.size() == 1) return;
  throw Error(std::string(what) + " is not a single element", "1 element",
              to_string(ValueType::tensor(tensor.type(), Shape::of_extents(tensor.extents()))));
}

}  // namespace

std::vector<ValueType> infer_concrete(const Node& node, std::span<const Tensor* const> operands) {
  std::vector<ValueType> types = node.schema().infer(ConcreteContext(node, operands));
  if (types.size() != node.result_count()) {
    throw Error("wrong number of inferred types", std::to_string(node.result_count()),
                std::to_string(types.size()));
  }
  for (const ValueType& type : types) {
    if (!type.is_tensor() || !type.shape.is_static()) {
      throw Error("a result's type is not known at run time", "a tensor of constant extents",
                  to_string(type));
    }
    if (type.shape.rank() > static_cast<size_t>(kMaxRank)) {
      throw Error("rank too large", "at most " + std::to_string(kMaxRank), to_string(type));
    }
  }
  return types;
}

std::vector<Tensor> allocate_results(const Node& node, std::span<const Tensor* const> operands,
                                     const std::shared_ptr<MemoryBudget>& budget) {
  std::vector<Tensor> results;
  results.reserve(node.result_count());
  for (const ValueType& type : infer_concrete(node, operands)) {
    results.emplace_back(type.element, type.shape.extents(), budget);
  }
  return results;
}

int64_t single_integer(const Tensor& tensor, const char* what) {
  require_single(tensor, what);
  return tensor.type() == ElementType::i32 ? tensor.data<int32_t>()[0] : tensor.data<int64_t>()[0];
}

bool single_boolean(const Tensor& tensor, const char* what) {
  require_single(tensor, what);
  return tensor.data<bool>()[0];
}

}  // namespace refrain::reference
