// ONNX products, convolution, pooling, dropout and normalisations: every form that each op has had.
#include <gmock/gmock.h>

#include <cmath>

#include "support/compare.h"
#include "support/onnx_op.h"

namespace refrain::testing {
namespace {

using ::testing::HasSubstr;

void expect_op(const OnnxOp& op, const Tensor& expected, double tolerance = 1e-6) {
  EXPECT_TRUE(close(*op.run()[0], expected, tolerance, tolerance));
}

Tensor counting(std::vector<int64_t> extents) { return iota(ElementType::f32, std::move(extents)); }

// ---- products

TEST(OnnxNetwork, MatMulAndEinsum) {
  expect_op(OnnxOp(9, "MatMul").any_rank().data(counting({2, 2})).either(counting({2})),
            f32({2}, {1, 3}));
  expect_op(OnnxOp(12, "Einsum", {{"equation", "ij,kj->ik"}})
                .any_rank()
                .data(counting({2, 2}))
                .data(counting({1, 2})),
            f32({2, 1}, {1, 3}));
}

TEST(OnnxNetwork, GemmForms) {
  const auto gemm = [](int opset, std::vector<OnnxAttribute> attributes = {}) {
    return OnnxOp(opset, "Gemm", std::move(attributes)).any_rank();
  };
  const auto a = [] { return f32({2, 2}, {1, 2, 3, 4}); };
  const auto b = [] { return f32({2, 2}, {1, 0, 1, 1}); };
  expect_op(gemm(7).data(a()).either(b()).either(f32({2}, {10, 20})),
            f32({2, 2}, {13, 22, 17, 24}));
  expect_op(gemm(9, {{"transA", 1}}).data(a()).either(b()).either(f32({}, {0})),
            f32({2, 2}, {4, 3, 6, 4}));
  expect_op(gemm(11, {{"transB", 1}}).data(a()).either(b()), f32({2, 2}, {1, 3, 3, 7}));
  expect_op(
      gemm(13, {{"alpha", 0.5}, {"beta", 2.0}}).data(a()).either(b()).either(f32({2, 1}, {1, 2})),
      f32({2, 2}, {3.5, 3, 7.5, 6}));
  EXPECT_FALSE(gemm(9).data(a()).data(b()).error().empty());  // C became optional in 11
  EXPECT_THAT(gemm(13).data(f32({1, 2}, {1, 2})).data(b()).data(f32({2, 1}, {1, 2})).error(),
              HasSubstr("C does not broadcast"));
  EXPECT_THAT(gemm(13).data(f32({2}, {1, 2})).data(b()).error(), HasSubstr("rank"));
}

// ---- windows

TEST(OnnxNetwork, Conv) {
  const auto conv = [](std::vector<OnnxAttribute> attributes) {
    return OnnxOp(11, "Conv", std::move(attributes))
        .any_rank()
        .data(f32({1, 1, 4}, {1, 2, 3, 4}))
        .either(f32({1, 1, 2}, {1, 10}));
  };
  expect_op(conv({}), f32({1, 1, 3}, {21, 32, 43}));
  expect_op(conv({{"kernel_shape", Ints{2}}, {"strides", Ints{2}}}), f32({1, 1, 2}, {21, 43}));
  expect_op(conv({{"dilations", Ints{2}}}), f32({1, 1, 2}, {31, 42}));
  expect_op(conv({{"pads", Ints{1, 0}}}), f32({1, 1, 4}, {10, 21, 32, 43}));
  expect_op(conv({{"auto_pad", "SAME_UPPER"}}), f32({1, 1, 4}, {21, 32, 43, 4}));
  expect_op(conv({{"auto_pad", "SAME_LOWER"}}), f32({1, 1, 4}, {10, 21, 32, 43}));
  expect_op(conv({{"auto_pad", "VALID"}, {"pads", Ints{0, 0}}}), f32({1, 1, 3}, {21, 32, 43}));
  expect_op(conv({}).either(f32({1}, {100})), f32({1, 1, 3}, {121, 132, 143}));
  EXPECT_THAT(conv({{"auto_pad", "VALID"}, {"pads", Ints{1, 0}}}).error(), HasSubstr("contradict"));
  EXPECT_THAT(conv({{"auto_pad", "SAME"}}).error(), HasSubstr("auto_pad = SAME"));
  EXPECT_THAT(conv({{"kernel_shape", Ints{3}}}).error(), HasSubstr("kernel_shape"));
  // Depthwise: two groups of one channel.
  expect_op(OnnxOp(11, "Conv", {{"group", 2}})
                .data(f32({1, 2, 2}, {1, 2, 3, 4}))
                .either(f32({2, 1, 1}, {1, 10})),
            f32({1, 2, 2}, {1, 2, 30, 40}));
}

TEST(OnnxNetwork, ConvTranspose) {
  const auto conv = [](std::vector<OnnxAttribute> attributes) {
    return OnnxOp(11, "ConvTranspose", std::move(attributes))
        .any_rank()
        .data(f32({1, 1, 2}, {1, 2}))
        .either(f32({1, 1, 2}, {1, 10}));
  };
  expect_op(conv({}), f32({1, 1, 3}, {1, 12, 20}));
  expect_op(conv({{"strides", Ints{3}}}), f32({1, 1, 5}, {1, 10, 0, 2, 20}));
  expect_op(conv({{"strides", Ints{3}}, {"output_padding", Ints{1}}}),
            f32({1, 1, 6}, {1, 10, 0, 2, 20, 0}));
  expect_op(conv({{"pads", Ints{1, 0}}}), f32({1, 1, 2}, {12, 20}));
  expect_op(conv({{"strides", Ints{3}}, {"output_shape", Ints{6}}}),
            f32({1, 1, 6}, {1, 10, 0, 2, 20, 0}));
  expect_op(conv({{"auto_pad", "SAME_UPPER"}}), f32({1, 1, 2}, {1, 12}));
}

TEST(OnnxNetwork, Pooling) {
  const auto pool = [](int opset, const char* op, std::vector<OnnxAttribute> attributes) {
    return OnnxOp(opset, op, std::move(attributes)).any_rank().data(f32({1, 1, 4}, {1, 4, 2, 3}));
  };
  expect_op(pool(7, "MaxPool", {{"kernel_shape", Ints{2}}}), f32({1, 1, 3}, {4, 4, 3}));
  expect_op(
      pool(10, "MaxPool", {{"kernel_shape", Ints{3}}, {"strides", Ints{2}}, {"ceil_mode", 1}}),
      f32({1, 1, 2}, {4, 3}));
  expect_op(pool(12, "MaxPool", {{"kernel_shape", Ints{2}}, {"dilations", Ints{2}}}),
            f32({1, 1, 2}, {2, 4}));
  const auto both = pool(12, "MaxPool", {{"kernel_shape", Ints{2}}, {"storage_order", 1}}).run(2);
  EXPECT_TRUE(equal(*both[1], i64({1, 1, 3}, {1, 1, 3})));
  expect_op(pool(7, "AveragePool", {{"kernel_shape", Ints{2}}, {"strides", Ints{2}}}),
            f32({1, 1, 2}, {2.5, 2.5}));
  expect_op(pool(7, "AveragePool", {{"kernel_shape", Ints{2}}, {"pads", Ints{1, 0}}}),
            f32({1, 1, 4}, {1, 2.5, 3, 2.5}));
  expect_op(pool(7, "AveragePool",
                 {{"kernel_shape", Ints{2}}, {"pads", Ints{1, 0}}, {"count_include_pad", 1}}),
            f32({1, 1, 4}, {0.5, 2.5, 3, 2.5}));
  expect_op(pool(19, "AveragePool", {{"kernel_shape", Ints{2}}, {"dilations", Ints{2}}}),
            f32({1, 1, 2}, {1.5, 3.5}));
  EXPECT_THAT(pool(11, "AveragePool", {{"kernel_shape", Ints{2}}, {"dilations", Ints{2}}}).error(),
              HasSubstr("dilations"));
  EXPECT_THAT(pool(11, "MaxPool", {}).error(), HasSubstr("without a kernel"));
  const auto global = [](const char* op) {
    return OnnxOp(7, op).data(f32({1, 2, 2}, {1, 4, 2, 3}));
  };
  expect_op(global("GlobalAveragePool"), f32({1, 2, 1}, {2.5, 2.5}));
  expect_op(global("GlobalMaxPool"), f32({1, 2, 1}, {4, 3}));
}

// ---- dropout

TEST(OnnxNetwork, DropoutIsTheIdentity) {
  const auto x = [] { return f32({2}, {1, 2}); };
  expect_op(OnnxOp(7, "Dropout", {{"ratio", 0.3}}).any_rank().data(x()), x());
  expect_op(OnnxOp(12, "Dropout", {{"seed", 1}}).any_rank().data(x()).either(f32({}, {0.3f})), x());
  expect_op(OnnxOp(13, "Dropout").data(x()).absent().constant(booleans({}, {false})), x());
  expect_op(OnnxOp(13, "Dropout").data(x()).constant(f32({}, {0})).data(booleans({}, {true})), x());
  EXPECT_TRUE(
      equal(*OnnxOp(10, "Dropout").any_rank().data(x()).run(2)[1], booleans({2}, {true, true})));
  EXPECT_TRUE(equal(*OnnxOp(7, "Dropout").data(x()).run(2)[1], f32({2}, {1, 1})));
  EXPECT_THAT(OnnxOp(13, "Dropout").data(x()).absent().constant(booleans({}, {true})).error(),
              HasSubstr("training_mode"));
  EXPECT_THAT(OnnxOp(13, "Dropout").data(x()).absent().data(booleans({}, {false})).error(),
              HasSubstr("training_mode"));
}

// ---- normalisation

OnnxOp batch_normalization(int opset, std::vector<OnnxAttribute> attributes = {}) {
  attributes.emplace_back("epsilon", 0.0);
  return OnnxOp(opset, "BatchNormalization", std::move(attributes))
      .data(f32({1, 2, 2}, {1, 3, 2, 6}))
      .either(f32({2}, {2, 1}))
      .either(f32({2}, {10, 0}))
      .either(f32({2}, {1, 4}))
      .either(f32({2}, {4, 1}));
}

TEST(OnnxNetwork, BatchNormalization) {
  const auto expected = f32({1, 2, 2}, {10, 12, -2, 2});
  expect_op(batch_normalization(7, {{"momentum", 0.5}, {"spatial", 1}}), expected);
  expect_op(batch_normalization(9), expected);
  expect_op(batch_normalization(15, {{"training_mode", 0}}), expected);
  EXPECT_THAT(batch_normalization(7, {{"spatial", 0}}).error(), HasSubstr("spatial = 0"));
  EXPECT_THAT(batch_normalization(9).error(3), HasSubstr("training outputs"));
}

TEST(OnnxNetwork, BatchNormalizationInTraining) {
  const auto results = batch_normalization(14, {{"training_mode", 1}, {"momentum", 0.25}}).run(3);
  // Batch means 2 and 4, variances 1 and 4.
  EXPECT_TRUE(close(*results[0], f32({1, 2, 2}, {8, 12, -1, 1}), 1e-6, 1e-6));
  EXPECT_TRUE(close(*results[1], f32({2}, {1.75, 4}), 1e-6, 1e-6));
  EXPECT_TRUE(close(*results[2], f32({2}, {1.75, 3.25}), 1e-6, 1e-6));
}

TEST(OnnxNetwork, BatchNormalizationOfHalfFloats) {
  Tensor x = converted(f32({1, 2, 2}, {1, 3, 2, 6}), ElementType::f16);
  OnnxOp op(15, "BatchNormalization", {{"epsilon", 0.0}});
  op.data(std::move(x))
      .either(f32({2}, {2, 1}))
      .either(f32({2}, {10, 0}))
      .either(f32({2}, {1, 4}))
      .either(f32({2}, {4, 1}));
  expect_op(op, converted(f32({1, 2, 2}, {10, 12, -2, 2}), ElementType::f16));
}

TEST(OnnxNetwork, InstanceNormalization) {
  expect_op(OnnxOp(7, "InstanceNormalization", {{"epsilon", 0.0}})
                .data(f32({1, 2, 2}, {1, 3, 2, 6}))
                .either(f32({2}, {2, 1}))
                .either(f32({2}, {10, 0})),
            f32({1, 2, 2}, {8, 12, -1, 1}));
}

TEST(OnnxNetwork, LayerNormalization) {
  OnnxOp op(17, "LayerNormalization", {{"epsilon", 0.0}});
  op.any_rank().data(f32({2, 2}, {1, 3, 2, 6})).either(f32({2}, {2, 1})).either(f32({2}, {10, 0}));
  const auto results = op.run(3);
  EXPECT_TRUE(close(*results[0], f32({2, 2}, {8, 1, 8, 1}), 1e-6, 1e-6));
  EXPECT_TRUE(close(*results[1], f32({2, 1}, {2, 4}), 1e-6, 1e-6));
  EXPECT_TRUE(close(*results[2], f32({2, 1}, {1, 0.5}), 1e-6, 1e-6));
  // Over both axes: mean 3, variance 3.5.
  const float d = 1 / std::sqrt(3.5f);
  for (const int axis : {0, -2}) {
    expect_op(OnnxOp(17, "LayerNormalization", {{"epsilon", 0.0}, {"axis", axis}})
                  .data(f32({2, 2}, {1, 3, 2, 6}))
                  .either(f32({2, 2}, {1, 1, 1, 1})),
              f32({2, 2}, {-2 * d, 0, -d, 3 * d}));
  }
  EXPECT_THAT(OnnxOp(17, "LayerNormalization")
                  .data(f32({1, 2}, {1, 3}))
                  .constant(f32({3, 1}, {1, 1, 1}))
                  .error(),
              HasSubstr("parameter"));
  EXPECT_THAT(OnnxOp(17, "LayerNormalization", {{"axis", 2}})
                  .data(f32({1, 2}, {1, 3}))
                  .constant(f32({2}, {1, 1}))
                  .error(),
              HasSubstr("axis"));
}

// The squares of these elements overflow f16; the op must compute in f32.
TEST(OnnxNetwork, LayerNormalizationOfHalfFloats) {
  OnnxOp op(17, "LayerNormalization");
  op.data(converted(f32({1, 2}, {-1000, 1000}), ElementType::f16))
      .either(converted(f32({2}, {1, 2}), ElementType::f16));
  const auto results = op.run(2);
  EXPECT_TRUE(close(*results[0], converted(f32({1, 2}, {-1, 2}), ElementType::f16), 1e-3, 1e-3));
  EXPECT_TRUE(equal(*results[1], f32({1, 1}, {0})));
}

TEST(OnnxNetwork, GroupNormalization) {
  const auto x = [] { return f32({1, 4, 1}, {1, 3, 2, 6}); };
  // One scale a group, then one a channel.
  expect_op(OnnxOp(18, "GroupNormalization", {{"epsilon", 0.0}, {"num_groups", 2}})
                .data(x())
                .either(f32({2}, {2, 1}))
                .either(f32({2}, {10, 0})),
            f32({1, 4, 1}, {8, 12, -1, 1}));
  expect_op(OnnxOp(21, "GroupNormalization", {{"epsilon", 0.0}, {"num_groups", 2}})
                .data(x())
                .either(f32({4}, {2, 1, 1, 3}))
                .either(f32({4}, {10, 0, 0, 0})),
            f32({1, 4, 1}, {8, 1, -1, 3}));
  EXPECT_THAT(OnnxOp(18, "GroupNormalization", {{"num_groups", 3}})
                  .data(x())
                  .constant(f32({3}, {1, 1, 1}))
                  .constant(f32({3}, {1, 1, 1}))
                  .error(),
              HasSubstr("groups"));
}

TEST(OnnxNetwork, OtherNormalizations) {
  expect_op(OnnxOp(23, "RMSNormalization", {{"epsilon", 0.0}})
                .any_rank()
                .data(f32({1, 2}, {1, 7}))
                .either(f32({2}, {1, 2})),
            f32({1, 2}, {0.2f, 2.8f}));
  expect_op(OnnxOp(7, "LpNormalization").any_rank().data(f32({2, 2}, {3, 4, 0, 0})),
            f32({2, 2}, {0.6f, 0.8f, 0, 0}));
  expect_op(OnnxOp(7, "LpNormalization", {{"p", 1}, {"axis", 0}}).data(f32({2, 1}, {1, -3})),
            f32({2, 1}, {0.25, -0.75}));
  expect_op(OnnxOp(13, "MeanVarianceNormalization", {{"axes", Ints{1}}}).data(f32({1, 2}, {1, 3})),
            f32({1, 2}, {-1, 1}));
}

}  // namespace
}  // namespace refrain::testing
