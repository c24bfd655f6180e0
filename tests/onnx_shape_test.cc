// ONNX constants and ops that change shapes: every form that each op has had.
#include <gmock/gmock.h>

#include "support/compare.h"
#include "support/onnx_op.h"

namespace refrain::testing {
namespace {

using ::testing::HasSubstr;

void expect_op(const OnnxOp& op, const Tensor& expected) {
  EXPECT_TRUE(equal(*op.run()[0], expected));
}

Tensor counting(std::vector<int64_t> extents) { return iota(ElementType::f32, std::move(extents)); }

// counting() of as many elements with other extents: what a reshape gives.
void expect_reshaped(const OnnxOp& op, std::vector<int64_t> extents) {
  expect_op(op, counting(std::move(extents)));
}

TEST(OnnxShape, Constant) {
  expect_op(OnnxOp(9, "Constant", {{"value", i64({2}, {3, 4})}}), i64({2}, {3, 4}));
  expect_op(OnnxOp(12, "Constant", {{"value_float", 1.5}}), f32({}, {1.5}));
  expect_op(OnnxOp(13, "Constant", {{"value_floats", Floats{1.5, 2}}}), f32({2}, {1.5, 2}));
  expect_op(OnnxOp(13, "Constant", {{"value_int", 7}}), i64({}, {7}));
  expect_op(OnnxOp(13, "Constant", {{"value_ints", Ints{7, 8}}}), i64({2}, {7, 8}));
  EXPECT_THAT(OnnxOp(13, "Constant", {{"value_string", "a"}}).error(), HasSubstr("value_string"));
  EXPECT_THAT(OnnxOp(13, "Constant", {{"value_int", 7}, {"value_float", 1.0}}).error(),
              HasSubstr("more than one value"));
  EXPECT_THAT(OnnxOp(13, "Constant").error(), HasSubstr("without a value"));
}

TEST(OnnxShape, ConstantOfShape) {
  expect_op(OnnxOp(9, "ConstantOfShape").any_rank().either(i64({2}, {1, 2})), f32({1, 2}, {0, 0}));
  expect_op(OnnxOp(9, "ConstantOfShape", {{"value", i64({1}, {5})}}).either(i64({1}, {2})),
            i64({2}, {5, 5}));
  expect_op(OnnxOp(20, "ConstantOfShape").either(i64({0}, {})), f32({}, {0}));
  EXPECT_FALSE(OnnxOp(9, "ConstantOfShape").constant(i64({1}, {-2})).error().empty());
}

TEST(OnnxShape, ShapeAndSize) {
  const auto shape = [](int opset, std::vector<OnnxAttribute> attributes) {
    return OnnxOp(opset, "Shape", std::move(attributes)).any_rank().data(counting({2, 3, 4}));
  };
  expect_op(shape(13, {}), i64({3}, {2, 3, 4}));
  expect_op(shape(15, {{"start", 1}}), i64({2}, {3, 4}));
  expect_op(shape(15, {{"start", -2}, {"end", -1}}), i64({1}, {3}));
  expect_op(shape(19, {{"end", 10}}), i64({3}, {2, 3, 4}));
  expect_op(shape(19, {{"start", 2}, {"end", 1}}), i64({0}, {}));
  EXPECT_THAT(shape(13, {{"start", 1}}).error(), HasSubstr("start"));
  expect_op(OnnxOp(13, "Size").any_rank().data(counting({2, 3, 4})), i64({}, {24}));
}

TEST(OnnxShape, Reshape) {
  const auto reshape = [](Ints extents, std::vector<OnnxAttribute> attributes = {}) {
    return OnnxOp(14, "Reshape", std::move(attributes))
        .any_rank()
        .data(counting({2, 3, 4}))
        .either(Tensor::of_ints(extents));
  };
  expect_reshaped(reshape({4, 6}), {4, 6});
  expect_reshaped(reshape({0, -1}), {2, 12});
  expect_reshaped(reshape({-1}), {24});
  expect_op(
      OnnxOp(14, "Reshape", {{"allowzero", 1}}).data(counting({0, 3})).either(i64({2}, {3, 0})),
      counting({3, 0}));
  EXPECT_FALSE(reshape({5, 5}).error().empty());
}

TEST(OnnxShape, Flatten) {
  const auto flatten = [](std::vector<OnnxAttribute> attributes,
                          std::vector<int64_t> extents = {2, 3, 4}) {
    return OnnxOp(13, "Flatten", std::move(attributes))
        .any_rank()
        .data(counting(std::move(extents)));
  };
  expect_reshaped(flatten({}), {2, 12});
  expect_reshaped(flatten({{"axis", 0}}), {1, 24});
  expect_reshaped(flatten({{"axis", 2}}), {6, 4});
  expect_reshaped(flatten({{"axis", 3}}), {24, 1});
  expect_reshaped(flatten({{"axis", -1}}), {6, 4});
  expect_reshaped(flatten({{"axis", -3}}), {1, 24});
  expect_reshaped(flatten({}, {0, 3, 4}), {0, 12});
  expect_reshaped(flatten({}, {3, 0, 4}), {3, 0});
  expect_reshaped(flatten({{"axis", 0}}, {}), {1, 1});
  EXPECT_THAT(flatten({{"axis", 4}}).error(), HasSubstr("axis"));
}

TEST(OnnxShape, FlattenOfAMatrixKeepsItsSymbols) {
  const auto graph = OnnxOp(13, "Flatten", {{"axis", 1}}).data(counting({2, 3})).imported();
  EXPECT_EQ(graph->output(0)->type().shape, (Shape{Dim::symbol("d0_0"), Dim::symbol("d0_1")}));
}

TEST(OnnxShape, SqueezeAndUnsqueeze) {
  expect_reshaped(OnnxOp(12, "Squeeze", {{"axes", Ints{0}}}).any_rank().data(counting({1, 2, 1})),
                  {2, 1});
  expect_reshaped(OnnxOp(11, "Squeeze", {{"axes", Ints{-1}}}).data(counting({1, 2, 1})), {1, 2});
  expect_reshaped(OnnxOp(11, "Squeeze").any_rank().data(counting({1, 2, 1})), {2});
  expect_reshaped(
      OnnxOp(13, "Squeeze").any_rank().data(counting({1, 2, 1})).either(i64({2}, {0, -1})), {2});
  expect_reshaped(OnnxOp(13, "Squeeze").any_rank().data(counting({1, 2, 1})), {2});
  expect_reshaped(OnnxOp(12, "Unsqueeze", {{"axes", Ints{0, 2}}}).any_rank().data(counting({2})),
                  {1, 2, 1});
  expect_reshaped(OnnxOp(13, "Unsqueeze").any_rank().data(counting({2})).either(i64({2}, {-1, 0})),
                  {1, 2, 1});
  EXPECT_THAT(OnnxOp(13, "Unsqueeze", {{"axes", Ints{0}}}).data(counting({2})).error(),
              HasSubstr("axes"));
  EXPECT_THAT(OnnxOp(12, "Unsqueeze").data(counting({2})).error(), HasSubstr("without axes"));
  EXPECT_FALSE(OnnxOp(12, "Squeeze", {{"axes", Ints{1}}}).data(counting({1, 2})).error().empty());
}

TEST(OnnxShape, Transpose) {
  expect_op(OnnxOp(13, "Transpose").data(counting({2, 3})), f32({3, 2}, {0, 3, 1, 4, 2, 5}));
  expect_op(OnnxOp(7, "Transpose", {{"perm", Ints{1, 0, 2}}}).any_rank().data(counting({2, 2, 1})),
            f32({2, 2, 1}, {0, 2, 1, 3}));
  EXPECT_FALSE(
      OnnxOp(7, "Transpose", {{"perm", Ints{0, 0}}}).data(counting({2, 2})).error().empty());
}

TEST(OnnxShape, ConcatAndSplit) {
  expect_op(
      OnnxOp(13, "Concat", {{"axis", -1}}).any_rank().data(counting({2, 1})).data(counting({2, 2})),
      f32({2, 3}, {0, 0, 1, 1, 2, 3}));
  expect_op(OnnxOp(7, "Concat", {{"axis", 0}}).data(counting({2})), counting({2}));
  EXPECT_THAT(OnnxOp(13, "Concat").data(counting({2})).error(), HasSubstr("axis"));

  const auto expect_parts = [](const OnnxOp& op, const Tensor& first, const Tensor& second) {
    const auto parts = op.run(2);
    EXPECT_TRUE(equal(*parts[0], first));
    EXPECT_TRUE(equal(*parts[1], second));
  };
  const auto one = [] { return f32({1}, {0}); };
  const auto rest = [] { return f32({3}, {1, 2, 3}); };
  expect_parts(OnnxOp(11, "Split").any_rank().data(counting({4})), f32({2}, {0, 1}),
               f32({2}, {2, 3}));
  expect_parts(OnnxOp(11, "Split", {{"split", Ints{1, 3}}}).any_rank().data(counting({4})), one(),
               rest());
  expect_parts(OnnxOp(13, "Split").any_rank().data(counting({4})).either(i64({2}, {1, 3})), one(),
               rest());
  expect_parts(OnnxOp(13, "Split", {{"axis", 1}}).data(counting({1, 4})), f32({1, 2}, {0, 1}),
               f32({1, 2}, {2, 3}));
  expect_parts(OnnxOp(18, "Split", {{"num_outputs", 2}}).any_rank().data(counting({3})),
               f32({2}, {0, 1}), f32({1}, {2}));
  EXPECT_THAT(OnnxOp(13, "Split").data(counting({3})).error(2), HasSubstr("equal parts"));
  EXPECT_THAT(OnnxOp(18, "Split", {{"num_outputs", 3}}).data(counting({3})).error(2),
              HasSubstr("number of outputs"));
  EXPECT_THAT(OnnxOp(13, "Split", {{"split", Ints{1, 3}}}).data(counting({4})).error(2),
              HasSubstr("split"));
}

TEST(OnnxShape, ExpandTileRangeTrilu) {
  expect_op(OnnxOp(13, "Expand").any_rank().data(f32({2, 1}, {1, 2})).either(i64({1}, {2})),
            f32({2, 2}, {1, 1, 2, 2}));
  expect_op(OnnxOp(13, "Tile").any_rank().data(f32({1, 2}, {1, 2})).either(i64({2}, {2, 2})),
            f32({2, 4}, {1, 2, 1, 2, 1, 2, 1, 2}));
  expect_op(
      OnnxOp(11, "Range").any_rank().either(i64({}, {1})).either(i64({}, {8})).either(i64({}, {3})),
      i64({3}, {1, 4, 7}));
  expect_op(OnnxOp(14, "Trilu").any_rank().data(counting({2, 2})), f32({2, 2}, {0, 1, 0, 3}));
  expect_op(
      OnnxOp(14, "Trilu", {{"upper", 0}}).any_rank().data(counting({2, 2})).either(i64({}, {-1})),
      f32({2, 2}, {0, 0, 2, 0}));
}

}  // namespace
}  // namespace refrain::testing
