// Scan of ONNX, batched (opset 8) and not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/reference/executor.h"
#include "frontend/onnx/import.h"
#include "ir/control.h"
#include "support/compare.h"
#include "support/onnx_op.h"
#include "support/onnx_run.h"

namespace refrain {
namespace {

using namespace refrain::testing;
using ::testing::HasSubstr;

// next = s + x * w, which is stacked as well; w comes from outside
onnx::GraphProto sum_body() {
  onnx::GraphProto proto;
  OnnxGraph(proto)
      .input("s", f32_type({Dim()}))
      .input("xt", f32_type({Dim()}))
      .node("Mul", {"xt", "w"}, {"scaled"})
      .node("Add", {"s", "scaled"}, {"next"})
      .node("Identity", {"next"}, {"slice"})
      .output("next")
      .output("slice");
  return proto;
}

OnnxModel sum_model(int opset, const std::vector<OnnxAttribute>& more, Shape state, Shape x) {
  OnnxModel model(opset);
  std::vector<OnnxAttribute> attributes = {{"body", sum_body()}, {"num_scan_inputs", 1}};
  attributes.insert(attributes.end(), more.begin(), more.end());
  model.graph()
      .input("s0", f32_type(std::move(state)))
      .input("x", f32_type(std::move(x)))
      .input("w", f32_type({Dim(1)}))
      .node("Scan", {"s0", "x"}, {"last", "all"}, attributes)
      .output("last")
      .output("all");
  return model;
}

TEST(OnnxScan, Forward) {
  OnnxModel model = sum_model(11, {}, {Dim(2)}, {Dim::symbol("T"), Dim(2)});
  const auto graph = import_model(model);
  const Node* scan = graph->output(0)->node();
  ASSERT_EQ(scan->op(), Op::scan);
  EXPECT_EQ(ScanView(*scan).invariants(), 1u);
  EXPECT_EQ(to_string(graph->output(1)->type()), "f32[T, 2]");
  const auto result =
      run(*graph, f32({2}, {1, 1}), f32({3, 2}, {1, 2, 3, 4, 5, 6}), f32({1}, {10}));
  EXPECT_TRUE(equal(*result[0].tensor, f32({2}, {91, 121})));
  EXPECT_TRUE(equal(*result[1].tensor, f32({3, 2}, {11, 21, 41, 61, 91, 121})));
}

TEST(OnnxScan, BackwardOverOtherAxes) {
  OnnxModel model = sum_model(11,
                              {{"scan_input_directions", Ints{1}},
                               {"scan_output_directions", Ints{1}},
                               {"scan_input_axes", Ints{-1}},
                               {"scan_output_axes", Ints{1}}},
                              {Dim(2)}, {Dim(2), Dim::symbol("T")});
  const auto graph = import_model(model);
  EXPECT_EQ(to_string(graph->output(1)->type()), "f32[2, T]");
  const auto result = run(*graph, f32({2}, {0, 0}), f32({2, 3}, {1, 2, 3, 4, 5, 6}), f32({1}, {1}));
  EXPECT_TRUE(equal(*result[0].tensor, f32({2}, {6, 15})));
  EXPECT_TRUE(equal(*result[1].tensor, f32({2, 3}, {6, 5, 3, 15, 11, 6})));
}

TEST(OnnxScan, StateTypeIsGeneralised) {
  // The initial state has one row where the body gives two.
  OnnxModel model = sum_model(11, {}, {Dim(1)}, {Dim(3), Dim(2)});
  const auto graph = import_model(model);
  EXPECT_EQ(to_string(graph->output(0)->type()), "f32[?]");
  const auto result = run(*graph, f32({1}, {1}), f32({3, 2}, {1, 2, 3, 4, 5, 6}), f32({1}, {1}));
  EXPECT_TRUE(equal(*result[0].tensor, f32({2}, {10, 13})));
}

TEST(OnnxScan, Errors) {
  const auto error = [](const std::vector<OnnxAttribute>& attributes) {
    OnnxModel model = sum_model(11, attributes, {Dim(2)}, {Dim(3), Dim(2)});
    return error_of(model);
  };
  EXPECT_THAT(error({{"scan_input_axes", Ints{2}}}), HasSubstr("scanned input 0 has no such axis"));
  EXPECT_THAT(error({{"scan_input_axes", Ints{0, 0}}}),
              HasSubstr("wrong length of attribute scan_input_axes"));
  EXPECT_THAT(error({{"scan_input_directions", Ints{2}}}), HasSubstr("wrong direction"));
  EXPECT_THAT(error({{"scan_output_axes", Ints{5}}}), HasSubstr("axis"));
  EXPECT_THAT(error({{"directions", Ints{1}}}),
              HasSubstr("unsupported: Scan attribute directions"));

  OnnxModel count = sum_model(11, {}, {Dim(2)}, {Dim(3), Dim(2)});
  for (int64_t bad : {int64_t{0}, int64_t{-1}, int64_t{3}, int64_t{1} << 62}) {
    count.proto().mutable_graph()->mutable_node(0)->mutable_attribute(1)->set_i(bad);
    EXPECT_THAT(error_of(count), HasSubstr("wrong attribute num_scan_inputs"));
  }
}

OnnxModel batched_model(bool ragged, bool backward) {
  OnnxModel model(8);
  std::vector<OnnxAttribute> attributes = {{"body", sum_body()}, {"num_scan_inputs", 1}};
  if (backward) attributes.push_back({"directions", Ints{1}});
  OnnxGraph graph = model.graph();
  if (ragged) graph.input("lens", ValueType::tensor(ElementType::i64, {Dim::symbol("B")}));
  graph.input("s0", f32_type({Dim::symbol("B"), Dim(1)}))
      .input("x", f32_type({Dim::symbol("B"), Dim::symbol("T"), Dim(1)}))
      .input("w", f32_type({Dim(1)}))
      .node("Scan", {ragged ? "lens" : "", "s0", "x"}, {"last", "all"}, attributes)
      .output("last")
      .output("all");
  return model;
}

TEST(OnnxScan8, Batched) {
  OnnxModel model = batched_model(false, false);
  const auto graph = import_model(model);
  const auto result =
      run(*graph, f32({2, 1}, {0, 100}), f32({2, 3, 1}, {1, 2, 3, 4, 5, 6}), f32({1}, {1}));
  EXPECT_TRUE(equal(*result[0].tensor, f32({2, 1}, {6, 115})));
  EXPECT_TRUE(equal(*result[1].tensor, f32({2, 3, 1}, {1, 3, 6, 104, 109, 115})));
}

TEST(OnnxScan8, Lengths) {
  OnnxModel model = batched_model(true, false);
  const auto graph = import_model(model);
  const auto result = run(*graph, i64({2}, {2, 3}), f32({2, 1}, {0, 100}),
                          f32({2, 3, 1}, {1, 2, 3, 4, 5, 6}), f32({1}, {1}));
  EXPECT_TRUE(equal(*result[0].tensor, f32({2, 1}, {3, 115})));
  EXPECT_TRUE(equal(*result[1].tensor, f32({2, 3, 1}, {1, 3, 0, 104, 109, 115})));
}

TEST(OnnxScan8, LengthsBackward) {
  // Each sequence is read from its own end; what it gives comes in the order of the steps.
  OnnxModel model = batched_model(true, true);
  const auto graph = import_model(model);
  const auto result = run(*graph, i64({2}, {2, 0}), f32({2, 1}, {0, 100}),
                          f32({2, 3, 1}, {1, 2, 3, 4, 5, 6}), f32({1}, {1}));
  EXPECT_TRUE(equal(*result[0].tensor, f32({2, 1}, {3, 100})));
  EXPECT_TRUE(equal(*result[1].tensor, f32({2, 3, 1}, {2, 3, 0, 0, 0, 0})));
}

TEST(OnnxScan8, LengthsOutOfRangeAreErrors) {
  OnnxModel model = batched_model(true, false);
  const auto graph = import_model(model);
  for (int64_t length : {int64_t{-1}, int64_t{4}, int64_t{1} << 62}) {
    EXPECT_THROW(run(*graph, i64({2}, {2, length}), f32({2, 1}, {0, 100}),
                     f32({2, 3, 1}, {1, 2, 3, 4, 5, 6}), f32({1}, {1})),
                 Error)
        << length;
  }
}

}  // namespace
}  // namespace refrain
