// Values in float64, for graphs that are too: evaluated so, they say what f32 should come to.
#pragma once

#include <memory>

#include "ir/runtime_value.h"

namespace refrain::testing {

inline Tensor widened(const Tensor& tensor) {
  return Tensor::of<double>(tensor.extents(), tensor.view().as_doubles());
}

inline TensorPtr widened(const TensorPtr& tensor) {
  if (!tensor || !is_float(tensor->type())) return tensor;
  return std::make_shared<const Tensor>(widened(*tensor));
}

inline RuntimeValue widened(const RuntimeValue& value) {
  if (!value.sequence) return widened(value.tensor);
  Sequence sequence;
  for (const TensorPtr& tensor : *value.sequence) sequence.push_back(widened(tensor));
  return sequence;
}

}  // namespace refrain::testing
