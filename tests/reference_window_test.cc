#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/array.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/run_op.h"

namespace refrain {
namespace {

using testing::Array;
using testing::close;
using testing::equal;
using testing::error_of;
using testing::for_each_index;
using testing::Index;
using testing::Random;
using testing::run_op;
using testing::run_op_results;
using A = AttributeName;
using ::testing::HasSubstr;
using Ints = std::vector<int64_t>;

constexpr auto f32 = ElementType::f32;
constexpr auto f64 = ElementType::f64;

// Parameters of one random convolution or pooling.
struct Setting {
  Ints kernel, strides, dilations, begin, end;

  std::vector<Attribute> attributes() const {
    Ints pads = begin;
    pads.insert(pads.end(), end.begin(), end.end());
    return {{A::strides, strides}, {A::dilations, dilations}, {A::pads, pads}};
  }
};

Setting random_setting(Random& random, size_t spatial) {
  Setting s;
  for (size_t i = 0; i < spatial; ++i) {
    s.kernel.push_back(random.integer(1, 3));
    s.strides.push_back(random.integer(1, 3));
    s.dilations.push_back(random.integer(1, 2));
    s.begin.push_back(random.integer(0, 2));
    s.end.push_back(random.integer(0, 2));
  }
  return s;
}

// Input places from window places: out * stride + k * dilation - pad.
int64_t meeting(const Setting& s, size_t i, int64_t out, int64_t k) {
  return out * s.strides[i] + k * s.dilations[i] - s.begin[i];
}

TEST(ReferenceWindow, ConvAndItsTransposeMatchTheirDefinition) {
  Random random(1);
  for (int round = 0; round < 60; ++round) {
    const auto spatial = static_cast<size_t>(random.integer(1, 3));
    const Setting s = random_setting(random, spatial);
    const int64_t groups = random.integer(1, 3), batch = random.integer(1, 2);
    const int64_t wide_channels = random.integer(1, 3), narrow_channels = random.integer(1, 3);
    // Extents of the wide side (the convolution's input) and the narrow one.
    Ints wide = {batch, groups * wide_channels}, narrow = {batch, groups * narrow_channels};
    Ints weights = {groups * narrow_channels, wide_channels}, output_padding;
    for (size_t i = 0; i < spatial; ++i) {
      const int64_t span = (s.kernel[i] - 1) * s.dilations[i] + 1;
      const int64_t in = std::max<int64_t>(random.integer(1, 9), span - s.begin[i] - s.end[i]);
      const int64_t room = in + s.begin[i] + s.end[i] - span;
      wide.push_back(in);
      narrow.push_back(room / s.strides[i] + 1);
      weights.push_back(s.kernel[i]);
      output_padding.push_back(room % s.strides[i]);
    }
    const Tensor x = random.tensor(f64, wide), w = random.tensor(f64, weights),
                 z = random.tensor(f64, narrow);
    const Tensor narrow_bias = random.tensor(f64, {groups * narrow_channels});
    const Tensor wide_bias = random.tensor(f64, {groups * wide_channels});
    const Array ax(x), aw(w), az(z), anb(narrow_bias), awb(wide_bias);
    Array y(narrow), t(wide);
    for_each_index(narrow, [&](const Index& at) { y(at) = anb({at[1]}); });
    for_each_index(wide, [&](const Index& at) { t(at) = awb({at[1]}); });
    for_each_index(narrow, [&](const Index& at) {
      for_each_index(weights, [&](const Index& tap) {
        if (tap[0] != at[1]) return;
        Index from = {at[0], at[1] / narrow_channels * wide_channels + tap[1]};
        for (size_t i = 0; i < spatial; ++i) {
          from.push_back(meeting(s, i, at[2 + i], tap[2 + i]));
          if (from.back() < 0 || from.back() >= wide[2 + i]) return;
        }
        y(at) += aw(tap) * ax(from);
        t(from) += aw(tap) * az(at);
      });
    });
    std::vector<Attribute> attributes = s.attributes();
    attributes.emplace_back(A::groups, groups);
    EXPECT_TRUE(
        close(run_op(Op::conv, {&x, &w, &narrow_bias}, attributes), y.tensor(f64), 1e-13, 1e-13))
        << "round " << round;
    attributes.emplace_back(A::output_padding, output_padding);
    EXPECT_TRUE(close(run_op(Op::conv_transpose, {&z, &w, &wide_bias}, attributes), t.tensor(f64),
                      1e-13, 1e-13))
        << "round " << round;
  }
}

Tensor counting(ElementType type, Ints extents, double first) {
  Array array(std::move(extents));
  for (size_t i = 0; i < array.values.size(); ++i) array.values[i] = first + static_cast<double>(i);
  return array.tensor(type);
}

Tensor values(ElementType type, Ints extents, std::vector<double> elements) {
  Array array(std::move(extents));
  EXPECT_EQ(array.values.size(), elements.size());
  array.values = std::move(elements);
  return array.tensor(type);
}

TEST(ReferenceWindow, IntegersAreConvolvedExactly) {
  // Sums beyond what f32 holds exactly; past 32 bits they wrap around.
  const Tensor x = values(ElementType::i32, {1, 1, 4}, {16777217, -3, 2147483647, 1});
  const Tensor w = values(ElementType::i32, {1, 1, 2}, {1, 2}),
               b = values(ElementType::i32, {1}, {5});
  EXPECT_TRUE(equal(run_op(Op::conv, {&x, &w, &b}),
                    values(ElementType::i32, {1, 1, 3}, {16777216, 0, -2147483642})));
  EXPECT_TRUE(equal(run_op(Op::conv_transpose, {&x, &w}),
                    values(ElementType::i32, {1, 1, 5}, {16777217, 33554431, 2147483641, -1, 2})));
}

// Expected values of ONNX's own examples of these operators.
TEST(ReferenceWindow, ConvOfTheOnnxDocumentation) {
  const Tensor w = Array({1, 1, 3, 3}, 1).tensor(f32);
  const Tensor x5 = counting(f32, {1, 1, 5, 5}, 0), x7 = counting(f32, {1, 1, 7, 5}, 0);
  EXPECT_TRUE(equal(run_op(Op::conv, {&x5, &w},
                           {{A::strides, Ints{2, 2}}, {A::auto_pad, std::string("same_lower")}}),
                    values(f32, {1, 1, 3, 3}, {12, 27, 24, 63, 108, 81, 72, 117, 84})));
  EXPECT_TRUE(
      equal(run_op(Op::conv, {&x7, &w}, {{A::strides, Ints{2, 2}}, {A::pads, Ints{1, 0, 1, 0}}}),
            values(f32, {1, 1, 4, 2}, {21, 33, 99, 117, 189, 207, 171, 183})));
}

TEST(ReferenceWindow, ConvTransposeOfTheOnnxDocumentation) {
  const Tensor x = counting(f32, {1, 1, 3, 3}, 0), w = Array({1, 2, 3, 3}, 1).tensor(f32);
  std::vector<double> plane = {0,  1,  3, 3,  2,  3,  8,  15, 12, 7,  9,  21, 36,
                               27, 15, 9, 20, 33, 24, 13, 6,  13, 21, 15, 8};
  std::vector<double> planes = plane;
  planes.insert(planes.end(), plane.begin(), plane.end());
  EXPECT_TRUE(equal(run_op(Op::conv_transpose, {&x, &w}), values(f32, {1, 2, 5, 5}, planes)));
  // output_shape makes the padding: one more than the stride times the input, at the end.
  const Tensor line = values(f32, {1, 1, 3}, {0, 1, 2}), ones = Array({1, 1, 3}, 1).tensor(f32);
  EXPECT_TRUE(equal(run_op(Op::conv_transpose, {&line, &ones},
                           {{A::strides, Ints{3}}, {A::output_shape, Ints{10}}}),
                    values(f32, {1, 1, 10}, {0, 0, 0, 1, 1, 1, 2, 2, 2, 0})));
}

TEST(ReferenceWindow, ConvOfOtherTypesAndEmptyTensors) {
  Random random(2);
  for (const ElementType type : {ElementType::f16, ElementType::bf16, f32}) {
    const Tensor x = random.tensor(type, {2, 3, 8}), w = random.tensor(type, {4, 3, 3});
    const Tensor wide_x = Array(x).tensor(f64), wide_w = Array(w).tensor(f64);
    const Tensor expected = Array(run_op(Op::conv, {&wide_x, &wide_w})).tensor(type);
    const double rounding = type == ElementType::bf16 ? 0x1p-8 : 0x1p-11;
    EXPECT_TRUE(close(run_op(Op::conv, {&x, &w}), expected, rounding, 1e-6)) << name(type);
  }
  const Tensor none(f32, {0, 2, 5}), w(f32, {3, 2, 2}), bias = values(f32, {3}, {1, 2, 3});
  EXPECT_TRUE(equal(run_op(Op::conv, {&none, &w, &bias}), Tensor(f32, {0, 3, 4})));
  // Without input channels only the bias is left.
  const Tensor no_channels(f32, {1, 0, 3}), no_weights(f32, {3, 0, 2});
  EXPECT_TRUE(equal(run_op(Op::conv, {&no_channels, &no_weights, &bias}),
                    values(f32, {1, 3, 2}, {1, 1, 2, 2, 3, 3})));
  const Tensor x(f32, {1, 2, 5}), long_w(f32, {3, 2, 6});
  EXPECT_THAT(error_of(Op::conv, {&x, &long_w}), HasSubstr("larger than the padded input"));
}

TEST(ReferenceWindow, PoolsMatchTheirDefinition) {
  Random random(3);
  for (int round = 0; round < 80; ++round) {
    const auto spatial = static_cast<size_t>(random.integer(1, 3));
    Setting s = random_setting(random, spatial);
    const bool ceil_mode = random.integer(0, 1) == 1, with_padding = random.integer(0, 1) == 1;
    Ints in = {2, 3}, out = {2, 3};
    for (size_t i = 0; i < spatial; ++i) {
      const int64_t span = (s.kernel[i] - 1) * s.dilations[i] + 1;
      s.end[i] = std::min(s.end[i], span - 1);  // else whole windows may begin in the padding
      in.push_back(std::max<int64_t>(random.integer(1, 9), span - s.begin[i] - s.end[i]));
      const int64_t room = in.back() + s.begin[i] + s.end[i] - span;
      int64_t count = room / s.strides[i] + 1;
      if (ceil_mode && room % s.strides[i] != 0 && count * s.strides[i] < in.back() + s.begin[i])
        ++count;
      out.push_back(count);
    }
    const Tensor x = random.tensor(f64, in);
    const Array ax(x);
    Array best(out, -INFINITY), indices(out, -1), mean(out);
    for_each_index(out, [&](const Index& at) {
      double sum = 0, covered = 0, padded = 0;
      for_each_index(s.kernel, [&](const Index& tap) {
        Index from = {at[0], at[1]};
        bool inside = true;
        for (size_t i = 0; i < spatial; ++i) {
          from.push_back(meeting(s, i, at[2 + i], tap[i]));
          if (from.back() >= in[2 + i] + s.end[i]) return;
          inside = inside && from.back() >= 0 && from.back() < in[2 + i];
        }
        padded += 1;
        if (!inside) return;
        covered += 1;
        sum += ax(from);
        if (ax(from) > best(at)) {
          best(at) = ax(from);
          indices(at) = static_cast<double>(ax.offset(from));
        }
      });
      const double count = with_padding ? padded : covered;
      mean(at) = count > 0 ? sum / count : 0;
    });
    std::vector<Attribute> attributes = s.attributes();
    attributes.emplace_back(A::kernel, s.kernel);
    attributes.emplace_back(A::ceil_mode, ceil_mode);
    const auto pooled = run_op_results(Op::max_pool, {&x}, attributes, 2);
    EXPECT_TRUE(equal(*pooled[0], best.tensor(f64))) << "round " << round;
    EXPECT_TRUE(equal(*pooled[1], indices.tensor(ElementType::i64))) << "round " << round;
    attributes.emplace_back(A::count_include_pad, with_padding);
    EXPECT_TRUE(close(run_op(Op::average_pool, {&x}, attributes), mean.tensor(f64), 1e-14, 1e-14))
        << "round " << round;
  }
}

TEST(ReferenceWindow, PoolsOfTheOnnxDocumentation) {
  const Tensor x = counting(f32, {1, 1, 5, 5}, 1);
  const Ints two = {2, 2}, five = {5, 5}, pads = {2, 2, 2, 2};
  const auto best = run_op_results(Op::max_pool, {&x}, {{A::kernel, five}, {A::pads, pads}}, 2);
  EXPECT_TRUE(
      equal(*best[0], values(f32, {1, 1, 5, 5}, {13, 14, 15, 15, 15, 18, 19, 20, 20, 20, 23, 24, 25,
                                                 25, 25, 23, 24, 25, 25, 25, 23, 24, 25, 25, 25})));
  EXPECT_EQ(best[1]->data<int64_t>()[6], 18);
  const auto columns = run_op_results(
      Op::max_pool, {&x}, {{A::kernel, two}, {A::strides, two}, {A::storage_order, int64_t{1}}}, 2);
  EXPECT_TRUE(equal(*columns[0], values(f32, {1, 1, 2, 2}, {7, 9, 17, 19})));
  EXPECT_TRUE(equal(*columns[1], values(ElementType::i64, {1, 1, 2, 2}, {6, 16, 8, 18})));
  EXPECT_TRUE(equal(run_op(Op::average_pool, {&x}, {{A::kernel, five}, {A::pads, pads}}),
                    values(f32, {1, 1, 5, 5},
                           {7,    7.5, 8,    8.5, 9,    9.5, 10,   10.5, 11,   11.5, 12,   12.5, 13,
                            13.5, 14,  14.5, 15,  15.5, 16,  16.5, 17,   17.5, 18,   18.5, 19})));
  EXPECT_TRUE(close(run_op(Op::average_pool, {&x},
                           {{A::kernel, five}, {A::pads, pads}, {A::count_include_pad, true}}),
                    values(f32, {1, 1, 5, 5}, {2.52,  3.6,  4.8,  4.08, 3.24, 4.56, 6.4,  8.4, 7.04,
                                               5.52,  7.2,  10,   13,   10.8, 8.4,  6.96, 9.6, 12.4,
                                               10.24, 7.92, 6.12, 8.4,  10.8, 8.88, 6.84}),
                    1e-6, 0));
  // The kernel of the last places sticks out at the end.
  EXPECT_TRUE(equal(
      run_op(
          Op::average_pool, {&x},
          {{A::kernel, Ints{3, 3}}, {A::strides, two}, {A::auto_pad, std::string("same_upper")}}),
      values(f32, {1, 1, 3, 3}, {4, 5.5, 7, 11.5, 13, 14.5, 19, 20.5, 22})));
}

TEST(ReferenceWindow, MaxPoolOfOtherTypes) {
  const Ints kernel = {2};
  const Tensor u8 = values(ElementType::u8, {1, 1, 4}, {3, 200, 7, 0});
  EXPECT_TRUE(equal(run_op(Op::max_pool, {&u8}, {{A::kernel, kernel}}),
                    values(ElementType::u8, {1, 1, 3}, {200, 200, 7})));
  const Tensor i8 = values(ElementType::i8, {1, 1, 3}, {-128, -3, -7});
  EXPECT_TRUE(equal(run_op(Op::max_pool, {&i8}, {{A::kernel, kernel}, {A::pads, Ints{1, 1}}}),
                    values(ElementType::i8, {1, 1, 4}, {-128, -3, -3, -7})));
  const Tensor f16 = values(ElementType::f16, {1, 1, 3}, {-0.5, -2, NAN});
  EXPECT_TRUE(equal(run_op(Op::max_pool, {&f16}, {{A::kernel, kernel}}),
                    values(ElementType::f16, {1, 1, 2}, {-0.5, NAN})));
  // NaN stays whatever follows it; equal elements: the first one's index.
  const Tensor nan = values(f32, {1, 1, 4}, {NAN, 1, 2, 2});
  const auto both = run_op_results(Op::max_pool, {&nan}, {{A::kernel, kernel}}, 2);
  EXPECT_TRUE(equal(*both[0], values(f32, {1, 1, 3}, {NAN, 2, 2})));
  EXPECT_TRUE(equal(*both[1], values(ElementType::i64, {1, 1, 3}, {0, 2, 2})));
}

TEST(ReferenceWindow, WindowsOfAbsurdSizeOrInPaddingOnly) {
  const Tensor x = values(f32, {1, 1, 3}, {-1, -2, -3});
  // A kernel of 2^40 places costs no more than the places that it covers.
  const std::vector<Attribute> huge = {{A::kernel, Ints{int64_t{1} << 40}},
                                       {A::auto_pad, std::string("same_upper")}};
  EXPECT_TRUE(equal(run_op(Op::max_pool, {&x}, huge), values(f32, {1, 1, 3}, {-1, -1, -1})));
  EXPECT_TRUE(equal(run_op(Op::average_pool, {&x}, huge), values(f32, {1, 1, 3}, {-2, -2, -2})));
  const std::vector<Attribute> outside = {{A::kernel, Ints{1}}, {A::pads, Ints{0, 1}}};
  const auto best = run_op_results(Op::max_pool, {&x}, outside, 2);
  EXPECT_EQ(best[0]->data<float>()[3], -INFINITY);
  EXPECT_EQ(best[1]->data<int64_t>()[3], -1);
  EXPECT_EQ(run_op(Op::average_pool, {&x}, outside).data<float>()[3], 0);
  const Tensor none(f32, {2, 0, 3});
  EXPECT_TRUE(equal(run_op(Op::max_pool, {&none}, {{A::kernel, Ints{2}}}), Tensor(f32, {2, 0, 2})));
}

}  // namespace
}  // namespace refrain
