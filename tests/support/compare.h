// Comparing tensors in tests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "ir/tensor.h"

namespace refrain::testing {

// Success if types and extents agree and every element is within atol + rtol * |expected| (exactly
// equal for integers and booleans; NaN matches NaN, an infinity itself). A failure names the worst
// element.
::testing::AssertionResult close(const Tensor& actual, const Tensor& expected, double rtol,
                                 double atol);

// close() without tolerance, except that NaN matches any NaN.
::testing::AssertionResult equal(const Tensor& actual, const Tensor& expected);

// `[2, 3]` of extents.
std::string text(std::span<const int64_t> extents);

}  // namespace refrain::testing
