// Conversion between element types.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backends/reference/convert.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/run_op.h"
#include "support/tensors.h"

namespace refrain {
namespace {

using testing::equal;
using testing::exactly;
using testing::Random;
using testing::run_op;
using testing::vector_of;
using A = AttributeName;
using E = ElementType;

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Cast, SmallNumbersBetweenAllTypes) {
  for (E from : kAllElementTypes) {
    for (E to : kAllElementTypes) {
      const std::vector<double> values =
          from == E::boolean ? std::vector<double>{0, 1} : std::vector<double>{0, 1, 5, 100};
      const Tensor x = vector_of(from, values);
      const Tensor expected =
          to == E::boolean ? vector_of(to, from == E::boolean ? std::vector<double>{0, 1}
                                                              : std::vector<double>{0, 1, 1, 1})
                           : vector_of(to, values);
      EXPECT_TRUE(equal(run_op(Op::cast, {&x}, {{A::to, to}}), expected))
          << name(from) << " " << name(to);
    }
  }
}

TEST(Cast, FloatsToIntegersTruncateAndSaturate) {
  for (E from : {E::f32, E::f64}) {
    const Tensor x = vector_of(
        from, {1.9, -1.9, -0.5, 127.5, -128.9, 300, -300, 1e30, -1e30, kInf, -kInf, kNan});
    EXPECT_TRUE(equal(run_op(Op::cast, {&x}, {{A::to, E::i8}}),
                      exactly<int8_t>({1, -1, 0, 127, -128, 127, -128, 127, -128, 127, -128, 0})));
    EXPECT_TRUE(equal(run_op(Op::cast, {&x}, {{A::to, E::u8}}),
                      exactly<uint8_t>({1, 0, 0, 127, 0, 255, 0, 255, 0, 255, 0, 0})));
    EXPECT_TRUE(equal(run_op(Op::cast, {&x}, {{A::to, E::i64}}),
                      exactly<int64_t>({1, -1, 0, 127, -128, 300, -300, INT64_MAX, INT64_MIN,
                                        INT64_MAX, INT64_MIN, 0})));
    EXPECT_TRUE(
        equal(run_op(Op::cast, {&x}, {{A::to, E::u64}}),
              exactly<uint64_t>({1, 0, 0, 127, 0, 300, 0, UINT64_MAX, 0, UINT64_MAX, 0, 0})));
    EXPECT_TRUE(equal(
        run_op(Op::cast, {&x}, {{A::to, E::boolean}}),
        exactly<bool>({true, true, true, true, true, true, true, true, true, true, true, true})));
  }
  const Tensor edge = exactly<double>({0x1p63, 0x1.fffffffffffffp62, -0x1p63, 0x1p31, 0x1p31 - 1});
  EXPECT_TRUE(equal(
      run_op(Op::cast, {&edge}, {{A::to, E::i64}}),
      exactly<int64_t>({INT64_MAX, 0x7ffffffffffffc00, INT64_MIN, int64_t{1} << 31, INT32_MAX})));
}

TEST(Cast, IntegersWrapAround) {
  const Tensor x = exactly<int64_t>({-1, 256, INT64_MIN, 65535});
  EXPECT_TRUE(equal(run_op(Op::cast, {&x}, {{A::to, E::u8}}), exactly<uint8_t>({255, 0, 0, 255})));
  EXPECT_TRUE(equal(run_op(Op::cast, {&x}, {{A::to, E::i16}}), exactly<int16_t>({-1, 256, 0, -1})));
  EXPECT_TRUE(equal(run_op(Op::cast, {&x}, {{A::to, E::u64}}),
                    exactly<uint64_t>({UINT64_MAX, 256, uint64_t{1} << 63, 65535})));
}

template <typename Half>
uint16_t bits(double x) {
  return reference::convert<Half>(x).bits;
}

TEST(Cast, DoublesToHalvesRoundOnce) {
  // Just above a tie between 1 and the next half: a detour by float would land on the tie and go
  // down.
  EXPECT_EQ(bits<Float16>(1 + 0x1p-11), 0x3c00);
  EXPECT_EQ(bits<Float16>(1 + 0x1p-11 + 0x1p-40), 0x3c01);
  EXPECT_EQ(bits<Float16>(1 + 3 * 0x1p-11), 0x3c02);
  EXPECT_EQ(bits<Float16>(1 + 3 * 0x1p-11 - 0x1p-40), 0x3c01);
  EXPECT_EQ(bits<BFloat16>(1 + 0x1p-8), 0x3f80);
  EXPECT_EQ(bits<BFloat16>(1 + 0x1p-8 + 0x1p-45), 0x3f81);
  EXPECT_EQ(bits<BFloat16>(-(1 + 0x1p-8 + 0x1p-45)), 0xbf81);
  EXPECT_EQ(bits<Float16>(65519.999999), 0x7bff);
  EXPECT_EQ(bits<Float16>(65520), 0x7c00);
  EXPECT_EQ(bits<Float16>(1e300), 0x7c00);
  EXPECT_EQ(bits<BFloat16>(-1e300), 0xff80);
  EXPECT_EQ(bits<Float16>(0x1p-25), 0x0000);
  EXPECT_EQ(bits<Float16>(0x1p-25 * (1 + 0x1p-50)), 0x0001);
  EXPECT_EQ(bits<Float16>(1e-300), 0x0000);
  EXPECT_EQ(bits<Float16>(-0.0), 0x8000);
  EXPECT_EQ(reference::convert<BFloat16>((int64_t{1} << 62) + (int64_t{1} << 54) + 1).bits, 0x5e81);
  EXPECT_EQ(reference::convert<BFloat16>((int64_t{1} << 62) + (int64_t{1} << 54)).bits, 0x5e80);
  EXPECT_TRUE(std::isnan(static_cast<float>(reference::convert<Float16>(kNan))));
}

TEST(Cast, DoublesToHalvesAreNearest) {
  Random random(5);
  for (int i = 0; i < 20000; ++i) {
    const double x = std::ldexp(random.uniform(-1, 1), static_cast<int>(random.integer(-28, 15)));
    const Float16 y = reference::convert<Float16>(x);
    const double error = std::abs(static_cast<double>(static_cast<float>(y)) - x);
    for (int step : {-1, 1}) {  // neighbours in magnitude
      Float16 other;
      other.bits = static_cast<uint16_t>(y.bits + step);
      const auto value = static_cast<double>(static_cast<float>(other));
      if (!std::isfinite(value) || (y.bits & 0x7fff) == 0) continue;
      EXPECT_LE(error, std::abs(value - x)) << x;
    }
  }
}

}  // namespace
}  // namespace refrain
