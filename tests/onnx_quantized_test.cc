// ONNX quantized operators: every form that each op has had, and what must not be imported.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "frontend/driver/model.h"
#include "support/compare.h"
#include "support/onnx_op.h"
#include "support/onnx_run.h"
#include "support/prepared.h"
#include "support/random.h"

namespace refrain::testing {
namespace {

using ::testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Tensor u8(std::vector<int64_t> extents, std::initializer_list<uint8_t> values) {
  return tensor<uint8_t>(std::move(extents), values);
}
Tensor i8(std::vector<int64_t> extents, std::initializer_list<int8_t> values) {
  return tensor<int8_t>(std::move(extents), values);
}
Tensor i32(std::vector<int64_t> extents, std::initializer_list<int32_t> values) {
  return tensor<int32_t>(std::move(extents), values);
}

void expect_op(const OnnxOp& op, const Tensor& expected) {
  EXPECT_TRUE(equal(*op.run()[0], expected));
}

// ---- QuantizeLinear

OnnxOp quantize(int opset, std::vector<OnnxAttribute> attributes = {}) {
  return OnnxOp(opset, "QuantizeLinear", std::move(attributes));
}

TEST(OnnxQuantized, QuantizeLinearRoundsHalfToEvenAndSaturates) {
  for (const int opset : {10, 13, 19, 21, 23}) {
    expect_op(quantize(opset)
                  .data(f32({9}, {0, 1, 3, 5, -1, 1000, -1000, kInfinity, -kInfinity}))
                  .either(f32({}, {2}))
                  .either(u8({}, {128})),
              u8({9}, {128, 128, 130, 130, 128, 255, 0, 255, 0}));
    expect_op(quantize(opset)
                  .data(f32({6}, {0, 5, 7, -5, 300, -300}))
                  .either(f32({}, {2}))
                  .either(i8({}, {-1})),
              i8({6}, {-1, 1, 3, -3, 127, -128}));
    expect_op(quantize(opset).data(f32({3}, {-1, 2.5, 300})).either(f32({}, {1})),
              u8({3}, {0, 2, 255}));
  }
  // A single element need not be a scalar, nor be an axis' length.
  expect_op(quantize(13).data(f32({2, 2}, {1, 2, 3, 4})).constant(f32({1}, {1})),
            u8({2, 2}, {1, 2, 3, 4}));
  expect_op(quantize(13).data(f32({2}, {1, 2})).constant(f32({1}, {1})), u8({2}, {1, 2}));
  // The zero point is added after rounding: 0.5 + 127 would round to 128.
  expect_op(quantize(13).data(f32({2}, {0.5, 1.5})).either(f32({}, {1})).either(u8({}, {127})),
            u8({2}, {127, 129}));
}

TEST(OnnxQuantized, QuantizeLinearOfIntegers) {
  expect_op(
      quantize(13).data(i32({4}, {7, -7, 1000, -1000})).either(f32({}, {2})).either(i8({}, {1})),
      i8({4}, {5, -3, 127, -128}));
  expect_op(quantize(19).data(i32({3}, {7, 9, 300})).either(i32({}, {2})), u8({3}, {4, 4, 150}));
}

TEST(OnnxQuantized, QuantizeLinearAlongAnAxis) {
  const auto x = [] { return f32({2, 3, 1}, {2, 4, 8, -2, -4, -8}); };
  const auto scale = [] { return f32({3}, {2, 1, 4}); };
  const auto zero = [] { return u8({3}, {1, 10, 100}); };
  for (const int opset : {13, 19}) {
    expect_op(quantize(opset).data(x()).either(scale()).either(zero()),
              u8({2, 3, 1}, {2, 14, 102, 0, 6, 98}));
    expect_op(quantize(opset, {{"axis", -2}}).data(x()).either(scale()).either(zero()),
              u8({2, 3, 1}, {2, 14, 102, 0, 6, 98}));
  }
  expect_op(quantize(13, {{"axis", 0}}).data(x()).either(f32({2}, {2, 1})).either(i8({2}, {0, 1})),
            i8({2, 3, 1}, {1, 2, 4, -1, -3, -7}));
  EXPECT_THAT(quantize(13).data(x()).data(f32({2}, {1, 1})).error(), HasSubstr("broadcast"));
  EXPECT_THAT(quantize(13).data(f32({1, 1}, {1})).data(f32({3}, {1, 1, 1})).error(),
              HasSubstr("the scale does not broadcast to the input"));
  EXPECT_THAT(quantize(13).data(x()).data(scale()).data(u8({2}, {1, 1})).error(),
              HasSubstr("broadcast"));
  EXPECT_THAT(quantize(13, {{"axis", 3}}).data(x()).data(scale()).error(),
              HasSubstr("axis out of range"));
  EXPECT_THAT(quantize(13).data(x()).data(f32({3, 1}, {1, 1, 1})).error(), HasSubstr("wrong rank"));
  EXPECT_THAT(quantize(10, {{"axis", 0}}).data(x()).data(f32({}, {1})).error(), HasSubstr("axis"));
  EXPECT_FALSE(quantize(10).data(x()).data(scale()).error().empty());
}

TEST(OnnxQuantized, BlocksOfOneScale) {
  const auto x = [] { return f32({2, 5}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}); };
  expect_op(quantize(21, {{"axis", 1}, {"block_size", 2}})
                .data(x())
                .either(f32({2, 3}, {1, 0.5, 1, 2, 1, 0.25}))
                .either(i8({2, 3}, {0, 0, 1, 0, -1, 0})),
            i8({2, 5}, {1, 2, 6, 8, 6, 3, 4, 7, 8, 40}));
  expect_op(OnnxOp(21, "DequantizeLinear", {{"axis", 0}, {"block_size", 2}})
                .data(u8({3, 1}, {1, 2, 3}))
                .either(f32({2, 1}, {0.5, 2})),
            f32({3, 1}, {0.5, 1, 6}));
  EXPECT_THAT(
      quantize(21, {{"block_size", 3}}).data(x()).data(f32({2, 3}, {1, 1, 1, 1, 1, 1})).error(),
      HasSubstr("wrong number of blocks of a scale or zero point: expected 2"));
  EXPECT_THAT(quantize(21, {{"block_size", 3}}).data(x()).data(f32({2}, {1, 1})).error(),
              HasSubstr("wrong rank of a scale or zero point: expected 2"));
  EXPECT_THAT(quantize(21, {{"block_size", -1}}).data(x()).data(f32({}, {1})).error(),
              HasSubstr("block_size out of range"));
}

TEST(OnnxQuantized, QuantizedTypes) {
  expect_op(quantize(21)
                .data(f32({3}, {70000, -1, 65534.5}))
                .either(f32({}, {1}))
                .either(tensor<uint16_t>({}, {1})),
            tensor<uint16_t>({3}, {65535, 0, 65535}));
  expect_op(
      quantize(21, {{"output_dtype", 5}}).data(f32({2}, {40000, -40000})).either(f32({}, {1})),
      tensor<int16_t>({2}, {32767, -32768}));
  EXPECT_THAT(quantize(21, {{"output_dtype", 3}})
                  .data(f32({1}, {1}))
                  .data(f32({}, {1}))
                  .data(u8({}, {1}))
                  .error(),
              HasSubstr("output_dtype and the zero point contradict each other"));
  EXPECT_THAT(quantize(21, {{"output_dtype", 6}}).data(f32({1}, {1})).data(f32({}, {1})).error(),
              HasSubstr("wrong type to quantize to"));
  EXPECT_THAT(quantize(13).data(f32({1}, {1})).data(f32({}, {1})).data(f32({}, {1})).error(),
              HasSubstr("wrong type to quantize to"));
  // 8-bit floats.
  EXPECT_FALSE(
      quantize(21, {{"output_dtype", 17}}).data(f32({1}, {1})).data(f32({}, {1})).error().empty());
}

TEST(OnnxQuantized, TheDivisionHasTheScalesPrecision) {
  const auto x = [] { return f32({1}, {205.4f}); };
  const auto scale = [](ElementType type) { return converted(f32({}, {1}), type); };
  const auto zero = [] { return tensor<int16_t>({}, {2049}); };
  expect_op(quantize(21)
                .data(converted(f32({1}, {2050.9f}), ElementType::f16))
                .either(scale(ElementType::f16))
                .either(zero()),
            tensor<int16_t>({1}, {4099}));
  // 205.4 is 206 in bf16, which has 8 bits.
  expect_op(quantize(23).data(x()).either(scale(ElementType::f32)), u8({1}, {205}));
  expect_op(quantize(23, {{"precision", 16}})
                .data(f32({1}, {300.9f}))
                .either(scale(ElementType::f32))
                .either(tensor<int16_t>({}, {0})),
            tensor<int16_t>({1}, {300}));
  expect_op(quantize(23)
                .data(f32({1}, {300.9f}))
                .either(scale(ElementType::bf16))
                .either(tensor<int16_t>({}, {0})),
            tensor<int16_t>({1}, {300}));
  EXPECT_THAT(quantize(23, {{"precision", 6}}).data(x()).data(scale(ElementType::f32)).error(),
              HasSubstr("precision out of range"));
}

// ---- DequantizeLinear

OnnxOp dequantize(int opset, std::vector<OnnxAttribute> attributes = {}) {
  return OnnxOp(opset, "DequantizeLinear", std::move(attributes));
}

TEST(OnnxQuantized, DequantizeLinear) {
  for (const int opset : {10, 13, 19, 21, 23}) {
    expect_op(
        dequantize(opset).data(u8({3}, {0, 128, 255})).either(f32({}, {0.5})).either(u8({}, {128})),
        f32({3}, {-64, 0, 63.5}));
    expect_op(
        dequantize(opset).data(i8({2}, {-128, 127})).either(f32({}, {2})).either(i8({}, {127})),
        f32({2}, {-510, 0}));
    expect_op(dequantize(opset).data(i32({2}, {100000, -3})).either(f32({}, {0.5})),
              f32({2}, {50000, -1.5}));
  }
  expect_op(dequantize(13)
                .data(u8({2, 2}, {1, 2, 3, 4}))
                .either(f32({2}, {1, 10}))
                .either(u8({2}, {1, 0})),
            f32({2, 2}, {0, 20, 2, 40}));
  expect_op(dequantize(19, {{"axis", 0}})
                .data(u8({2, 2}, {1, 2, 3, 4}))
                .either(converted(f32({2}, {1, 10}), ElementType::f16)),
            converted(f32({2, 2}, {1, 2, 30, 40}), ElementType::f16));
  expect_op(dequantize(23, {{"output_dtype", 10}}).data(u8({1}, {3})).either(f32({}, {2})),
            converted(f32({1}, {6}), ElementType::f16));
  // 60000 as an f16 is in reach only of the product.
  expect_op(
      dequantize(19).data(i32({1}, {120000})).either(converted(f32({}, {0.5}), ElementType::f16)),
      converted(f32({1}, {60000}), ElementType::f16));
  EXPECT_THAT(dequantize(13).data(f32({1}, {1})).data(f32({}, {1})).error(),
              HasSubstr("wrong type of the input"));
  EXPECT_THAT(dequantize(13).data(u8({1}, {1})).data(u8({}, {1})).error(),
              HasSubstr("wrong type of the scale"));
  EXPECT_THAT(dequantize(13).data(u8({1}, {1})).data(f32({}, {1})).data(i8({}, {1})).error(),
              HasSubstr("wrong type of the zero point"));
  EXPECT_THAT(
      dequantize(13).data(u8({2}, {1, 2})).data(f32({}, {1})).data(u8({3}, {1, 2, 3})).error(),
      HasSubstr("axis out of range"));
}

// ---- DynamicQuantizeLinear

TEST(OnnxQuantized, DynamicQuantizeLinear) {
  const auto run = [](Tensor x) {
    return OnnxOp(11, "DynamicQuantizeLinear").data(std::move(x)).run(3);
  };
  const auto both_signs = run(f32({2, 2}, {-255, 0, 127.5, 255}));
  EXPECT_TRUE(equal(*both_signs[0], u8({2, 2}, {0, 128, 192, 255})));
  EXPECT_TRUE(equal(*both_signs[1], f32({}, {2})));
  EXPECT_TRUE(equal(*both_signs[2], u8({}, {128})));  // 127.5, to even
  const auto positive = run(f32({2}, {51, 255}));
  EXPECT_TRUE(equal(*positive[0], u8({2}, {51, 255})));
  EXPECT_TRUE(equal(*positive[2], u8({}, {0})));
  const auto negative = run(f32({2}, {-51, -255}));
  EXPECT_TRUE(equal(*negative[0], u8({2}, {204, 0})));
  EXPECT_TRUE(equal(*negative[2], u8({}, {255})));
  // Nothing but 0: what is dequantized is 0 again.
  const auto zeros = run(f32({2}, {0, 0}));
  EXPECT_TRUE(equal(*zeros[0], u8({2}, {0, 0})));
  EXPECT_TRUE(equal(*zeros[1], f32({}, {0})));
  EXPECT_TRUE(equal(*zeros[2], u8({}, {0})));
  EXPECT_THAT(OnnxOp(11, "DynamicQuantizeLinear").data(i64({1}, {1})).error(3),
              HasSubstr("wrong type"));
}

// ---- products

OnnxOp matmul_integer() { return OnnxOp(10, "MatMulInteger"); }

TEST(OnnxQuantized, MatMulInteger) {
  const auto a = [] { return u8({2, 3}, {11, 7, 3, 10, 6, 2}); };
  const auto b = [] { return i8({3, 2}, {1, 4, -2, 5, 3, -6}); };
  expect_op(matmul_integer().data(a()).either(b()), i32({2, 2}, {6, 61, 4, 58}));
  expect_op(matmul_integer().data(a()).either(b()).either(u8({}, {12})).either(i8({}, {1})),
            i32({2, 2}, {-3, 40, -2, 40}));
  expect_op(matmul_integer().data(a()).either(b()).either(u8({1}, {12})),
            i32({2, 2}, {-18, 25, -20, 22}));
  // One a row of the left, one a column of the right.
  expect_op(
      matmul_integer().data(a()).either(b()).either(u8({2}, {11, 10})).either(i8({2}, {1, 4})),
      i32({2, 2}, {-4, 76, -4, 76}));
  expect_op(matmul_integer()
                .data(a())
                .either(b())
                .either(u8({2, 1}, {11, 10}))
                .either(i8({1, 2}, {1, 4})),
            i32({2, 2}, {-4, 76, -4, 76}));
  expect_op(matmul_integer().data(u8({3}, {11, 7, 3})).either(b()).either(u8({1}, {12})),
            i32({2}, {-18, 25}));
}

TEST(OnnxQuantized, MatMulIntegerErrors) {
  const auto a = [] { return u8({2, 3}, {11, 7, 3, 10, 6, 2}); };
  const auto b = [] { return i8({3, 2}, {1, 4, -2, 5, 3, -6}); };
  EXPECT_THAT(matmul_integer().data(a()).data(b()).data(i8({}, {1})).error(),
              HasSubstr("wrong type of the zero point"));
  EXPECT_THAT(matmul_integer().data(a()).data(b()).data(u8({3}, {1, 1, 1})).error(),
              HasSubstr("broadcast"));
  EXPECT_THAT(matmul_integer().data(a()).data(b()).absent().data(i8({3}, {1, 1, 1})).error(),
              HasSubstr("broadcast"));
  EXPECT_THAT(matmul_integer().data(f32({1, 1}, {1})).data(b()).error(),
              HasSubstr("a tensor of i8 or u8"));
  EXPECT_FALSE(
      matmul_integer().data(u8({3}, {1, 2, 3})).data(b()).data(u8({3}, {1, 1, 1})).error().empty());
}

// Sums of 8-bit products past 2^24, where f32 would round.
TEST(OnnxQuantized, SumsAreExact) {
  Tensor a(ElementType::u8, {1, 1001}), b(ElementType::u8, {1001, 1});
  int32_t expected = 0;
  for (size_t i = 0; i < 1001; ++i) {
    a.data<uint8_t>()[i] = static_cast<uint8_t>(255 - i % 3);
    b.data<uint8_t>()[i] = static_cast<uint8_t>(255 - i % 7);
    expected += a.data<uint8_t>()[i] * b.data<uint8_t>()[i];
  }
  ASSERT_GT(expected, 1 << 24);
  ASSERT_NE(static_cast<int32_t>(static_cast<float>(expected)), expected);
  expect_op(matmul_integer().data(a.clone()).either(b.clone()), i32({1, 1}, {expected}));
  const auto conv = [](const Tensor& x, const Tensor& w) {
    return OnnxOp(10, "ConvInteger")
        .data(x.clone().reshaped({1, 1, 1001}))
        .either(w.clone().reshaped({1, 1, 1001}));
  };
  expect_op(conv(a, b), i32({1, 1, 1}, {expected}));
}

OnnxOp qlinear_matmul(int opset, Tensor a, Tensor a_scale, Tensor a_zero, Tensor b, Tensor b_scale,
                      Tensor b_zero, Tensor y_scale, Tensor y_zero) {
  return OnnxOp(opset, "QLinearMatMul")
      .data(std::move(a))
      .either(std::move(a_scale))
      .either(std::move(a_zero))
      .data(std::move(b))
      .either(std::move(b_scale))
      .either(std::move(b_zero))
      .either(std::move(y_scale))
      .either(std::move(y_zero));
}

TEST(OnnxQuantized, QLinearMatMul) {
  const auto a = [] { return u8({2, 2}, {3, 1, 2, 5}); };
  const auto b = [] { return i8({2, 2}, {1, -2, 4, 3}); };
  // Differences from the zero points [2, 0; 1, 4] and [0, -3; 3, 2]; their product [0, -6; 12, 5].
  for (const int opset : {10, 21}) {
    expect_op(qlinear_matmul(opset, a(), f32({}, {0.5}), u8({}, {1}), b(), f32({}, {3}),
                             i8({}, {1}), f32({}, {2}), u8({}, {100})),
              u8({2, 2}, {100, 96, 109, 104}));  // times 0.75: -4.5, 9, 3.75
  }
  expect_op(qlinear_matmul(10, a(), f32({1}, {1}), u8({1}, {1}), b(), f32({1}, {100}), i8({1}, {1}),
                           f32({1}, {1}), i8({1}, {0})),
            i8({2, 2}, {0, -128, 127, 127}));
  // One scale a row of the left and of the result, one a column of the right.
  expect_op(qlinear_matmul(10, a(), f32({2}, {1, 2}), u8({2}, {1, 2}), b(), f32({2}, {1, 3}),
                           i8({2}, {1, 0}), f32({2}, {1, 2}), i8({2}, {0, 1})),
            i8({2, 2}, {0, -12, 10, 28}));
  expect_op(
      qlinear_matmul(10, a(), f32({2, 1}, {1, 2}), u8({2, 1}, {1, 2}), b(), f32({1, 2}, {1, 3}),
                     i8({1, 2}, {1, 0}), f32({2, 1}, {1, 2}), i8({2, 1}, {0, 1})),
      i8({2, 2}, {0, -12, 10, 28}));
  const auto half = [](float x) { return converted(f32({}, {x}), ElementType::f16); };
  expect_op(qlinear_matmul(21, a(), half(0.5), u8({}, {1}), b(), half(3), i8({}, {1}), half(2),
                           u8({}, {100})),
            u8({2, 2}, {100, 96, 109, 104}));
  EXPECT_THAT(qlinear_matmul(10, a(), u8({}, {1}), u8({}, {1}), b(), f32({}, {3}), i8({}, {1}),
                             f32({}, {2}), u8({}, {100}))
                  .error(),
              HasSubstr("wrong type of a scale"));
  EXPECT_THAT(qlinear_matmul(10, a(), f32({}, {1}), u8({}, {1}), b(), f32({}, {3}), i8({}, {1}),
                             f32({}, {2}), i32({}, {100}))
                  .error(),
              HasSubstr("wrong type of the result's zero point"));
  EXPECT_THAT(OnnxOp(10, "QLinearMatMul").data(a()).data(f32({}, {1})).absent().data(b()).error(),
              HasSubstr("input"));
}

// ---- convolutions

TEST(OnnxQuantized, ConvInteger) {
  const auto conv = [](std::vector<OnnxAttribute> attributes = {}) {
    return OnnxOp(10, "ConvInteger", std::move(attributes))
        .data(u8({1, 1, 4}, {2, 3, 4, 5}))
        .either(i8({2, 1, 2}, {1, 1, -1, 2}));
  };
  expect_op(conv(), i32({1, 2, 3}, {5, 7, 9, 4, 5, 6}));
  // Padding is 0 in terms of the real numbers: the zero point.
  expect_op(conv({{"pads", Ints{1, 1}}}).either(u8({}, {1})),
            i32({1, 2, 5}, {1, 3, 5, 7, 4, 2, 3, 4, 5, -4}));
  expect_op(
      conv({{"strides", Ints{2}}, {"kernel_shape", Ints{2}}}).absent().either(i8({2}, {0, -1})),
      i32({1, 2, 2}, {5, 9, 9, 15}));
  expect_op(conv({{"dilations", Ints{2}}}).absent().either(i8({}, {1})),
            i32({1, 2, 2}, {0, 0, 0, -1}));
  expect_op(OnnxOp(10, "ConvInteger", {{"group", 2}})
                .data(u8({1, 2, 1}, {2, 3}))
                .either(i8({2, 1, 1}, {4, 5})),
            i32({1, 2, 1}, {8, 15}));
  EXPECT_THAT(conv().data(u8({2}, {1, 1})).error(), HasSubstr("reshape"));
  EXPECT_THAT(conv().absent().data(i8({3}, {1, 1, 1})).error(), HasSubstr("broadcast"));
  EXPECT_THAT(conv().absent().data(i8({2, 1}, {1, 1})).error(),
              HasSubstr("wrong rank of a scale or zero point of weights"));
  EXPECT_THAT(conv({{"kernel_shape", Ints{3}}}).error(), HasSubstr("kernel_shape"));
}

OnnxOp qlinear_conv(Tensor w_scale, Tensor w_zero) {
  return OnnxOp(10, "QLinearConv")
      .data(u8({1, 1, 3}, {2, 3, 5}))
      .either(f32({}, {0.5}))
      .either(u8({}, {1}))
      .data(i8({2, 1, 2}, {1, 2, -1, 2}))
      .either(std::move(w_scale))
      .either(std::move(w_zero))
      .either(f32({}, {1}))
      .either(u8({}, {10}));
}

TEST(OnnxQuantized, QLinearConv) {
  // Sums of [1, 2, 4] with [1, 2] and [-1, 2].
  expect_op(qlinear_conv(f32({}, {1}), i8({}, {0})), u8({1, 2, 2}, {12, 15, 12, 13}));
  expect_op(qlinear_conv(f32({1}, {1}), i8({1}, {0})).either(i32({2}, {2, -100})),
            u8({1, 2, 2}, {14, 16, 0, 0}));  // (5 + 2) / 2 = 3.5, to even
  // Weights less [1, -1]: sums [2, 4] and [6, 12].
  expect_op(qlinear_conv(f32({2}, {1, 4}), i8({2}, {1, -1})), u8({1, 2, 2}, {11, 12, 22, 34}));
  EXPECT_THAT(qlinear_conv(f32({3}, {1, 1, 1}), i8({}, {0})).error(),
              HasSubstr("shapes don't broadcast"));
  EXPECT_THAT(qlinear_conv(f32({}, {1}), i8({}, {0})).data(f32({2}, {1, 1})).error(),
              HasSubstr("element type"));
}

// ---- a quantized recurrence

// h' = clip(W q(h) 2^-12 + x, -1, 1), where q quantizes in steps of 2^-6: in multiples of 2^-12
// everywhere, so that every backend must give the same bits.
OnnxModel quantized_recurrence(int64_t steps, int64_t rows, int64_t units, Random& random) {
  const auto weights = [&](std::vector<int64_t> extents, int64_t bound) {
    Tensor result(ElementType::i8, std::move(extents));
    for (int8_t& w : result.data<int8_t>()) w = static_cast<int8_t>(random.integer(-bound, bound));
    return result;
  };
  OnnxModel model(13);
  onnx::GraphProto body_proto;
  OnnxGraph body(body_proto);
  body.input("h", f32_type({rows, units})).input("x", f32_type({rows, units}));
  body.initializer("step", f32({}, {0x1p-6f})).initializer("zero", u8({}, {128}));
  body.initializer("w", weights({units, units}, 127));
  body.initializer("w_zero", weights({units}, 3));
  body.initializer("scale", f32({}, {0x1p-12f}));
  body.initializer("low", f32({}, {-1})).initializer("high", f32({}, {1}));
  body.node("QuantizeLinear", {"h", "step", "zero"}, {"q"});
  body.node("MatMulInteger", {"q", "w", "zero", "w_zero"}, {"sum"});
  body.node("Cast", {"sum"}, {"real"}, {{"to", 1}});
  body.node("Mul", {"real", "scale"}, {"scaled"});
  body.node("Add", {"scaled", "x"}, {"p"});
  body.node("Clip", {"p", "low", "high"}, {"next"});
  body.node("Identity", {"next"}, {"y"});
  body.output("next").output("y");
  OnnxGraph graph = model.graph();
  graph.input("h0", f32_type({rows, units})).input("xs", f32_type({steps, rows, units}));
  graph.node("Scan", {"h0", "xs"}, {"hT", "ys"}, {{"num_scan_inputs", 1}, {"body", body_proto}});
  graph.output("hT").output("ys");
  return model;
}

TEST(OnnxQuantized, ARecurrenceGivesTheSameBitsOnEveryBackend) {
  Random random(7);
  const int64_t steps = 9, rows = 3, units = 17;
  OnnxModel model = quantized_recurrence(steps, rows, units, random);
  const auto imported = import_model(model), optimized = import_model(model);
  optimize(*optimized);
  Tensor h0(ElementType::f32, {rows, units}), xs(ElementType::f32, {steps, rows, units});
  for (float& x : h0.data<float>()) x = static_cast<float>(random.integer(-64, 64)) * 0x1p-6f;
  for (float& x : xs.data<float>()) x = static_cast<float>(random.integer(-64, 64)) * 0x1p-8f;
  std::vector<RuntimeValue> values;
  values.emplace_back(h0.clone());
  values.emplace_back(xs.clone());
  const std::vector<RuntimeValue> expected = reference::run(*imported, values);
  const auto last = expected[0].tensor->data<float>();
  EXPECT_TRUE(std::any_of(last.begin(), last.end(), [](float x) { return std::abs(x) < 1; }));
  std::vector<Tensor> inputs;
  inputs.push_back(h0.clone());
  inputs.push_back(xs.clone());
  for (const KernelChoice kernels :
       {KernelChoice::onednn, KernelChoice::highway, KernelChoice::automatic}) {
    PreparedGraph prepared(*optimized, {.kernels = kernels});
    const std::vector<Tensor> actual = run(prepared, inputs);
    EXPECT_TRUE(equal(actual[0], *expected[0].tensor));
    EXPECT_TRUE(equal(actual[1], *expected[1].tensor));
  }
}

}  // namespace
}  // namespace refrain::testing
