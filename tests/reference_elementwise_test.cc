// The reference backend's element-wise kernels.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "support/compare.h"
#include "support/random.h"
#include "support/run_op.h"
#include "support/tensors.h"

namespace refrain {
namespace {

using testing::close;
using testing::equal;
using testing::error_of;
using testing::exactly;
using ::testing::HasSubstr;
using testing::Random;
using testing::run_op;
using testing::tensor_of;
using testing::vector_of;
using A = AttributeName;
using E = ElementType;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double epsilon(E type) {
  switch (type) {
    case E::f64:
      return std::numeric_limits<double>::epsilon();
    case E::f32:
      return std::numeric_limits<float>::epsilon();
    case E::f16:
      return 0x1p-10;
    default:
      return 0x1p-7;  // bf16
  }
}

std::vector<double> operator+(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

constexpr E kFloats[] = {E::f32, E::f64, E::f16, E::bf16};

struct FloatUnary {
  Op op;
  double (*expected)(double x);
  double low, high;             // of random operands
  std::vector<double> special;  // further operands
  std::vector<Attribute> attributes = {};
};

std::vector<FloatUnary> float_unaries() {
  const std::vector<double> infinities = {0.0, -0.0, kInf, -kInf, kNan}, finite = {0.0, -0.0, kNan};
  return {
      {Op::neg, [](double x) { return -x; }, -9, 9, infinities},
      {Op::abs, [](double x) { return x < 0 ? -x : x; }, -9, 9, infinities},
      {Op::sign, [](double x) { return x > 0   ? 1.0
                                       : x < 0 ? -1.0
                                               : x * 0; }, -9, 9, finite},
      {Op::relu, [](double x) { return std::isnan(x) ? x : (x + std::abs(x)) / 2; }, -9, 9,
       finite + std::vector<double>{kInf}},
      {Op::sqrt, [](double x) { return std::sqrt(x); }, 0, 9, {0.0, kInf, -1, kNan}},
      {Op::exp, [](double x) { return std::exp(x); }, -5, 5, infinities},
      {Op::log, [](double x) { return std::log(x); }, 0.1, 9, {0.0, -1, kInf, kNan}},
      {Op::erf, [](double x) { return std::erf(x); }, -3, 3, infinities},
      {Op::floor, [](double x) { return std::floor(x); }, -9, 9, infinities},
      {Op::ceil, [](double x) { return std::ceil(x); }, -9, 9, infinities},
      {Op::round,
       [](double x) { return std::remainder(x, 1) == 0 ? x : x - std::remainder(x, 1); },
       -9,
       9,
       {0.5, 1.5, 2.5, -0.5, -1.5, -2.5, kNan}},
      {Op::sin, [](double x) { return std::sin(x); }, -3, 3, infinities},
      {Op::cos, [](double x) { return std::cos(x); }, -1.4, 1.4, infinities},
      {Op::tan, [](double x) { return std::sin(x) / std::cos(x); }, -1.4, 1.4, finite},
      {Op::asin, [](double x) { return std::asin(x); }, -1, 1, {1, -1, 2, kNan}},
      {Op::acos, [](double x) { return std::acos(x); }, -1, 0.9, {-1, 2, kNan}},
      {Op::atan, [](double x) { return std::atan(x); }, -9, 9, infinities},
      {Op::sinh, [](double x) { return (std::exp(x) - std::exp(-x)) / 2; }, 0.5, 5, infinities},
      {Op::cosh, [](double x) { return (std::exp(x) + std::exp(-x)) / 2; }, -5, 5, infinities},
      {Op::asinh,
       [](double x) { return std::log(x + std::sqrt(x * x + 1)); },
       0.5,
       9,
       {0, kInf, kNan}},
      {Op::acosh,
       [](double x) { return std::log(x + std::sqrt(x * x - 1)); },
       1.5,
       9,
       {0.5, kInf, kNan}},
      {Op::atanh, [](double x) { return std::log((1 + x) / (1 - x)) / 2; }, 0.1, 0.9, {1, 2, kNan}},
      {Op::sigmoid,
       [](double x) { return 0.5 + 0.5 * std::tanh(x / 2); },
       -3,
       9,
       {0, 1e4, -1e4, kInf, -kInf, kNan}},
      {Op::tanh,
       [](double x) {
         return std::isinf(x) ? x / std::abs(x) * 1 : std::expm1(2 * x) / (std::expm1(2 * x) + 2);
       },
       -9,
       9,
       {0, kNan}},
      {Op::softplus,
       [](double x) { return std::abs(x) > 500 ? (x > 0 ? x : 0) : std::log(1 + std::exp(x)); },
       -3,
       9,
       {0, 6e4, -6e4, kInf, -kInf, kNan}},
      {Op::softsign, [](double x) { return x / (x < 0 ? 1 - x : 1 + x); }, -9, 9, finite},
      {Op::leaky_relu,
       [](double x) { return x > 0 ? x : x * 0.25; },
       -9,
       9,
       infinities,
       {{A::alpha, 0.25}}},
      {Op::leaky_relu, [](double x) { return x > 0 ? x : x * 0.01; }, -9, 9, infinities},
      {Op::elu,
       [](double x) { return x > 0    ? x
                             : x == 0 ? 0
                                      : 1.5 * (std::exp(x) - 1); },
       -5,
       5,
       {0, 1e4, -1e4, kInf, -kInf, kNan},
       {{A::alpha, 1.5}}},
      {Op::selu,
       [](double x) {
         return x > 0 ? 1.05070102214813232421875 * x
                      : 1.05070102214813232421875 * 1.67326319217681884765625 * (std::exp(x) - 1);
       },
       -5,
       5,
       {0, 1e4, -1e4, kInf, -kInf, kNan}},
      {Op::hard_sigmoid,
       [](double x) { return std::isnan(x) ? x : std::clamp(0.125 * x + 0.25, 0.0, 1.0); },
       -9,
       9,
       infinities,
       {{A::alpha, 0.125}, {A::beta, 0.25}}},
      {Op::thresholded_relu,
       [](double x) { return x > 2 ? x : 0; },
       -9,
       9,
       {2, 2.0625, kInf, -kInf},
       {{A::alpha, 2.0}}},
      {Op::gelu,
       [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); },
       -2,
       5,
       {0, 100, -100, kInf, kNan}},
      {Op::gelu,
       [](double x) {
         return x / 2 *
                (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
       },
       -1,
       5,
       {0, 20, -20, kInf, kNan},
       {{A::approximate, true}}},
  };
}

TEST(Elementwise, FloatUnaryOpsOnEveryFloatType) {
  Random random(1);
  for (const FloatUnary& test : float_unaries()) {
    for (E type : kFloats) {
      Tensor x = random.tensor(type, {37 + static_cast<int64_t>(test.special.size())}, test.low,
                               test.high);
      const Tensor special = vector_of(type, test.special);
      std::memcpy(x.raw(), special.raw(), static_cast<size_t>(special.bytes()));
      std::vector<double> expected;
      for (double value : x.view().as_doubles()) expected.push_back(test.expected(value));
      const Tensor y = run_op(test.op, {&x}, test.attributes);
      EXPECT_TRUE(close(y, vector_of(type, expected), 16 * epsilon(type), 8 * epsilon(type)))
          << name(test.op) << " " << name(type);
    }
  }
}

TEST(Elementwise, NumericUnaryOpsOnEveryIntegerType) {
  for (E type : kAllElementTypes) {
    if (!is_integer(type)) continue;
    const bool has_sign = is_signed_integer(type);
    const Tensor x = vector_of(
        type, has_sign ? std::vector<double>{-128, -5, 0, 7, 127} : std::vector<double>{0, 5, 200});
    if (has_sign) {
      EXPECT_TRUE(equal(run_op(Op::sign, {&x}), vector_of(type, {-1, -1, 0, 1, 1})));
      EXPECT_TRUE(equal(run_op(Op::relu, {&x}), vector_of(type, {0, 0, 0, 7, 127})));
    } else {
      EXPECT_TRUE(equal(run_op(Op::sign, {&x}), vector_of(type, {0, 1, 1})));
      EXPECT_TRUE(equal(run_op(Op::relu, {&x}), x));
      EXPECT_TRUE(equal(run_op(Op::abs, {&x}), x));
    }
  }
  const Tensor bytes = exactly<int8_t>({-128, -1, 0, 127});
  EXPECT_TRUE(equal(run_op(Op::neg, {&bytes}), exactly<int8_t>({-128, 1, 0, -127})));
  EXPECT_TRUE(equal(run_op(Op::abs, {&bytes}), exactly<int8_t>({-128, 1, 0, 127})));
  const Tensor words = exactly<int64_t>({INT64_MIN, -4, INT64_MAX});
  EXPECT_TRUE(equal(run_op(Op::neg, {&words}), exactly<int64_t>({INT64_MIN, 4, -INT64_MAX})));
  EXPECT_TRUE(equal(run_op(Op::abs, {&words}), exactly<int64_t>({INT64_MIN, 4, INT64_MAX})));
  const Tensor naturals = exactly<uint32_t>({0, 1});
  EXPECT_TRUE(equal(run_op(Op::neg, {&naturals}), exactly<uint32_t>({0, UINT32_MAX})));
}

struct Binary {
  Op op;
  double (*expected)(double x, double y);
  bool fmod = false;
};

// On operands where double arithmetic is exact for every type, or rounds once as the type itself
// does.
TEST(Elementwise, BinaryOpsOnEveryNumberType) {
  const Binary tests[] = {
      {Op::add, [](double x, double y) { return x + y; }},
      {Op::sub, [](double x, double y) { return x - y; }},
      {Op::mul, [](double x, double y) { return x * y; }},
      {Op::max, [](double x, double y) { return x > y ? x : y; }},
      {Op::min, [](double x, double y) { return x > y ? y : x; }},
      {Op::prelu, [](double x, double y) { return x < 0 ? x * y : x; }},
      {Op::mod, [](double x, double y) { return x - y * std::floor(x / y); }},
      {Op::mod, [](double x, double y) { return x - y * std::trunc(x / y); }, true},
  };
  Random random(2);
  for (const Binary& test : tests) {
    for (E type : kAllElementTypes) {
      if (type == E::boolean) continue;
      std::vector<double> x, y, expected;
      for (int i = 0; i < 45; ++i) {
        const bool has_sign = is_float(type) || is_signed_integer(type);
        y.push_back(static_cast<double>(random.integer(1, 9) * (has_sign && i % 2 ? -1 : 1)));
        x.push_back(static_cast<double>(random.integer(has_sign ? -12 : 9, 12)));
        expected.push_back(test.expected(x.back(), y.back()));
      }
      const Tensor a = tensor_of(type, {5, 9}, x), b = tensor_of(type, {5, 9}, y);
      std::vector<Attribute> attributes;
      if (test.op == Op::mod) attributes.push_back({A::fmod, test.fmod});
      EXPECT_TRUE(equal(run_op(test.op, {&a, &b}, attributes), tensor_of(type, {5, 9}, expected)))
          << name(test.op) << " " << name(type);
    }
  }
}

TEST(Elementwise, Division) {
  for (E type : kAllElementTypes) {
    if (type == E::boolean) continue;
    const Tensor x = vector_of(type, {9, 100, 7}), y = vector_of(type, {2, 9, 7});
    const Tensor expected =
        is_float(type) ? vector_of(type, {4.5, 100.0 / 9, 1}) : vector_of(type, {4, 11, 1});
    EXPECT_TRUE(equal(run_op(Op::div, {&x, &y}), expected)) << name(type);
    const Tensor zero = vector_of(type, {1, 0, 1});
    for (Op op : {Op::div, Op::mod}) {
      if (is_float(type)) {
        EXPECT_EQ(error_of(op, {&x, &zero}), "no error");
      } else {
        EXPECT_THAT(error_of(op, {&x, &zero}), HasSubstr("integer division by zero"));
      }
    }
  }
  const Tensor x = exactly<int32_t>({-7, 7, INT32_MIN, INT32_MIN});
  const Tensor y = exactly<int32_t>({2, -2, -1, 1});
  EXPECT_TRUE(equal(run_op(Op::div, {&x, &y}), exactly<int32_t>({-3, -3, INT32_MIN, INT32_MIN})));
  EXPECT_TRUE(equal(run_op(Op::mod, {&x, &y}), exactly<int32_t>({1, -1, 0, 0})));
  EXPECT_TRUE(equal(run_op(Op::mod, {&x, &y}, {{A::fmod, true}}), exactly<int32_t>({-1, 1, 0, 0})));
  const Tensor bytes = exactly<int8_t>({-128, 127}), minus = exactly<int8_t>({-1, -128});
  EXPECT_TRUE(equal(run_op(Op::div, {&bytes, &minus}), exactly<int8_t>({-128, 0})));
  EXPECT_TRUE(equal(run_op(Op::mod, {&bytes, &minus}), exactly<int8_t>({0, -1})));
  const Tensor f = exactly<double>({5.5, -5.5, 5.5, -5.5, 1, 0}),
               g = exactly<double>({2, 2, -2, -2, 0, 0});
  EXPECT_TRUE(
      equal(run_op(Op::mod, {&f, &g}), exactly<double>({1.5, 0.5, -0.5, -1.5, kNan, kNan})));
  EXPECT_TRUE(equal(run_op(Op::mod, {&f, &g}, {{A::fmod, true}}),
                    exactly<double>({1.5, -1.5, 1.5, -1.5, kNan, kNan})));
  EXPECT_TRUE(
      equal(run_op(Op::div, {&f, &g}), exactly<double>({2.75, -2.75, -2.75, 2.75, kInf, kNan})));
}

TEST(Elementwise, IntegerArithmeticWrapsAround) {
  const Tensor x = exactly<int64_t>({INT64_MAX, INT64_MIN}), y = exactly<int64_t>({2, 3});
  EXPECT_TRUE(equal(run_op(Op::add, {&x, &y}), exactly<int64_t>({INT64_MIN + 1, INT64_MIN + 3})));
  EXPECT_TRUE(equal(run_op(Op::sub, {&y, &x}), exactly<int64_t>({INT64_MIN + 3, INT64_MIN + 3})));
  EXPECT_TRUE(equal(run_op(Op::mul, {&x, &y}), exactly<int64_t>({-2, INT64_MIN})));
  const Tensor p = exactly<uint16_t>({65535, 1}), q = exactly<uint16_t>({65535, 2});
  EXPECT_TRUE(equal(run_op(Op::mul, {&p, &q}), exactly<uint16_t>({1, 2})));
  EXPECT_TRUE(equal(run_op(Op::sub, {&p, &q}), exactly<uint16_t>({0, 65535})));
  const Tensor a = exactly<int16_t>({-32768}), b = exactly<int16_t>({-1});
  EXPECT_TRUE(equal(run_op(Op::prelu, {&a, &b}), exactly<int16_t>({-32768})));
}

TEST(Elementwise, MaxAndMinPropagateNan) {
  for (E type : kFloats) {
    const Tensor x = vector_of(type, {kNan, 1, kNan, -kInf}),
                 y = vector_of(type, {1, kNan, kNan, kInf});
    EXPECT_TRUE(equal(run_op(Op::max, {&x, &y}), vector_of(type, {kNan, kNan, kNan, kInf})));
    EXPECT_TRUE(equal(run_op(Op::min, {&x, &y}), vector_of(type, {kNan, kNan, kNan, -kInf})));
  }
}

TEST(Elementwise, PowersOfEveryPairOfTypes) {
  const std::vector<double> bases = {0, 1, 2, 3, 2}, exponents = {2, 5, 3, 2, 0};
  for (E type : kAllElementTypes) {
    for (E exponent : kAllElementTypes) {
      if (type == E::boolean || exponent == E::boolean) continue;
      const Tensor x = vector_of(type, bases), y = vector_of(exponent, exponents);
      EXPECT_TRUE(equal(run_op(Op::pow, {&x, &y}), vector_of(type, {0, 1, 8, 9, 1})))
          << name(type) << " " << name(exponent);
    }
  }
  const Tensor flags = exactly<bool>({true}), one = exactly<float>({1});
  EXPECT_THAT(error_of(Op::pow, {&flags, &one}), HasSubstr("wrong operand type"));
}

TEST(Elementwise, PowersAtTheEdges) {
  const Tensor x = exactly<int32_t>({2, 1, -1, -1, 3, -2, -3});
  const Tensor y = exactly<int64_t>({-1, -9, -3, INT64_MIN, 40, 31, 3});
  EXPECT_TRUE(equal(
      run_op(Op::pow, {&x, &y}),
      exactly<int32_t>({0, 1, -1, 1, static_cast<int32_t>(12157665459056928801u & 0xffffffffu),
                        INT32_MIN, -27})));
  const Tensor zero = exactly<int32_t>({0}), minus = exactly<int32_t>({-1});
  EXPECT_THAT(error_of(Op::pow, {&zero, &minus}), HasSubstr("integer division by zero"));
  const Tensor base = exactly<int32_t>({9, 2, 10, -2}), real = exactly<float>({0.5f, -1, 20, 0.5f});
  EXPECT_TRUE(equal(run_op(Op::pow, {&base, &real}), exactly<int32_t>({3, 0, INT32_MAX, 0})));
  const Tensor f = exactly<float>({2, -8, 0, 4}), g = exactly<float>({-1, 1.0f / 3, 0, 0.5f});
  EXPECT_TRUE(equal(run_op(Op::pow, {&f, &g}),
                    exactly<float>({0.5f, std::numeric_limits<float>::quiet_NaN(), 1, 2})));
}

TEST(Elementwise, ComparisonsOfEveryType) {
  for (E type : kAllElementTypes) {
    const Tensor x = vector_of(type, {0, 1, 1, 0}), y = vector_of(type, {0, 0, 1, 1});
    EXPECT_TRUE(equal(run_op(Op::equal, {&x, &y}), exactly<bool>({true, false, true, false})));
    EXPECT_TRUE(equal(run_op(Op::less, {&x, &y}), exactly<bool>({false, false, false, true})));
    EXPECT_TRUE(equal(run_op(Op::less_equal, {&x, &y}), exactly<bool>({true, false, true, true})));
    EXPECT_TRUE(equal(run_op(Op::greater, {&x, &y}), exactly<bool>({false, true, false, false})));
    EXPECT_TRUE(
        equal(run_op(Op::greater_equal, {&x, &y}), exactly<bool>({true, true, true, false})));
  }
  for (E type : kFloats) {
    const Tensor x = vector_of(type, {kNan, 1, -0.0}), y = vector_of(type, {kNan, kNan, 0.0});
    EXPECT_TRUE(equal(run_op(Op::equal, {&x, &y}), exactly<bool>({false, false, true})));
    EXPECT_TRUE(equal(run_op(Op::less_equal, {&x, &y}), exactly<bool>({false, false, true})));
    EXPECT_TRUE(equal(run_op(Op::is_nan, {&x}), exactly<bool>({true, false, false})));
  }
  const Tensor large = exactly<uint64_t>({UINT64_MAX}), small = exactly<uint64_t>({1});
  EXPECT_TRUE(equal(run_op(Op::greater, {&large, &small}), exactly<bool>({true})));
}

TEST(Elementwise, Logic) {
  const Tensor x = exactly<bool>({false, false, true, true}),
               y = exactly<bool>({false, true, false, true});
  EXPECT_TRUE(equal(run_op(Op::logical_and, {&x, &y}), exactly<bool>({false, false, false, true})));
  EXPECT_TRUE(equal(run_op(Op::logical_or, {&x, &y}), exactly<bool>({false, true, true, true})));
  EXPECT_TRUE(equal(run_op(Op::logical_xor, {&x, &y}), exactly<bool>({false, true, true, false})));
  EXPECT_TRUE(equal(run_op(Op::logical_not, {&x}), exactly<bool>({true, true, false, false})));
}

// Extents of one operand of a result: some axes 1, some leading axes left out.
std::vector<int64_t> shrink(Random& random, std::vector<int64_t> extents) {
  for (int64_t& extent : extents) {
    if (random.integer(0, 2) == 0) extent = 1;
  }
  const int64_t drop = random.integer(0, static_cast<int64_t>(extents.size()));
  extents.erase(extents.begin(), extents.begin() + (random.integer(0, 1) ? drop : 0));
  return extents;
}

// The element that an index of the result reads, found digit by digit.
size_t source(size_t flat, const std::vector<int64_t>& result,
              const std::vector<int64_t>& operand) {
  size_t offset = 0, stride = 1;
  for (size_t i = 0; i < result.size(); ++i) {
    const auto extent = static_cast<size_t>(result[result.size() - 1 - i]);
    const size_t digit = flat % extent;
    flat /= extent;
    if (i >= operand.size()) continue;
    const auto own = static_cast<size_t>(operand[operand.size() - 1 - i]);
    offset += own == 1 ? 0 : digit * stride;
    stride *= own;
  }
  return offset;
}

std::vector<int64_t> broadcast_extents(const std::vector<std::vector<int64_t>>& operands) {
  std::vector<int64_t> result;
  for (const auto& extents : operands) {
    if (extents.size() > result.size())
      result.insert(result.begin(), extents.size() - result.size(), 1);
  }
  for (const auto& extents : operands) {
    for (size_t i = 0; i < extents.size(); ++i) {
      int64_t& extent = result[result.size() - extents.size() + i];
      if (extent == 1) extent = extents[i];
    }
  }
  return result;
}

TEST(Elementwise, BroadcastingAgreesWithAnIndexByIndexLoop) {
  Random random(3);
  for (int trial = 0; trial < 400; ++trial) {
    std::vector<int64_t> extents(static_cast<size_t>(random.integer(0, 5)));
    for (int64_t& extent : extents) extent = random.integer(trial % 20 == 0 ? 0 : 1, 5);
    const Tensor flags = random.tensor(E::boolean, shrink(random, extents));
    const Tensor x = random.tensor(E::f64, shrink(random, extents));
    const Tensor y = random.tensor(E::f64, shrink(random, extents));

    Tensor difference(E::f64, broadcast_extents({x.extents(), y.extents()}));
    for (size_t i = 0; i < static_cast<size_t>(difference.size()); ++i) {
      difference.data<double>()[i] =
          x.data<double>()[source(i, difference.extents(), x.extents())] -
          y.data<double>()[source(i, difference.extents(), y.extents())];
    }
    EXPECT_TRUE(equal(run_op(Op::sub, {&x, &y}), difference));

    Tensor chosen(E::f64, broadcast_extents({flags.extents(), x.extents(), y.extents()}));
    for (size_t i = 0; i < static_cast<size_t>(chosen.size()); ++i) {
      const bool flag = flags.data<bool>()[source(i, chosen.extents(), flags.extents())];
      chosen.data<double>()[i] = flag ? x.data<double>()[source(i, chosen.extents(), x.extents())]
                                      : y.data<double>()[source(i, chosen.extents(), y.extents())];
    }
    EXPECT_TRUE(equal(run_op(Op::where, {&flags, &x, &y}), chosen));

    Tensor powers(E::f64, broadcast_extents({x.extents(), y.extents()}));
    for (size_t i = 0; i < static_cast<size_t>(powers.size()); ++i) {
      powers.data<double>()[i] =
          std::pow(x.data<double>()[source(i, powers.extents(), x.extents())],
                   y.data<double>()[source(i, powers.extents(), y.extents())]);
    }
    EXPECT_TRUE(equal(run_op(Op::pow, {&x, &y}), powers));
  }
}

TEST(Elementwise, WhereOfEveryType) {
  const Tensor flags = exactly<bool>({true, false, true});
  for (E type : kAllElementTypes) {
    const Tensor x = vector_of(type, {1, 1, 0}), y = vector_of(type, {0, 0, 1});
    EXPECT_TRUE(equal(run_op(Op::where, {&flags, &x, &y}), vector_of(type, {1, 0, 0})));
  }
}

TEST(Elementwise, BroadcastErrors) {
  const Tensor x(E::f32, {2, 3}), y(E::f32, {2});
  EXPECT_THAT(error_of(Op::add, {&x, &y}), HasSubstr("shapes don't broadcast"));
}

}  // namespace
}  // namespace refrain
