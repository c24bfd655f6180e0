// Comparing what a model computed with what it should have.
#pragma once

#include <string>

#include "ir/runtime_value.h"

namespace refrain {

// A floating-point element a is right for an expected e if |a - e| <= absolute + relative * |e|, if
// both are NaN, or if both are the same infinity. For f16 and bf16 `relative` is at least one unit
// in the last place (2^-10, 2^-7). Elements of other types must be equal.
struct Tolerance {
  double relative = 1e-4;
  double absolute = 1e-5;
};

struct Comparison {
  // Largest |a - e|, and largest |a - e| / |e| where |e| > absolute (smaller elements are judged by
  // their absolute error), over all finite elements.
  double max_abs = 0;
  double max_rel = 0;
  std::string mismatch;  // what is wrong, the worst element named; empty if all is right

  bool ok() const { return mismatch.empty(); }
  // Takes in the errors of another comparison, and its mismatch if there was none yet.
  void merge(const Comparison& other);
};

// Kinds, element types and extents must agree; sequences are compared element by element.
Comparison compare(const RuntimeValue& actual, const RuntimeValue& expected,
                   const Tolerance& tolerance);

}  // namespace refrain
