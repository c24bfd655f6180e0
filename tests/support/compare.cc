#include "support/compare.h"

#include <cmath>

namespace refrain::testing {

std::string text(std::span<const int64_t> extents) {
  std::string result = "[";
  for (size_t i = 0; i < extents.size(); ++i)
    result += (i ? ", " : "") + std::to_string(extents[i]);
  return result + "]";
}

::testing::AssertionResult close(const Tensor& actual, const Tensor& expected, double rtol,
                                 double atol) {
  if (actual.type() != expected.type() || actual.extents() != expected.extents()) {
    return ::testing::AssertionFailure()
           << "type or extents differ: expected " << name(expected.type())
           << text(expected.extents()) << ", found " << name(actual.type())
           << text(actual.extents());
  }
  if (!is_float(actual.type())) {
    rtol = 0;
    atol = 0;
  }
  const std::vector<double> a = actual.view().as_doubles(), e = expected.view().as_doubles();
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == e[i] || (std::isnan(a[i]) && std::isnan(e[i]))) continue;
    const double allowed = atol + rtol * std::abs(e[i]);
    double excess = std::abs(a[i] - e[i]) / allowed;  // infinite without tolerance
    if (!(excess <= 1)) excess = std::max(excess, 2.0);
    if (std::isnan(excess)) excess = INFINITY;
    if (excess > worst) {
      worst = excess;
      at = i;
    }
  }
  if (worst <= 1) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "worst element, " << at << " of " << text(expected.extents()) << ": expected " << e[at]
         << ", found " << a[at] << ", " << worst << " times the tolerance";
}

::testing::AssertionResult equal(const Tensor& actual, const Tensor& expected) {
  return close(actual, expected, 0, 0);
}

}  // namespace refrain::testing
