// ONNX element-wise ops: every form that each op has had.
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "support/compare.h"
#include "support/onnx_op.h"

namespace refrain::testing {
namespace {

using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

void expect_op(const OnnxOp& op, const Tensor& expected, double tolerance = 1e-6) {
  EXPECT_TRUE(close(*op.run()[0], expected, tolerance, tolerance));
}

TEST(OnnxElementwise, Arithmetic) {
  const auto binary = [](const char* op) {
    return OnnxOp(7, op).any_rank().data(f32({2, 2}, {1, 2, 3, 4})).either(f32({2}, {2, 4}));
  };
  expect_op(binary("Add"), f32({2, 2}, {3, 6, 5, 8}));
  expect_op(binary("Sub"), f32({2, 2}, {-1, -2, 1, 0}));
  expect_op(binary("Mul"), f32({2, 2}, {2, 8, 6, 16}));
  expect_op(binary("Div"), f32({2, 2}, {0.5, 0.5, 1.5, 1}));
  expect_op(binary("Pow"), f32({2, 2}, {1, 16, 9, 256}));
  expect_op(OnnxOp(14, "Div").data(i64({3}, {7, -7, 9})).data(i64({}, {2})), i64({3}, {3, -3, 4}));
  // The exponent's type need not be the base's.
  expect_op(OnnxOp(12, "Pow").data(f32({2}, {2, 3})).data(i64({2}, {3, 2})), f32({2}, {8, 9}));
}

TEST(OnnxElementwise, BroadcastingBeforeOpset7IsNotMisread) {
  EXPECT_THAT(
      OnnxOp(6, "Add", {{"broadcast", 1}}).data(f32({2, 1}, {1, 2})).data(f32({2}, {1, 2})).error(),
      HasSubstr("Add"));
}

TEST(OnnxElementwise, UnaryFunctions) {
  const std::pair<const char*, double (*)(double)> functions[] = {
      {"Sqrt", std::sqrt}, {"Exp", std::exp},   {"Log", std::log},     {"Sin", std::sin},
      {"Cos", std::cos},   {"Tan", std::tan},   {"Asin", std::asin},   {"Acos", std::acos},
      {"Atan", std::atan}, {"Sinh", std::sinh}, {"Cosh", std::cosh},   {"Asinh", std::asinh},
      {"Erf", std::erf},   {"Tanh", std::tanh}, {"Atanh", std::atanh}, {"Floor", std::floor},
      {"Ceil", std::ceil}};
  for (const auto& [name, function] : functions) {
    SCOPED_TRACE(name);
    Tensor x = f32({2, 2}, {0.125f, 0.25f, 0.5f, 0.75f}), expected = x.clone();
    for (float& v : expected.data<float>()) v = static_cast<float>(function(double{v}));
    expect_op(OnnxOp(13, name).any_rank().data(x.clone()), expected);
  }
  expect_op(OnnxOp(9, "Acosh").data(f32({2}, {1, 2})), f32({2}, {0, 1.3169579f}));
  expect_op(OnnxOp(11, "Round").data(f32({4}, {0.5f, 1.5f, -2.5f, 2.7f})), f32({4}, {0, 2, -2, 3}));
  expect_op(OnnxOp(13, "Neg").data(i64({2}, {3, -4})), i64({2}, {-3, 4}));
  expect_op(OnnxOp(13, "Abs").data(f32({2}, {3, -4})), f32({2}, {3, 4}));
  expect_op(OnnxOp(13, "Sign").data(f32({3}, {3, -4, 0})), f32({3}, {1, -1, 0}));
  expect_op(OnnxOp(13, "Reciprocal").any_rank().data(f32({2}, {4, -0.5})), f32({2}, {0.25, -2}));
}

TEST(OnnxElementwise, Activations) {
  const auto activation = [](int opset, const char* op,
                             std::vector<OnnxAttribute> attributes = {}) {
    return OnnxOp(opset, op, std::move(attributes)).any_rank().data(f32({3}, {-2, 0, 1.5}));
  };
  const float e2 = std::exp(-2.0f);
  expect_op(activation(13, "Relu"), f32({3}, {0, 0, 1.5}));
  expect_op(activation(13, "Sigmoid"), f32({3}, {0.11920292f, 0.5f, 0.81757448f}));
  expect_op(activation(7, "LeakyRelu"), f32({3}, {-0.02f, 0, 1.5}));
  expect_op(activation(16, "LeakyRelu", {{"alpha", 0.5}}), f32({3}, {-1, 0, 1.5}));
  expect_op(activation(7, "Elu"), f32({3}, {e2 - 1, 0, 1.5}));
  expect_op(activation(7, "Elu", {{"alpha", 2.0}}), f32({3}, {2 * (e2 - 1), 0, 1.5}));
  expect_op(activation(7, "Selu"), f32({3}, {1.7580993f * (e2 - 1), 0, 1.5f * 1.05070102f}));
  expect_op(activation(7, "Selu", {{"alpha", 2.0}, {"gamma", 3.0}}),
            f32({3}, {6 * (e2 - 1), 0, 4.5}));
  expect_op(activation(7, "HardSigmoid"), f32({3}, {0.1f, 0.5f, 0.8f}));
  expect_op(activation(7, "HardSigmoid", {{"alpha", 0.5}, {"beta", 0.25}}),
            f32({3}, {0, 0.25f, 1}));
  expect_op(activation(7, "Softplus"), f32({3}, {0.12692801f, 0.69314718f, 1.7014133f}));
  expect_op(activation(7, "Softsign"), f32({3}, {-2.0f / 3, 0, 0.6f}));
  expect_op(activation(10, "ThresholdedRelu"), f32({3}, {0, 0, 1.5}));
  expect_op(activation(10, "ThresholdedRelu", {{"alpha", 1.5}}), f32({3}, {0, 0, 0}));
  expect_op(activation(14, "HardSwish"), f32({3}, {-1.0f / 3, 0, 1.125f}));
  expect_op(activation(18, "Mish"), f32({3}, {-0.25250149f, 0, 1.4033782f}), 2e-6);
  expect_op(activation(24, "Swish"), f32({3}, {-0.23840584f, 0, 1.2263617f}));
  expect_op(activation(24, "Swish", {{"alpha", 2.0}}), f32({3}, {-0.03597242f, 0, 1.4288612f}));
  expect_op(activation(12, "Celu"), f32({3}, {e2 - 1, 0, 1.5}));
  expect_op(activation(12, "Celu", {{"alpha", 2.0}}),
            f32({3}, {2 * (std::exp(-1.0f) - 1), 0, 1.5}));
  expect_op(activation(9, "Shrink"), f32({3}, {-2, 0, 1.5}));
  expect_op(activation(9, "Shrink", {{"lambd", 1.0}, {"bias", 0.5}}), f32({3}, {-1.5, 0, 1}));
  expect_op(activation(20, "Gelu"), f32({3}, {-0.04550026f, 0, 1.3997892f}));
  expect_op(activation(20, "Gelu", {{"approximate", "tanh"}}),
            f32({3}, {-0.04540231f, 0, 1.3995723f}));
  EXPECT_THAT(activation(20, "Gelu", {{"approximate", "cubic"}}).error(),
              HasSubstr("approximate = cubic"));
}

TEST(OnnxElementwise, UnknownAttributesAreReported) {
  EXPECT_THAT(OnnxOp(13, "Relu", {{"slope", 0.5}}).data(f32({1}, {1})).error(), HasSubstr("slope"));
  EXPECT_THAT(OnnxOp(12, "Clip", {{"min", 0.5}}).data(f32({1}, {1})).error(), HasSubstr("min"));
}

TEST(OnnxElementwise, PReluBroadcastsTheSlopeOnly) {
  expect_op(OnnxOp(9, "PRelu").data(f32({2, 2}, {-1, 2, -3, -4})).either(f32({2}, {0.5, 0.25})),
            f32({2, 2}, {-0.5, 2, -1.5, -1}));
  EXPECT_THAT(OnnxOp(9, "PRelu").data(f32({1, 2}, {-1, 2})).data(f32({2, 1}, {1, 2})).error(),
              HasSubstr("slope"));
}

TEST(OnnxElementwise, ClipForms) {
  const auto x = [] { return f32({4}, {-3, -1, 1, 3}); };
  expect_op(OnnxOp(7, "Clip", {{"min", -2.0}, {"max", 2.0}}).data(x()), f32({4}, {-2, -1, 1, 2}));
  expect_op(OnnxOp(10, "Clip", {{"max", 0.0}}).data(x()), f32({4}, {-3, -1, 0, 0}));
  expect_op(OnnxOp(10, "Clip").data(x()), x());
  expect_op(OnnxOp(11, "Clip").any_rank().data(x()).either(f32({}, {-2})).either(f32({}, {2})),
            f32({4}, {-2, -1, 1, 2}));
  expect_op(OnnxOp(13, "Clip").data(x()).absent().either(f32({1}, {2})), f32({4}, {-3, -1, 1, 2}));
  expect_op(OnnxOp(13, "Clip").data(i64({3}, {1, 5, 9})).either(i64({}, {3})), i64({3}, {3, 5, 9}));
  // Bounds the wrong way round: the upper one wins.
  expect_op(OnnxOp(13, "Clip").data(x()).either(f32({}, {2})).either(f32({}, {0})),
            f32({4}, {0, 0, 0, 0}));
  EXPECT_THAT(OnnxOp(10, "Clip").data(x()).data(f32({}, {1})).error(),
              HasSubstr("too many inputs"));
}

// A constant that comes from a float attribute need not be one of the operand's type.
TEST(OnnxElementwise, ConstantsMustFitTheElementType) {
  const auto clip = [](double max) {
    return OnnxOp(7, "Clip", {{"max", max}}).data(i64({2}, {1, 5}));
  };
  expect_op(clip(3), i64({2}, {1, 3}));
  for (const double max : {1e30, 2.5, std::nan("")}) {
    EXPECT_THAT(clip(max).error(), HasSubstr("does not fit the element type"));
  }
  EXPECT_THAT(OnnxOp(7, "Clip", {{"min", -1.0}}).data(tensor<uint8_t>({1}, {1})).error(),
              HasSubstr("does not fit the element type"));
}

// As PyTorch exports `1 + abs(x)` of a scripted module.
TEST(OnnxElementwise, ConstantsOfAnotherType) {
  const Tensor one = i64({}, {1}), half = tensor<double>({}, {0.5});
  expect_op(OnnxOp(13, "Add").data(f32({2}, {1, 2})).constant(one.clone()), f32({2}, {2, 3}));
  expect_op(OnnxOp(13, "Sub").constant(one.clone()).data(f32({2}, {1, 3})), f32({2}, {0, -2}));
  expect_op(OnnxOp(13, "Greater").data(f32({2}, {0, 1})).constant(half.clone()),
            tensor<bool>({2}, {false, true}));
  expect_op(OnnxOp(13, "Max").data(f32({2}, {0, 1})).constant(half.clone()), f32({2}, {0.5, 1}));
  expect_op(
      OnnxOp(13, "Clip").data(f32({3}, {0, 0.7, 2})).constant(half.clone()).constant(one.clone()),
      f32({3}, {0.5, 0.7, 1}));
  expect_op(OnnxOp(13, "Where")
                .data(tensor<bool>({2}, {true, false}))
                .data(f32({2}, {1, 2}))
                .constant(half.clone()),
            f32({2}, {1, 0.5}));
  // No number of the source: tensors, or whole numbers beside a fraction.
  for (const OnnxOp& op : {OnnxOp(13, "Add").data(f32({1}, {1})).data(one.clone()),
                           OnnxOp(13, "Add").data(f32({2}, {1, 2})).constant(i64({2}, {1, 2})),
                           OnnxOp(13, "Add").data(i64({1}, {1})).constant(half.clone())}) {
    EXPECT_THAT(op.error(), HasSubstr("operands differ in element type"));
  }
}

TEST(OnnxElementwise, Variadic) {
  const auto three = [](const char* op) {
    return OnnxOp(13, op)
        .any_rank()
        .data(f32({2}, {1, 5}))
        .data(f32({}, {3}))
        .data(f32({2, 1}, {2, 8}));
  };
  expect_op(three("Sum"), f32({2, 2}, {6, 10, 12, 16}));
  expect_op(three("Max"), f32({2, 2}, {3, 5, 8, 8}));
  expect_op(three("Min"), f32({2, 2}, {1, 2, 1, 3}));
  expect_op(three("Mean"), f32({2, 2}, {2, 10.0f / 3, 4, 16.0f / 3}));
  for (const char* op : {"Sum", "Max", "Min", "Mean"}) {
    expect_op(OnnxOp(8, op).data(f32({2}, {1, 5})), f32({2}, {1, 5}));
  }
}

TEST(OnnxElementwise, Mod) {
  const auto x = [] { return i64({4}, {-4, 7, 5, -8}); };
  const auto y = [] { return i64({4}, {3, -3, 8, 5}); };
  expect_op(OnnxOp(10, "Mod").data(x()).data(y()), i64({4}, {2, -2, 5, 2}));
  expect_op(OnnxOp(13, "Mod", {{"fmod", 1}}).data(x()).data(y()), i64({4}, {-1, 1, 5, -3}));
  expect_op(OnnxOp(13, "Mod", {{"fmod", 1}}).data(f32({2}, {-4.5, 7})).data(f32({2}, {2, -3})),
            f32({2}, {-0.5, 1}));
  EXPECT_THAT(OnnxOp(13, "Mod").data(f32({1}, {1})).data(f32({1}, {1})).error(), HasSubstr("fmod"));
}

TEST(OnnxElementwise, Comparisons) {
  const auto compare = [](int opset, const char* op) {
    return OnnxOp(opset, op).any_rank().data(f32({3}, {1, 2, 3})).either(f32({}, {2}));
  };
  expect_op(compare(9, "Less"), booleans({3}, {true, false, false}));
  expect_op(compare(9, "Greater"), booleans({3}, {false, false, true}));
  expect_op(compare(11, "Equal"), booleans({3}, {false, true, false}));
  expect_op(compare(12, "LessOrEqual"), booleans({3}, {true, true, false}));
  expect_op(compare(16, "GreaterOrEqual"), booleans({3}, {false, true, true}));
}

TEST(OnnxElementwise, Logic) {
  const auto logic = [](const char* op) {
    return OnnxOp(7, op).data(booleans({2, 1}, {false, true})).data(booleans({2}, {false, true}));
  };
  expect_op(logic("And"), booleans({2, 2}, {false, false, false, true}));
  expect_op(logic("Or"), booleans({2, 2}, {false, true, true, true}));
  expect_op(logic("Xor"), booleans({2, 2}, {false, true, true, false}));
  expect_op(OnnxOp(7, "Not").data(booleans({2}, {false, true})), booleans({2}, {true, false}));
  expect_op(OnnxOp(9, "Where")
                .data(booleans({2}, {false, true}))
                .data(f32({}, {1}))
                .data(f32({2}, {2, 3})),
            f32({2}, {2, 1}));
}

TEST(OnnxElementwise, NotFinite) {
  const auto x = [] { return f32({4}, {1, kInf, -kInf, kNan}); };
  expect_op(OnnxOp(9, "IsNaN").data(x()), booleans({4}, {false, false, false, true}));
  expect_op(OnnxOp(10, "IsInf").data(x()), booleans({4}, {false, true, true, false}));
  expect_op(OnnxOp(10, "IsInf", {{"detect_negative", 0}}).data(x()),
            booleans({4}, {false, true, false, false}));
  expect_op(OnnxOp(20, "IsInf", {{"detect_positive", 0}}).data(x()),
            booleans({4}, {false, false, true, false}));
  expect_op(
      OnnxOp(20, "IsInf", {{"detect_positive", 0}, {"detect_negative", 0}}).any_rank().data(x()),
      booleans({4}, {false, false, false, false}));
}

TEST(OnnxElementwise, Casts) {
  expect_op(OnnxOp(9, "Cast", {{"to", 7}}).any_rank().data(f32({3}, {1.7f, -1.7f, 0})),
            i64({3}, {1, -1, 0}));
  expect_op(OnnxOp(13, "Cast", {{"to", 9}}).data(f32({2}, {0.5, 0})), booleans({2}, {true, false}));
  expect_op(OnnxOp(19, "Cast", {{"to", 1}, {"saturate", 0}}).data(i64({1}, {3})), f32({1}, {3}));
  expect_op(OnnxOp(15, "CastLike").data(f32({1}, {2.5})).data(i64({2}, {0, 0})), i64({1}, {2}));
  expect_op(OnnxOp(13, "Identity").any_rank().data(f32({1}, {2.5})), f32({1}, {2.5}));
  EXPECT_FALSE(OnnxOp(13, "Cast", {{"to", 8}}).data(f32({1}, {1})).error().empty());  // strings
  EXPECT_FALSE(OnnxOp(13, "Cast", {{"to", int64_t{1} << 40}}).data(f32({1}, {1})).error().empty());
  EXPECT_FALSE(OnnxOp(13, "Cast").data(f32({1}, {1})).error().empty());
}

}  // namespace
}  // namespace refrain::testing
