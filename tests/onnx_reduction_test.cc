// ONNX reductions, softmax and the like: every form that each op has had.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "support/compare.h"
#include "support/onnx_op.h"

namespace refrain::testing {
namespace {

using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();

void expect_op(const OnnxOp& op, const Tensor& expected, double tolerance = 1e-6) {
  EXPECT_TRUE(close(*op.run()[0], expected, tolerance, tolerance));
}

Tensor matrix() { return f32({2, 3}, {1, 2, 3, 4, 5, 6}); }

TEST(OnnxReduction, AxesAttribute) {
  const auto rows = [](int opset, const char* op) {
    return OnnxOp(opset, op, {{"axes", Ints{1}}, {"keepdims", 0}}).data(matrix());
  };
  expect_op(rows(12, "ReduceSum"), f32({2}, {6, 15}));
  expect_op(rows(13, "ReduceMean"), f32({2}, {2, 5}));
  expect_op(rows(13, "ReduceMax"), f32({2}, {3, 6}));
  expect_op(rows(13, "ReduceMin"), f32({2}, {1, 4}));
  expect_op(rows(7, "ReduceProd"), f32({2}, {6, 120}));
  expect_op(rows(11, "ReduceL1"), f32({2}, {6, 15}));
  expect_op(rows(11, "ReduceL2"), f32({2}, {std::sqrt(14.0f), std::sqrt(77.0f)}));
  expect_op(rows(11, "ReduceSumSquare"), f32({2}, {14, 77}));
  expect_op(rows(11, "ReduceLogSum"), f32({2}, {std::log(6.0f), std::log(15.0f)}));
  expect_op(rows(11, "ReduceLogSumExp"), f32({2}, {3.4076059f, 6.4076059f}));
  expect_op(OnnxOp(12, "ReduceSum").any_rank().data(matrix()), f32({1, 1}, {21}));
  expect_op(OnnxOp(11, "ReduceMean", {{"axes", Ints{-2}}}).data(matrix()),
            f32({1, 3}, {2.5, 3.5, 4.5}));
  EXPECT_THAT(OnnxOp(12, "ReduceSum").data(matrix()).constant(i64({1}, {1})).error(),
              HasSubstr("too many inputs"));
}

TEST(OnnxReduction, AxesInput) {
  const auto rows = [](int opset, const char* op) {
    return OnnxOp(opset, op, {{"keepdims", 0}}).any_rank().data(matrix()).either(i64({1}, {-1}));
  };
  expect_op(rows(13, "ReduceSum"), f32({2}, {6, 15}));
  expect_op(rows(18, "ReduceMean"), f32({2}, {2, 5}));
  expect_op(rows(18, "ReduceMax"), f32({2}, {3, 6}));
  expect_op(rows(20, "ReduceMin"), f32({2}, {1, 4}));
  expect_op(rows(18, "ReduceProd"), f32({2}, {6, 120}));
  expect_op(rows(18, "ReduceL1"), f32({2}, {6, 15}));
  expect_op(rows(18, "ReduceL2"), f32({2}, {std::sqrt(14.0f), std::sqrt(77.0f)}));
  expect_op(rows(18, "ReduceSumSquare"), f32({2}, {14, 77}));
  expect_op(rows(18, "ReduceLogSum"), f32({2}, {std::log(6.0f), std::log(15.0f)}));
  expect_op(rows(18, "ReduceLogSumExp"), f32({2}, {3.4076059f, 6.4076059f}));
  expect_op(OnnxOp(18, "ReduceMean").data(matrix()).either(i64({2}, {0, 1})), f32({1, 1}, {3.5}));
  EXPECT_THAT(OnnxOp(13, "ReduceSum", {{"axes", Ints{1}}}).data(matrix()).error(),
              HasSubstr("axes"));
}

TEST(OnnxReduction, EmptyAxes) {
  const auto empty = [](int64_t noop) {
    return OnnxOp(18, "ReduceSum", {{"noop_with_empty_axes", noop}})
        .data(matrix())
        .either(i64({0}, {}));
  };
  expect_op(empty(0), f32({1, 1}, {21}));
  expect_op(empty(1), matrix());
  expect_op(OnnxOp(13, "ReduceSum", {{"noop_with_empty_axes", 1}}).data(matrix()), matrix());
}

TEST(OnnxReduction, LogSumExpNeitherOverflowsNorVanishes) {
  const auto op = [](int64_t keep) {
    return OnnxOp(13, "ReduceLogSumExp", {{"axes", Ints{1}}, {"keepdims", keep}})
        .data(f32({4, 2}, {1000, 1000, -1000, -1000, -kInf, -kInf, kInf, 0}));
  };
  expect_op(op(0), f32({4}, {1000.6931f, -999.30685f, -kInf, kInf}));
  expect_op(op(1), f32({4, 1}, {1000.6931f, -999.30685f, -kInf, kInf}));
}

TEST(OnnxReduction, OtherElementTypes) {
  expect_op(OnnxOp(13, "ReduceSum").data(i64({3}, {1, 2, 3})), i64({1}, {6}));
  expect_op(OnnxOp(13, "ReduceL2").data(i64({2}, {3, 4})), i64({1}, {5}));
  expect_op(OnnxOp(20, "ReduceMax", {{"keepdims", 0}})
                .data(booleans({2, 2}, {false, false, false, true}))
                .either(i64({1}, {1})),
            booleans({2}, {false, true}));
  expect_op(OnnxOp(20, "ReduceMin", {{"keepdims", 0}})
                .data(booleans({2, 2}, {true, true, false, true}))
                .either(i64({1}, {1})),
            booleans({2}, {true, false}));
}

TEST(OnnxReduction, ArgMaxAndArgMin) {
  const auto x = [] { return f32({2, 3}, {1, 3, 3, 0, 0, 5}); };
  expect_op(OnnxOp(7, "ArgMax").data(x()), i64({1, 3}, {0, 0, 1}));
  expect_op(OnnxOp(13, "ArgMax", {{"axis", -1}, {"keepdims", 0}}).data(x()), i64({2}, {1, 2}));
  expect_op(OnnxOp(12, "ArgMax", {{"axis", 1}, {"select_last_index", 1}}).data(x()),
            i64({2, 1}, {2, 2}));
  expect_op(OnnxOp(12, "ArgMin", {{"axis", 1}, {"select_last_index", 1}}).data(x()),
            i64({2, 1}, {0, 1}));
  expect_op(OnnxOp(11, "ArgMin", {{"axis", 1}}).data(x()), i64({2, 1}, {0, 0}));
}

TEST(OnnxReduction, SoftmaxAlongOneAxis) {
  const float a = 0.26894142f, b = 0.73105858f;
  const auto x = [] { return f32({1, 2, 2}, {0, 1, 1, 2}); };
  expect_op(OnnxOp(13, "Softmax").any_rank().data(x()), f32({1, 2, 2}, {a, b, a, b}));
  expect_op(OnnxOp(13, "Softmax", {{"axis", 1}}).any_rank().data(x()),
            f32({1, 2, 2}, {a, a, b, b}));
  expect_op(OnnxOp(13, "LogSoftmax", {{"axis", -2}}).data(x()),
            f32({1, 2, 2}, {std::log(a), std::log(a), std::log(b), std::log(b)}));
  expect_op(OnnxOp(13, "Hardmax").data(x()), f32({1, 2, 2}, {0, 1, 0, 1}));
}

TEST(OnnxReduction, SoftmaxOverFlattenedAxes) {
  // exp(0), exp(1), exp(1), exp(2) over their sum
  const float p0 = 0.07232949f, p1 = 0.19661193f, p2 = 0.53444665f;
  const auto x = [] { return f32({1, 2, 2}, {0, 1, 1, 2}); };
  expect_op(OnnxOp(12, "Softmax").data(x()), f32({1, 2, 2}, {p0, p1, p1, p2}));
  expect_op(OnnxOp(7, "Softmax", {{"axis", 0}}).data(x()), f32({1, 2, 2}, {p0, p1, p1, p2}));
  expect_op(OnnxOp(11, "Softmax", {{"axis", -2}}).data(x()), f32({1, 2, 2}, {p0, p1, p1, p2}));
  expect_op(OnnxOp(11, "LogSoftmax").data(x()),
            f32({1, 2, 2}, {std::log(p0), std::log(p1), std::log(p1), std::log(p2)}));
  expect_op(OnnxOp(11, "Hardmax").data(x()), f32({1, 2, 2}, {0, 0, 0, 1}));
  const float a = 0.26894142f, b = 0.73105858f;
  expect_op(OnnxOp(12, "Softmax", {{"axis", 2}}).data(x()), f32({1, 2, 2}, {a, b, a, b}));
  expect_op(OnnxOp(12, "Softmax", {{"axis", -1}}).any_rank().data(x()),
            f32({1, 2, 2}, {a, b, a, b}));
  expect_op(OnnxOp(12, "Softmax").data(f32({2}, {0, 5})), f32({2}, {1, 1}));
  expect_op(OnnxOp(12, "Softmax").data(f32({1, 2, 0}, {})), f32({1, 2, 0}, {}));
  EXPECT_THAT(OnnxOp(12, "Softmax", {{"axis", 4}}).data(x()).error(), HasSubstr("axis"));
}

TEST(OnnxReduction, CumSum) {
  const auto sum = [](std::vector<OnnxAttribute> attributes) {
    return OnnxOp(14, "CumSum", std::move(attributes))
        .any_rank()
        .data(matrix())
        .either(i64({}, {1}));
  };
  expect_op(sum({}), f32({2, 3}, {1, 3, 6, 4, 9, 15}));
  expect_op(sum({{"exclusive", 1}}), f32({2, 3}, {0, 1, 3, 0, 4, 9}));
  expect_op(sum({{"reverse", 1}}), f32({2, 3}, {6, 5, 3, 15, 11, 6}));
  expect_op(OnnxOp(11, "CumSum").data(matrix()).either(tensor<int32_t>({}, {-2})),
            f32({2, 3}, {1, 2, 3, 5, 7, 9}));
}

TEST(OnnxReduction, TopK) {
  const auto expect_top = [](const OnnxOp& op, const Tensor& values, const Tensor& indices) {
    const auto results = op.run(2);
    EXPECT_TRUE(equal(*results[0], values));
    EXPECT_TRUE(equal(*results[1], indices));
  };
  const auto x = [] { return f32({2, 3}, {1, 3, 2, 6, 5, 4}); };
  expect_top(OnnxOp(9, "TopK", {{"k", 2}}).data(x()), f32({2, 2}, {3, 2, 6, 5}),
             i64({2, 2}, {1, 2, 0, 1}));
  expect_top(OnnxOp(10, "TopK", {{"axis", 0}}).data(x()).either(i64({1}, {1})),
             f32({1, 3}, {6, 5, 4}), i64({1, 3}, {1, 1, 1}));
  expect_top(OnnxOp(11, "TopK", {{"largest", 0}}).data(x()).either(i64({1}, {2})),
             f32({2, 2}, {1, 2, 4, 5}), i64({2, 2}, {0, 2, 2, 1}));
  EXPECT_THAT(OnnxOp(11, "TopK").data(x()).constant(i64({1}, {4})).error(2),
              HasSubstr("k of top_k"));
}

}  // namespace
}  // namespace refrain::testing
