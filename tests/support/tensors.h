// Short ways to write tensors in tests.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <vector>

#include "ir/tensor.h"
#include "support/array.h"

namespace refrain::testing {

// A tensor of any type; the values are converted to it.
inline Tensor tensor_of(ElementType type, std::vector<int64_t> extents,
                        std::vector<double> values) {
  Array array(std::move(extents));
  if (array.values.size() != values.size()) throw Error("wrong number of values for a test tensor");
  array.values = std::move(values);
  return array.tensor(type);
}

// ... of rank 1.
inline Tensor vector_of(ElementType type, const std::vector<double>& values) {
  return tensor_of(type, {static_cast<int64_t>(values.size())}, values);
}

// A tensor of rank 1 of exactly these elements.
template <typename T>
Tensor exactly(std::initializer_list<T> values) {
  return Tensor::of<T>({static_cast<int64_t>(values.size())},
                       std::span<const T>(values.begin(), values.size()));
}

}  // namespace refrain::testing
