// Loop kernels against a float64 oracle that carries a bound of the f32 error beside each value.
//
// With u = 2^-24 and e(x) the bound of x, a sum of n terms s = sum a_k w_k in any order has
//   e(s) = sum e(a_k) |w_k| + (n + 1) u sum (|a_k| + e(a_k)) |w_k|,
// an addition e(a + b) = e(a) + e(b) + u |a + b|, a product |a| e(b) + |b| e(a) + e(a) e(b) + u
// |ab|, and a function with slope at most L and an error of n ulp L e(x) + 2 n u |f(x)|; what is
// rounded may lose the smallest positive number too. Nothing else is allowed to differ.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "backends/highway/program.h"
#include "support/targets.h"

namespace refrain::testing {

constexpr double kUnit = 0x1p-24;
constexpr double kTiny = 0x1p-149;

// A value, and how far an f32 evaluation may be off.
struct Bounded {
  double value = 0, error = 0;
};

inline Bounded sum_of(Bounded a, Bounded b) {
  const double sum = a.value + b.value;
  const double error = a.error + b.error;
  return {sum, error + kUnit * (std::abs(sum) + error)};
}

inline Bounded product_of(Bounded a, Bounded b) {
  const double product = a.value * b.value;
  const double error =
      std::abs(a.value) * b.error + std::abs(b.value) * a.error + a.error * b.error;
  return {product, error + kUnit * (std::abs(product) + error) + kTiny};
}

inline Bounded function(double value, double slope, double ulps, Bounded x) {
  const double error = slope * x.error;
  return {value, error + 2 * ulps * kUnit * (std::abs(value) + error) + kTiny};
}

inline Bounded evaluate(const highway::Instruction& code, const std::vector<Bounded>& registers) {
  const Bounded a = registers[code.operands[0]];
  const Bounded b = registers[code.operands[1]];
  const Bounded c = registers[code.operands[2]];
  switch (code.operation) {
    case highway::Operation::constant:
      return {code.alpha, 0};
    case highway::Operation::neg:
      return {-a.value, a.error};
    case highway::Operation::abs:
      return {std::abs(a.value), a.error};
    case highway::Operation::max:
      return {std::max(a.value, b.value), std::max(a.error, b.error)};
    case highway::Operation::exp: {
      const double value = std::exp(a.value);
      return function(value, value * std::exp(a.error), 4, a);
    }
    case highway::Operation::relu:
      return {std::max(a.value, 0.0), a.error};
    case highway::Operation::sigmoid:
      return function(1 / (1 + std::exp(-a.value)), 0.25, 4, a);
    case highway::Operation::tanh:
      return function(std::tanh(a.value), 1, 4, a);
    case highway::Operation::add:
      return sum_of(a, b);
    case highway::Operation::sub:
      return sum_of(a, {-b.value, b.error});
    case highway::Operation::mul:
      return product_of(a, b);
    case highway::Operation::multiply_add:
      return sum_of(product_of(a, b), c);
    default:
      ADD_FAILURE() << "an operation that the oracle lacks";
      return {};
  }
}

inline std::vector<std::vector<Bounded>> exact(const std::vector<std::vector<float>>& arrays) {
  std::vector<std::vector<Bounded>> result;
  for (const std::vector<float>& array : arrays) {
    result.emplace_back();
    for (const float x : array) result.back().push_back({x, 0});
  }
  return result;
}

inline void expect_within(const std::vector<std::vector<float>>& actual,
                          const std::vector<std::vector<Bounded>>& expected,
                          const std::string& what) {
  for (size_t i = 0; i < actual.size(); ++i) {
    for (size_t j = 0; j < actual[i].size(); ++j) {
      const Bounded& bound = expected[i][j];
      const double error = std::abs(actual[i][j] - bound.value);
      ASSERT_LE(error, bound.error * 1.01) << what << " " << i << " element " << j << ": expected "
                                           << bound.value << ", found " << actual[i][j];
    }
  }
}

}  // namespace refrain::testing
