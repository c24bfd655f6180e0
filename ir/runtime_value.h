// Values at run time.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "ir/tensor.h"

namespace refrain {

using Sequence = std::vector<TensorPtr>;

// What a Value holds while a graph runs: a tensor, a sequence of tensors, or nothing (an empty
// optional). Copies share the tensors, which nobody changes any more.
struct RuntimeValue {
  TensorPtr tensor;
  std::shared_ptr<const Sequence> sequence;

  RuntimeValue() = default;
  RuntimeValue(TensorPtr t) : tensor(std::move(t)) {}                                     // NOLINT
  RuntimeValue(Tensor t) : tensor(std::make_shared<const Tensor>(std::move(t))) {}        // NOLINT
  RuntimeValue(Sequence s) : sequence(std::make_shared<const Sequence>(std::move(s))) {}  // NOLINT

  bool empty() const { return !tensor && !sequence; }
};

}  // namespace refrain
