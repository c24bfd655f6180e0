// Arrays of double for naive, index-by-index expectations in tests.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/tensor.h"

namespace refrain::testing {

using Index = std::vector<int64_t>;

// A dense row-major array. Every element type but the 64-bit integers fits exactly.
struct Array {
  std::vector<int64_t> extents;
  std::vector<double> values;

  explicit Array(std::vector<int64_t> e, double value = 0)
      : extents(std::move(e)), values(static_cast<size_t>(element_count(extents)), value) {}
  explicit Array(const Tensor& tensor)
      : extents(tensor.extents()), values(tensor.view().as_doubles()) {}

  double& operator()(const Index& index) { return values[offset(index)]; }
  double operator()(const Index& index) const { return values[offset(index)]; }

  size_t offset(const Index& index) const {
    size_t result = 0;
    for (size_t i = 0; i < extents.size(); ++i) {
      if (index.at(i) < 0 || index[i] >= extents[i]) throw Error("test index out of range");
      result = result * static_cast<size_t>(extents[i]) + static_cast<size_t>(index[i]);
    }
    return result;
  }

  Tensor tensor(ElementType type) const {
    Tensor result(type, extents);
    visit(type, [&]<typename T>(std::type_identity<T>) {
      for (size_t i = 0; i < values.size(); ++i) {
        if constexpr (std::is_arithmetic_v<T>) {
          result.data<T>()[i] = static_cast<T>(values[i]);
        } else {
          result.data<T>()[i] = T(static_cast<float>(values[i]));
        }
      }
    });
    return result;
  }
};

// Calls f(index) for every index in row-major order.
template <typename F>
void for_each_index(const std::vector<int64_t>& extents, F&& f) {
  const int64_t count = element_count(extents);
  for (int64_t i = 0; i < count; ++i) {
    Index index(extents.size());
    int64_t rest = i;
    for (size_t axis = extents.size(); axis-- > 0;) {
      index[axis] = rest % extents[axis];
      rest /= extents[axis];
    }
    f(index);
  }
}

}  // namespace refrain::testing
