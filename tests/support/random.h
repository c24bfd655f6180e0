// Reproducible random tensors.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "ir/tensor.h"

namespace refrain::testing {

// Source of test data; the same seed gives the same data on every machine.
class Random {
 public:
  explicit Random(uint64_t seed = 1) : engine_(seed) {}

  double uniform(double low, double high);     // in [low, high)
  int64_t integer(int64_t low, int64_t high);  // in [low, high]
  // Elements uniform in [low, high), converted to the type (booleans: fair coin).
  Tensor tensor(ElementType type, std::vector<int64_t> extents, double low = -1, double high = 1);

 private:
  std::mt19937_64 engine_;
};

}  // namespace refrain::testing
