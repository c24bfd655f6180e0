// ONNX slices, gathers, scatters and padding: every form that each op has had.
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

TEST(OnnxIndexing, SliceAttributes) {
  const auto slice = [](std::vector<OnnxAttribute> attributes) {
    return OnnxOp(9, "Slice", std::move(attributes)).any_rank().data(counting({2, 3}));
  };
  expect_op(slice({{"starts", Ints{1, 0}}, {"ends", Ints{2, -1}}}), f32({1, 2}, {3, 4}));
  expect_op(slice({{"starts", Ints{-2}}, {"ends", Ints{1000}}, {"axes", Ints{1}}}),
            f32({2, 2}, {1, 2, 4, 5}));
  EXPECT_THAT(slice({{"starts", Ints{1}}}).error(), HasSubstr("without bounds"));
}

TEST(OnnxIndexing, SliceInputs) {
  expect_op(OnnxOp(10, "Slice")
                .any_rank()
                .data(counting({2, 3}))
                .either(i64({2}, {1, 0}))
                .either(i64({2}, {2, -1})),
            f32({1, 2}, {3, 4}));
  expect_op(OnnxOp(11, "Slice")
                .any_rank()
                .data(counting({2, 3}))
                .either(i64({1}, {-1}))
                .either(i64({1}, {INT64_MIN}))
                .either(i64({1}, {-1}))
                .either(i64({1}, {-2})),
            f32({2, 2}, {2, 0, 5, 3}));
  expect_op(OnnxOp(13, "Slice")
                .any_rank()
                .data(counting({4}))
                .either(tensor<int32_t>({1}, {0}))
                .either(tensor<int32_t>({1}, {4}))
                .absent()
                .either(tensor<int32_t>({1}, {3})),
            f32({2}, {0, 3}));
  EXPECT_THAT(
      OnnxOp(10, "Slice", {{"starts", Ints{1}}, {"ends", Ints{2}}}).data(counting({2})).error(),
      HasSubstr("input"));
}

TEST(OnnxIndexing, Gathers) {
  expect_op(OnnxOp(7, "Gather").any_rank().data(counting({3, 2})).either(i64({2}, {2, -1})),
            f32({2, 2}, {4, 5, 4, 5}));
  expect_op(OnnxOp(13, "Gather", {{"axis", -1}})
                .any_rank()
                .data(counting({3, 2}))
                .either(tensor<int32_t>({}, {1})),
            f32({3}, {1, 3, 5}));
  expect_op(OnnxOp(11, "GatherElements", {{"axis", 1}})
                .any_rank()
                .data(counting({2, 2}))
                .either(i64({2, 1}, {1, 0})),
            f32({2, 1}, {1, 2}));
  expect_op(
      OnnxOp(11, "GatherND").any_rank().data(counting({2, 2})).either(i64({2, 2}, {0, 1, 1, 0})),
      f32({2}, {1, 2}));
  expect_op(OnnxOp(12, "GatherND", {{"batch_dims", 1}})
                .any_rank()
                .data(counting({2, 2}))
                .either(i64({2, 1}, {1, 0})),
            f32({2}, {1, 2}));
  EXPECT_THAT(OnnxOp(11, "GatherND", {{"batch_dims", 1}})
                  .data(counting({2, 2}))
                  .constant(i64({2, 1}, {1, 0}))
                  .error(),
              HasSubstr("batch_dims"));
  EXPECT_FALSE(OnnxOp(13, "Gather").data(counting({3})).constant(i64({1}, {3})).error().empty());
}

TEST(OnnxIndexing, Scatters) {
  const auto elements = [](int opset, const char* op, std::vector<OnnxAttribute> attributes) {
    return OnnxOp(opset, op, std::move(attributes))
        .any_rank()
        .data(f32({3}, {1, 2, 3}))
        .either(i64({2}, {2, 0}))
        .either(f32({2}, {10, 2}));
  };
  expect_op(elements(9, "Scatter", {}), f32({3}, {2, 2, 10}));
  expect_op(elements(11, "ScatterElements", {{"axis", -1}}), f32({3}, {2, 2, 10}));
  expect_op(elements(16, "ScatterElements", {{"reduction", "add"}}), f32({3}, {3, 2, 13}));
  expect_op(elements(16, "ScatterElements", {{"reduction", "mul"}}), f32({3}, {2, 2, 30}));
  expect_op(elements(18, "ScatterElements", {{"reduction", "max"}}), f32({3}, {2, 2, 10}));
  expect_op(elements(18, "ScatterElements", {{"reduction", "min"}}), f32({3}, {1, 2, 3}));
  EXPECT_THAT(elements(18, "ScatterElements", {{"reduction", "mean"}}).error(),
              HasSubstr("reduction = mean"));
  EXPECT_THAT(elements(13, "ScatterElements", {{"reduction", "add"}}).error(),
              HasSubstr("reduction"));
  EXPECT_THAT(elements(11, "Scatter", {}).error(), HasSubstr("Scatter"));

  const auto nd = [](int opset, std::vector<OnnxAttribute> attributes) {
    return OnnxOp(opset, "ScatterND", std::move(attributes))
        .any_rank()
        .data(f32({2, 2}, {1, 2, 3, 4}))
        .either(i64({1, 1}, {1}))
        .either(f32({1, 2}, {5, 3}));
  };
  expect_op(nd(11, {}), f32({2, 2}, {1, 2, 5, 3}));
  expect_op(nd(16, {{"reduction", "add"}}), f32({2, 2}, {1, 2, 8, 7}));
  expect_op(nd(18, {{"reduction", "max"}}), f32({2, 2}, {1, 2, 5, 4}));
}

TEST(OnnxIndexing, PadForms) {
  const auto x = [] { return f32({1, 3}, {1, 2, 3}); };
  expect_op(OnnxOp(10, "Pad", {{"pads", Ints{0, 1, 0, 2}}}).any_rank().data(x()),
            f32({1, 6}, {0, 1, 2, 3, 0, 0}));
  expect_op(OnnxOp(10, "Pad", {{"pads", Ints{0, 1, 0, 0}}, {"value", 9.0}}).data(x()),
            f32({1, 4}, {9, 1, 2, 3}));
  expect_op(OnnxOp(10, "Pad", {{"pads", Ints{0, 2, 0, 0}}, {"mode", "reflect"}}).data(x()),
            f32({1, 5}, {3, 2, 1, 2, 3}));
  expect_op(
      OnnxOp(11, "Pad").any_rank().data(x()).either(i64({4}, {0, 1, 0, 0})).either(f32({}, {9})),
      f32({1, 4}, {9, 1, 2, 3}));
  expect_op(
      OnnxOp(13, "Pad", {{"mode", "edge"}}).any_rank().data(x()).either(i64({4}, {0, 1, 0, 1})),
      f32({1, 5}, {1, 1, 2, 3, 3}));
  expect_op(OnnxOp(13, "Pad").data(x()).either(i64({4}, {0, -1, 0, 0})), f32({1, 2}, {2, 3}));
  expect_op(OnnxOp(18, "Pad")
                .any_rank()
                .data(x())
                .either(i64({2}, {1, 0}))
                .absent()
                .either(i64({1}, {-1})),
            f32({1, 4}, {0, 1, 2, 3}));
  expect_op(OnnxOp(19, "Pad", {{"mode", "wrap"}}).data(x()).either(i64({4}, {0, 1, 0, 1})),
            f32({1, 5}, {3, 1, 2, 3, 1}));
  EXPECT_THAT(
      OnnxOp(18, "Pad", {{"mode", "wrap"}}).data(x()).constant(i64({4}, {0, 1, 0, 1})).error(),
      HasSubstr("mode = wrap"));
  EXPECT_THAT(OnnxOp(13, "Pad")
                  .data(x())
                  .constant(i64({2}, {0, 1}))
                  .absent()
                  .constant(i64({1}, {1}))
                  .error(),
              HasSubstr("too many inputs"));
}

TEST(OnnxIndexing, OneHotAndReverseSequence) {
  const auto one_hot = [](std::vector<OnnxAttribute> attributes) {
    return OnnxOp(11, "OneHot", std::move(attributes))
        .any_rank()
        .data(i64({2}, {0, -1}))
        .either(i64({}, {3}))
        .either(f32({2}, {0, 5}));
  };
  expect_op(one_hot({}), f32({2, 3}, {5, 0, 0, 0, 0, 5}));
  expect_op(one_hot({{"axis", 0}}), f32({3, 2}, {5, 0, 0, 0, 0, 5}));
  // [time, batch] by default
  expect_op(
      OnnxOp(10, "ReverseSequence").any_rank().data(counting({3, 2})).either(i64({2}, {3, 2})),
      f32({3, 2}, {4, 3, 2, 1, 0, 5}));
  expect_op(OnnxOp(10, "ReverseSequence", {{"time_axis", 1}, {"batch_axis", 0}})
                .data(counting({2, 3}))
                .either(i64({2}, {3, 2})),
            f32({2, 3}, {2, 1, 0, 4, 3, 5}));
}

}  // namespace
}  // namespace refrain::testing
