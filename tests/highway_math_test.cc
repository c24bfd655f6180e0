// Errors of the SIMD functions against double precision, for every target that this machine runs.
#include "backends/highway/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "highway_math_test.cc"
#include "hwy/foreach_target.h"
// After foreach_target.h, because it and what follows is compiled for each target.
#include "backends/highway/math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace refrain::highway::HWY_NAMESPACE {

// `count` is a multiple of the lanes of all targets.
#define REFRAIN_EVALUATE(function)                                       \
  void Evaluate##function(const float* x, float* result, size_t count) { \
    const hn::ScalableTag<float> d;                                      \
    for (size_t i = 0; i < count; i += hn::Lanes(d)) {                   \
      hn::StoreU(function(d, hn::LoadU(d, x + i)), d, result + i);       \
    }                                                                    \
  }
REFRAIN_EVALUATE(Exp)
REFRAIN_EVALUATE(Log)
REFRAIN_EVALUATE(Sigmoid)
REFRAIN_EVALUATE(Tanh)
REFRAIN_EVALUATE(Erf)
REFRAIN_EVALUATE(ExpM1OfNegative)
REFRAIN_EVALUATE(Softplus)
REFRAIN_EVALUATE(Gelu)
REFRAIN_EVALUATE(GeluTanh)
#undef REFRAIN_EVALUATE

}  // namespace refrain::highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <vector>

#include "support/targets.h"

namespace refrain::highway {
namespace {

using testing::for_each_target;

HWY_EXPORT(EvaluateExp);
HWY_EXPORT(EvaluateLog);
HWY_EXPORT(EvaluateSigmoid);
HWY_EXPORT(EvaluateTanh);
HWY_EXPORT(EvaluateErf);
HWY_EXPORT(EvaluateExpM1OfNegative);
HWY_EXPORT(EvaluateSoftplus);
HWY_EXPORT(EvaluateGelu);
HWY_EXPORT(EvaluateGeluTanh);

using Evaluate = std::function<void(const float*, float*, size_t)>;

#define REFRAIN_DISPATCH(function)                              \
  [](const float* x, float* result, size_t count) {             \
    HWY_DYNAMIC_DISPATCH(Evaluate##function)(x, result, count); \
  }

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

float evaluate(const Evaluate& function, float x) {
  const std::vector<float> argument(64, x);
  std::vector<float> result(64);
  function(argument.data(), result.data(), 64);
  for (float r : result) EXPECT_EQ(std::bit_cast<uint32_t>(r), std::bit_cast<uint32_t>(result[0]));
  return result[0];
}

// Every `step`-th float from low to high, both finite or infinite, in order of value.
std::vector<float> floats(float low, float high, uint32_t step) {
  const auto ordered = [](float x) {
    const auto bits = std::bit_cast<int32_t>(x);
    return bits < 0 ? -int64_t{bits & 0x7FFFFFFF} : int64_t{bits};
  };
  std::vector<float> result;
  for (int64_t i = ordered(low); i <= ordered(high); i += step) {
    const uint32_t bits =
        i < 0 ? 0x80000000u | static_cast<uint32_t>(-i) : static_cast<uint32_t>(i);
    result.push_back(std::bit_cast<float>(bits));
  }
  for (const float edge : {low, high}) result.push_back(edge);
  while (result.size() % 64 != 0) result.push_back(high);
  return result;
}

double unit_in_last_place(double value) {
  const int exponent = value == 0 ? -126 : std::max(std::ilogb(value), -126);
  return std::ldexp(1.0, exponent - 23);
}

// The largest error over `arguments` is at most `bound` units in the last place, on each target.
// Results whose magnitude should be below `least` may be off by as much as `least`.
void check_error(const char* name, const Evaluate& function, double (*exact)(double),
                 const std::vector<float>& arguments, double bound, double least = 0) {
  std::vector<double> expected;
  for (float x : arguments) expected.push_back(exact(x));
  for_each_target([&] {
    std::vector<float> results(arguments.size());
    function(arguments.data(), results.data(), arguments.size());
    double worst = 0;
    size_t worst_at = 0;
    for (size_t i = 0; i < arguments.size(); ++i) {
      // What f32 can't hold is infinite.
      const auto nearest = static_cast<float>(expected[i]);
      if (results[i] == nearest) continue;
      double error = std::abs(results[i] - expected[i]);
      if (std::abs(expected[i]) < least && error <= least) continue;
      error /= unit_in_last_place(expected[i]);
      if (std::isinf(nearest)) {
        error = std::abs(results[i]) == std::numeric_limits<float>::max() ? 1 : kInfinity;
      }
      if (!(error <= worst)) {
        worst = error;
        worst_at = i;
      }
    }
    EXPECT_LE(worst, bound) << name << '(' << arguments[worst_at] << ") = " << results[worst_at]
                            << ", expected " << expected[worst_at];
  });
}

void expect_values(const char* name, const Evaluate& function,
                   const std::vector<std::pair<float, float>>& values) {
  for_each_target([&] {
    for (const auto& [x, y] : values) {
      const float found = evaluate(function, x);
      if (std::isnan(y)) {
        EXPECT_TRUE(std::isnan(found)) << name << '(' << x << ") = " << found;
      } else {
        EXPECT_EQ(std::bit_cast<uint32_t>(found), std::bit_cast<uint32_t>(y))
            << name << '(' << x << ") = " << found << ", expected " << y;
      }
    }
  });
}

// All exponents of both signs, at a step that is prime so that the mantissas vary.
std::vector<float> all_floats() { return floats(-kInfinity, kInfinity, 2003); }

constexpr float kMax = std::numeric_limits<float>::max();
constexpr float kSubnormal = 1e-42f;

TEST(HighwayMath, Exp) {
  const Evaluate f = REFRAIN_DISPATCH(Exp);
  const auto exact = [](double x) { return std::exp(x); };
  check_error("exp", f, exact, all_floats(), 1.5);
  check_error("exp", f, exact, floats(-1.0f, -0.3f, 7), 1.5);
  check_error("exp", f, exact, floats(0.3f, 4.0f, 31), 1.5);
  check_error("exp", f, exact, floats(-105.0f, -60.0f, 11), 1.5);
  check_error("exp", f, exact, floats(60.0f, 90.0f, 11), 1.5);
  expect_values("exp", f,
                {{0.0f, 1.0f},
                 {-0.0f, 1.0f},
                 {kSubnormal, 1.0f},
                 {kInfinity, kInfinity},
                 {-kInfinity, 0.0f},
                 {kMax, kInfinity},
                 {-kMax, 0.0f},
                 {kNaN, kNaN},
                 {88.73f, kInfinity},
                 {-104.0f, 0.0f}});
}

TEST(HighwayMath, Log) {
  const Evaluate f = REFRAIN_DISPATCH(Log);
  const auto exact = [](double x) { return std::log(x); };
  check_error("log", f, exact, floats(0.0f, kInfinity, 499), 1);
  check_error("log", f, exact, floats(0.5f, 2.0f, 7), 1);
  check_error("log", f, exact, floats(0.0f, 1e-37f, 211), 1);
  expect_values("log", f,
                {{0.0f, -kInfinity},
                 {-0.0f, -kInfinity},
                 {1.0f, 0.0f},
                 {-1.0f, kNaN},
                 {-kInfinity, kNaN},
                 {-kSubnormal, kNaN},
                 {kInfinity, kInfinity},
                 {kNaN, kNaN}});
}

TEST(HighwayMath, Sigmoid) {
  const Evaluate f = REFRAIN_DISPATCH(Sigmoid);
  const auto exact = [](double x) { return 1 / (1 + std::exp(-x)); };
  const double flushed = 5.0e-39;
  check_error("sigmoid", f, exact, all_floats(), 6.5, flushed);
  check_error("sigmoid", f, exact, floats(-89.0f, -17.0f, 29), 6.5, flushed);
  check_error("sigmoid", f, exact, floats(-17.0f, -1.0f, 29), 3.5);
  check_error("sigmoid", f, exact, floats(-1.0f, -0.1f, 7), 3.5);
  check_error("sigmoid", f, exact, floats(0.0f, 20.0f, 499), 3.5);
  check_error("sigmoid", f, exact, floats(0.1f, 20.0f, 29), 3.5);
  expect_values("sigmoid", f,
                {{0.0f, 0.5f},
                 {-0.0f, 0.5f},
                 {kSubnormal, 0.5f},
                 {kInfinity, 1.0f},
                 {-kInfinity, 0.0f},
                 {kMax, 1.0f},
                 {-kMax, 0.0f},
                 {20.0f, 1.0f},
                 {1000.0f, 1.0f},
                 {-1000.0f, 0.0f},
                 {kNaN, kNaN}});
}

TEST(HighwayMath, Tanh) {
  const Evaluate f = REFRAIN_DISPATCH(Tanh);
  const auto exact = [](double x) { return std::tanh(x); };
  check_error("tanh", f, exact, all_floats(), 6.5);
  check_error("tanh", f, exact, floats(0.01f, 4.0f, 31), 6.5);
  check_error("tanh", f, exact, floats(-10.0f, -4.0f, 3), 6.5);
  expect_values("tanh", f,
                {{0.0f, 0.0f},
                 {-0.0f, -0.0f},
                 {kSubnormal, kSubnormal},
                 {-kSubnormal, -kSubnormal},
                 {1e-38f, 1e-38f},
                 {kInfinity, 1.0f},
                 {-kInfinity, -1.0f},
                 {kMax, 1.0f},
                 {-kMax, -1.0f},
                 {9.1f, 1.0f},
                 {-9.1f, -1.0f},
                 {kNaN, kNaN}});
  const std::vector<float> arguments = floats(4.0f, 10.0f, 1);
  for_each_target([&] {
    std::vector<float> results(arguments.size());
    f(arguments.data(), results.data(), arguments.size());
    EXPECT_LE(*std::max_element(results.begin(), results.end()), 1.0f);
  });
}

TEST(HighwayMath, Erf) {
  const Evaluate f = REFRAIN_DISPATCH(Erf);
  const auto exact = [](double x) { return std::erf(x); };
  check_error("erf", f, exact, all_floats(), 1.5);
  check_error("erf", f, exact, floats(0.1f, 4.1f, 31), 1.5);
  expect_values("erf", f,
                {{0.0f, 0.0f},
                 {-0.0f, -0.0f},
                 {kInfinity, 1.0f},
                 {-kInfinity, -1.0f},
                 {kMax, 1.0f},
                 {-kMax, -1.0f},
                 {kNaN, kNaN}});
}

TEST(HighwayMath, ExpM1OfNegative) {
  const Evaluate f = REFRAIN_DISPATCH(ExpM1OfNegative);
  const auto exact = [](double x) { return std::expm1(x); };
  check_error("expm1", f, exact, floats(-kInfinity, -0.0f, 499), 2);
  check_error("expm1", f, exact, floats(-20.0f, -0.01f, 31), 2);
  expect_values("expm1", f, {{-kInfinity, -1.0f}, {-kMax, -1.0f}, {kNaN, kNaN}, {0.0f, 0.0f}});
}

TEST(HighwayMath, Softplus) {
  const Evaluate f = REFRAIN_DISPATCH(Softplus);
  const auto exact = [](double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::abs(x))); };
  check_error("softplus", f, exact, all_floats(), 2);
  check_error("softplus", f, exact, floats(-105.0f, 20.0f, 331), 2);
  expect_values(
      "softplus", f,
      {{kInfinity, kInfinity}, {-kInfinity, 0.0f}, {kMax, kMax}, {-kMax, 0.0f}, {kNaN, kNaN}});
}

TEST(HighwayMath, Gelu) {
  const Evaluate f = REFRAIN_DISPATCH(Gelu);
  const auto exact = [](double x) { return x * std::erfc(-x / std::numbers::sqrt2) / 2; };
  check_error("gelu", f, exact, floats(-kMax, kMax, 2003), 7, 2e-37);
  check_error("gelu", f, exact, floats(-15.0f, -0.01f, 31), 7, 2e-37);
  check_error("gelu", f, exact, floats(0.01f, 8.0f, 31), 7);
  // 0 times infinity on the one side, as the formula has it.
  expect_values("gelu", f,
                {{0.0f, 0.0f},
                 {kInfinity, kInfinity},
                 {-kInfinity, kNaN},
                 {kNaN, kNaN},
                 {-20.0f, -0.0f},
                 {20.0f, 20.0f}});
}

TEST(HighwayMath, GeluTanh) {
  const Evaluate f = REFRAIN_DISPATCH(GeluTanh);
  const auto exact = [](double x) {
    const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    return x / (1 + std::exp(-2 * u));
  };
  // In the lower tail an ulp of the argument of e^ is many of the result.
  check_error("gelu_tanh", f, exact, floats(-12.0f, -1.0f, 31), 250, 1e-36);
  check_error("gelu_tanh", f, exact, floats(-1.0f, -0.01f, 31), 3.5);
  check_error("gelu_tanh", f, exact, floats(0.01f, 10.0f, 31), 3.5);
  expect_values("gelu_tanh", f,
                {{0.0f, 0.0f},
                 {kInfinity, kInfinity},
                 {-kInfinity, kNaN},
                 {kNaN, kNaN},
                 {-20.0f, -0.0f},
                 {20.0f, 20.0f},
                 {kMax, kMax}});
}

}  // namespace
}  // namespace refrain::highway

#endif  // HWY_ONCE
