// If, Loop, sequences and optionals from ONNX.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "backends/reference/executor.h"
#include "frontend/onnx/import.h"
#include "ir/builder.h"
#include "ir/control.h"
#include "support/compare.h"
#include "support/onnx_op.h"
#include "support/onnx_run.h"

namespace refrain {
namespace {

using namespace refrain::testing;
using onnx_import::Imported;
using ::testing::HasSubstr;

const ValueType kFlag = ValueType::tensor(ElementType::boolean, {});
const ValueType kCount = ValueType::tensor(ElementType::i64, {});

Tensor flag(bool value) { return Tensor::scalar(value); }
Tensor count(int64_t value) { return Tensor::scalar(value); }

onnx::GraphProto graph_of(const std::function<void(OnnxGraph&)>& build) {
  onnx::GraphProto proto;
  OnnxGraph graph(proto);
  build(graph);
  return proto;
}

// y = c ? -(x + w) : |x|
OnnxModel if_model(bool constant_condition = false) {
  OnnxModel model(13);
  OnnxGraph graph = model.graph();
  if (constant_condition) {
    graph.initializer("c", flag(true));
  } else {
    graph.input("c", kFlag);
  }
  const auto then_branch = graph_of([](OnnxGraph& g) {
    g.node("Add", {"x", "w"}, {"a"}).node("Neg", {"a"}, {"t"}).output("t");
  });
  const auto else_branch = graph_of([](OnnxGraph& g) { g.node("Abs", {"x"}, {"e"}).output("e"); });
  graph.input("x", f32_type({Dim::symbol("N")}))
      .initializer("w", f32({1}, {10}))
      .node("If", {"c"}, {"y"}, {{"then_branch", then_branch}, {"else_branch", else_branch}})
      .output("y");
  return model;
}

TEST(OnnxIf, CapturesValuesAndClonesConstants) {
  OnnxModel model = if_model();
  const auto graph = import_model(model);
  const Node* branch = graph->output(0)->node();
  ASSERT_EQ(branch->op(), Op::branch);
  EXPECT_EQ(branch->operand_count(), 2u);  // the condition and x; w is a constant of its region
  EXPECT_EQ(branch->region(0).argument(0)->name(), "x");
  EXPECT_EQ(to_string(graph->output(0)->type()), "f32[N]");
  EXPECT_TRUE(equal(*run(*graph, flag(true), f32({2}, {-1, 2}))[0].tensor, f32({2}, {-9, -12})));
  EXPECT_TRUE(equal(*run(*graph, flag(false), f32({2}, {-1, 2}))[0].tensor, f32({2}, {1, 2})));
}

TEST(OnnxIf, ConstantConditionLeavesTheBranchInPlace) {
  OnnxModel model = if_model(true);
  const auto graph = import_model(model);
  EXPECT_EQ(graph->output(0)->node()->op(), Op::neg);
  EXPECT_TRUE(equal(*run(*graph, f32({2}, {-1, 2}))[0].tensor, f32({2}, {-9, -12})));
}

TEST(OnnxIf, BranchesOfOtherShapes) {
  const auto model = [](const std::string& op, const std::vector<OnnxAttribute>& attributes) {
    OnnxModel result(11);
    const auto then_branch =
        graph_of([&](OnnxGraph& g) { g.node(op, {"x"}, {"t"}, attributes).output("t"); });
    const auto else_branch =
        graph_of([](OnnxGraph& g) { g.node("Neg", {"x"}, {"e"}).output("e"); });
    result.graph()
        .input("c", kFlag)
        .input("x", f32_type({Dim(1), Dim(3)}))
        .node("If", {"c"}, {"y"}, {{"then_branch", then_branch}, {"else_branch", else_branch}})
        .output("y");
    return result;
  };
  OnnxModel rank = model("Squeeze", {{"axes", Ints{0}}});
  EXPECT_EQ(to_string(import_model(rank)->output(0)->type()), "f32[*]");
  OnnxModel extent = model("ReduceSum", {{"axes", Ints{1}}});
  EXPECT_EQ(to_string(import_model(extent)->output(0)->type()), "f32[1, ?]");
  OnnxModel element = model("Cast", {{"to", 7}});
  EXPECT_THAT(error_of(element), HasSubstr("types differ: expected i64[1, 3], found f32[1, 3]"));
}

TEST(OnnxIf, ReachesThroughLevelsAndReusesNamesInSiblings) {
  // if (c) { a = -x; if (d) { y = a + x } else { y = a } } else { a = |x|; y = a }
  const auto inner_then = graph_of([](OnnxGraph& g) {
    g.node("Add", {"a", "x"}, {"r"}).output("r");
  });
  const auto inner_else = graph_of([](OnnxGraph& g) { g.output("a"); });
  const auto then_branch = graph_of([&](OnnxGraph& g) {
    g.node("Neg", {"x"}, {"a"})
        .node("If", {"d"}, {"r2"}, {{"then_branch", inner_then}, {"else_branch", inner_else}})
        .output("r2");
  });
  const auto else_branch = graph_of([](OnnxGraph& g) { g.node("Abs", {"x"}, {"a"}).output("a"); });
  OnnxModel model(13);
  model.graph()
      .input("c", kFlag)
      .input("d", kFlag)
      .input("x", f32_type({Dim(1)}))
      .node("If", {"c"}, {"y"}, {{"then_branch", then_branch}, {"else_branch", else_branch}})
      .output("y");
  const auto graph = import_model(model);
  EXPECT_TRUE(equal(*run(*graph, flag(true), flag(true), f32({1}, {3}))[0].tensor, f32({1}, {0})));
  EXPECT_TRUE(
      equal(*run(*graph, flag(true), flag(false), f32({1}, {3}))[0].tensor, f32({1}, {-3})));
  EXPECT_TRUE(
      equal(*run(*graph, flag(false), flag(false), f32({1}, {-3}))[0].tensor, f32({1}, {3})));
}

// Body of a loop with one state `s`; further parts by `build`.
onnx::GraphProto loop_body(const std::function<void(OnnxGraph&)>& build, const ValueType& state) {
  return graph_of([&](OnnxGraph& g) {
    g.input("i", kCount).input("go", kFlag).input("s", state);
    build(g);
  });
}

TEST(OnnxLoop, CountsAndStacks) {
  // s += w; stack s * x
  const auto body = loop_body(
      [](OnnxGraph& g) {
        g.node("Add", {"s", "w"}, {"next"})
            .node("Mul", {"next", "x"}, {"slice"})
            .output("go")
            .output("next")
            .output("slice");
      },
      f32_type({Dim(1)}));
  OnnxModel model(13);
  model.graph()
      .input("n", kCount)
      .input("x", f32_type({Dim(1)}))
      .initializer("w", f32({1}, {1}))
      .initializer("zero", f32({1}, {0}))
      .node("Loop", {"n", "", "zero"}, {"last", "all"}, {{"body", body}})
      .output("last")
      .output("all");
  const auto graph = import_model(model);
  const Node* loop = graph->output(0)->node();
  ASSERT_EQ(loop->op(), Op::loop);
  EXPECT_EQ(LoopView(*loop).invariants(), 1u);
  EXPECT_EQ(to_string(graph->output(1)->type()), "f32[?, 1]");
  // The body's condition is what it is given, which is true.
  EXPECT_TRUE(constant_tensor(LoopView(*loop).next_condition()));
  const auto result = run(*graph, count(3), f32({1}, {2}));
  EXPECT_TRUE(equal(*result[0].tensor, f32({1}, {3})));
  EXPECT_TRUE(equal(*result[1].tensor, f32({3, 1}, {2, 4, 6})));
  EXPECT_EQ(run(*graph, count(0), f32({1}, {2}))[1].tensor->extents(), (Ints{0, 1}));
}

TEST(OnnxLoop, ConditionsAndCountsOfOtherForms) {
  // do { s += 1 } while (s < 4), condition and count of shape [1], count i32
  const auto body = loop_body(
      [](OnnxGraph& g) {
        g.node("Add", {"s", "one"}, {"next"})
            .node("Less", {"next", "four"}, {"more"})
            .output("more")
            .output("next");
      },
      f32_type({Dim(1)}));
  const auto model = [&](bool counted) {
    OnnxModel result(13);
    result.graph()
        .input("n", ValueType::tensor(ElementType::i32, {Dim(1)}))
        .input("c", ValueType::tensor(ElementType::boolean, {Dim(1)}))
        .input("s0", f32_type({Dim(1)}))
        .initializer("one", f32({1}, {1}))
        .initializer("four", f32({1}, {4}))
        .node("Loop", {counted ? "n" : "", "c", "s0"}, {"y"}, {{"body", body}})
        .output("y");
    return import_model(result);
  };
  const auto y = [&](bool counted, int32_t n, bool c) {
    return run(*model(counted), tensor<int32_t>({1}, {n}), booleans({1}, {c}), f32({1}, {0}))[0]
        .tensor->view()
        .as_doubles()[0];
  };
  EXPECT_EQ(y(true, 2, true), 2);
  EXPECT_EQ(y(true, 100, true), 4);
  EXPECT_EQ(y(true, 100, false), 0);
  EXPECT_EQ(y(true, -1, true), 0);
  EXPECT_EQ(y(false, 0, true), 4);
}

TEST(OnnxLoop, StatesThatGrow) {
  // The state gains a row in each iteration: its type must lose the extent.
  const auto body = loop_body(
      [](OnnxGraph& g) {
        g.node("Concat", {"s", "x"}, {"next"}, {{"axis", 0}}).output("go").output("next");
      },
      f32_type({Dim(1), Dim(2)}));
  OnnxModel model(13);
  model.graph()
      .input("n", kCount)
      .input("x", f32_type({Dim(1), Dim(2)}))
      .node("Loop", {"n", "", "x"}, {"y"}, {{"body", body}})
      .output("y");
  const auto graph = import_model(model);
  EXPECT_EQ(to_string(graph->output(0)->type()), "f32[?, 2]");
  EXPECT_TRUE(equal(*run(*graph, count(2), f32({1, 2}, {1, 2}))[0].tensor,
                    f32({3, 2}, {1, 2, 1, 2, 1, 2})));
}

TEST(OnnxLoop, StatesThatGainRank) {
  const auto body = loop_body(
      [](OnnxGraph& g) {
        g.node("Unsqueeze", {"s"}, {"next"}, {{"axes", Ints{0}}}).output("go").output("next");
      },
      f32_type({}));
  OnnxModel model(11);
  model.graph()
      .input("n", kCount)
      .input("x", f32_type({}))
      .node("Loop", {"n", "", "x"}, {"y"}, {{"body", body}})
      .output("y");
  const auto graph = import_model(model);
  EXPECT_EQ(to_string(graph->output(0)->type()), "f32[*]");
  EXPECT_EQ(run(*graph, count(2), f32({}, {1}))[0].tensor->extents(), (Ints{1, 1}));
}

TEST(OnnxLoop, NestedStatesSettleTogether) {
  // Twenty loops in each other that pass a growing state inwards and back out: the naive way takes
  // 2^20 imports of the innermost body.
  constexpr int kDepth = 20;
  onnx::GraphProto body;
  for (int depth = 0; depth < kDepth; ++depth) {
    const std::string id = std::to_string(depth), inner = std::to_string(depth - 1);
    onnx::GraphProto outer = graph_of([&](OnnxGraph& g) {
      g.input("i" + id, kCount).input("go" + id, kFlag).input("s" + id, f32_type({Dim(1)}));
      if (depth == 0) {
        g.node("Concat", {"s0", "s0"}, {"next0"}, {{"axis", 0}});
      } else {
        g.node("Loop", {"n", "", "s" + id}, {"next" + id}, {{"body", body}});
      }
      g.output("go" + id).output("next" + id);
    });
    body = std::move(outer);
  }
  OnnxModel model(13);
  model.graph()
      .input("n", kCount)
      .input("x", f32_type({Dim(1)}))
      .node("Loop", {"n", "", "x"}, {"y"}, {{"body", body}})
      .output("y");
  const auto graph = import_model(model);
  EXPECT_EQ(to_string(graph->output(0)->type()), "f32[?]");
  EXPECT_TRUE(equal(*run(*graph, count(1), f32({1}, {5}))[0].tensor, f32({2}, {5, 5})));
}

TEST(OnnxLoop, Errors) {
  const auto error = [](const onnx::GraphProto& body, const Strings& inputs) {
    OnnxModel model(13);
    model.graph()
        .input("n", kCount)
        .input("x", f32_type({Dim(1)}))
        .input("c", kFlag)
        .node("Loop", inputs, {"y"}, {{"body", body}})
        .output("y");
    return error_of(model);
  };
  const auto body = loop_body([](OnnxGraph& g) { g.output("go").output("s"); }, f32_type({Dim(1)}));
  EXPECT_THAT(error(body, {"n"}), HasSubstr("wrong number of inputs"));
  EXPECT_THAT(error(body, {"n", "c", ""}), HasSubstr("input 2 is missing"));
  EXPECT_THAT(error(body, {"n", "c", "x", "x"}),
              HasSubstr("wrong number of outputs of the loop's body"));
  EXPECT_THAT(error(body, {"x", "c", "x"}), HasSubstr("wrong type of a trip count or condition"));
  EXPECT_THAT(error(body, {"n", "n", "x"}), HasSubstr("wrong type of a trip count or condition"));
  const auto changes = loop_body(
      [](OnnxGraph& g) {
        g.node("Cast", {"s"}, {"t"}, {{"to", 7}}).output("go").output("t");
      },
      f32_type({Dim(1)}));
  EXPECT_THAT(error(changes, {"n", "c", "x"}), HasSubstr("state 0 changes its type"));
  const auto condition =
      loop_body([](OnnxGraph& g) { g.output("i").output("s"); }, f32_type({Dim(1)}));
  EXPECT_THAT(error(condition, {"n", "c", "x"}),
              HasSubstr("wrong type of a trip count or condition"));
  const auto inputs = graph_of([](OnnxGraph& g) { g.input("i", kCount).output("i").output("i"); });
  EXPECT_THAT(error(inputs, {"n", "c", "x"}), HasSubstr("wrong number of inputs of sub-graph"));
}

// What PyTorch writes for a scripted loop: outputs appended to a list, stacked in the end.
TEST(OnnxSequence, CollectedInALoopKeepsItsShape) {
  const auto body = graph_of([](OnnxGraph& g) {
    g.input("i", kCount)
        .input("go", kFlag)
        .input("list", ValueType::sequence(ElementType::f32, Shape::unranked()))
        .input("s", f32_type({Dim(2)}))
        .node("Add", {"s", "x"}, {"next"})
        .node("SequenceInsert", {"list", "next"}, {"longer"})
        .output("go")
        .output("longer")
        .output("next");
  });
  OnnxModel model(13);
  model.graph()
      .input("n", kCount)
      .input("x", f32_type({Dim(2)}))
      .node("SequenceEmpty", {}, {"empty"})
      .node("Loop", {"n", "", "empty", "x"}, {"list_out", "last"}, {{"body", body}})
      .node("ConcatFromSequence", {"list_out"}, {"y"}, {{"axis", 0}, {"new_axis", 1}})
      .output("y");
  const auto graph = import_model(model);
  EXPECT_EQ(to_string(graph->output(0)->type()), "f32[?, 2]");
  EXPECT_TRUE(equal(*run(*graph, count(2), f32({2}, {1, 2}))[0].tensor, f32({2, 2}, {2, 4, 3, 6})));
}

// PyTorch's unbind gives both a split of one and keepdims = 0.
TEST(OnnxSequence, SplitsOfOneMayLoseTheirAxis) {
  OnnxModel model(13);
  model.graph()
      .input("x", f32_type({Dim(2), Dim(3)}))
      .initializer("one", count(1))
      .initializer("at", count(1))
      .node("SplitToSequence", {"x", "one"}, {"rows"}, {{"keepdims", 0}})
      .node("SplitToSequence", {"x", "one"}, {"parts"})
      .node("SequenceAt", {"rows", "at"}, {"row"})
      .node("SequenceAt", {"parts", "at"}, {"part"})
      .output("row")
      .output("part");
  const auto graph = import_model(model);
  EXPECT_EQ(to_string(graph->output(0)->type()), "f32[3]");
  const auto result = run(*graph, f32({2, 3}, {1, 2, 3, 4, 5, 6}));
  EXPECT_TRUE(equal(*result[0].tensor, f32({3}, {4, 5, 6})));
  EXPECT_TRUE(equal(*result[1].tensor, f32({1, 3}, {4, 5, 6})));
}

TEST(OnnxSequence, Operations) {
  OnnxModel model(13);
  model.graph()
      .input("x", f32_type({Dim(4)}))
      .initializer("at", count(1))
      .initializer("sizes", i64({2}, {1, 3}))
      .node("SplitToSequence", {"x", "sizes"}, {"parts"}, {{"keepdims", 0}})
      .node("SequenceErase", {"parts"}, {"one"})
      .node("SequenceAt", {"parts", "at"}, {"second"})
      .node("SequenceLength", {"parts"}, {"length"})
      .node("SequenceConstruct", {"second", "x"}, {"made"})
      .node("ConcatFromSequence", {"made"}, {"joined"}, {{"axis", -1}})
      .node("SplitToSequence", {"x"}, {"scalars"}, {{"keepdims", 0}})
      .node("SequenceEmpty", {}, {"none"})
      .node("SequenceInsert", {"none", "x"}, {"single"})
      .output("one")
      .output("second")
      .output("length")
      .output("joined")
      .output("scalars")
      .output("single");
  const auto graph = import_model(model);
  EXPECT_EQ(to_string(graph->output(5)->type()), "seq<f32[4]>");
  const auto result = run(*graph, f32({4}, {1, 2, 3, 4}));
  ASSERT_EQ(result[0].sequence->size(), 1u);
  EXPECT_TRUE(equal(*result[0].sequence->at(0), f32({1}, {1})));
  EXPECT_TRUE(equal(*result[1].tensor, f32({3}, {2, 3, 4})));
  EXPECT_TRUE(equal(*result[2].tensor, count(2)));
  EXPECT_TRUE(equal(*result[3].tensor, f32({7}, {2, 3, 4, 1, 2, 3, 4})));
  ASSERT_EQ(result[4].sequence->size(), 4u);
  EXPECT_TRUE(equal(*result[4].sequence->at(2), f32({}, {3})));
}

TEST(OnnxSequence, MapOverSequencesAndTensors) {
  const auto body = graph_of([](OnnxGraph& g) {
    g.input("a", f32_type({Dim()}))
        .input("b", f32_type({Dim()}))
        .node("Mul", {"a", "b"}, {"ab"})
        .node("Add", {"ab", "w"}, {"r"})
        .node("Shape", {"r"}, {"extents"})
        .output("r")
        .output("extents");
  });
  OnnxModel model(17);
  model.graph()
      .input("xs", ValueType::sequence(ElementType::f32, {Dim()}))
      .input("y", f32_type({Dim(1)}))
      .initializer("w", f32({1}, {1}))
      .node("SequenceMap", {"xs", "y"}, {"rs", "shapes"}, {{"body", body}})
      .output("rs")
      .output("shapes");
  const auto graph = import_model(model);
  EXPECT_EQ(to_string(graph->output(1)->type()), "seq<i64[1]>");
  Sequence xs;
  xs.push_back(std::make_shared<const Tensor>(f32({1}, {2})));
  xs.push_back(std::make_shared<const Tensor>(f32({2}, {3, 4})));
  const auto result = run(*graph, xs, f32({1}, {10}));
  ASSERT_EQ(result[0].sequence->size(), 2u);
  EXPECT_TRUE(equal(*result[0].sequence->at(1), f32({2}, {31, 41})));
  EXPECT_TRUE(equal(*result[1].sequence->at(1), i64({1}, {2})));
}

TEST(OnnxOptional, WithAndWithoutAValue) {
  OnnxModel model(18);
  ValueType optional = f32_type({Dim(2)});
  optional.optional = true;
  model.graph()
      .input("o", optional)
      .input("x", f32_type({Dim(2)}))
      .node("OptionalHasElement", {"o"}, {"has"})
      .node("Optional", {"x"}, {"wrapped"})
      .node("OptionalGetElement", {"wrapped"}, {"same"})
      .node("OptionalGetElement", {"x"}, {"plain"})
      .node("OptionalHasElement", {""}, {"nothing"})
      .output("has")
      .output("same")
      .output("plain")
      .output("nothing");
  const auto graph = import_model(model);
  const Tensor x = f32({2}, {1, 2});
  const std::vector<RuntimeValue> without = run(*graph, RuntimeValue(), x.clone());
  EXPECT_TRUE(equal(*without[0].tensor, flag(false)));
  EXPECT_TRUE(equal(*without[1].tensor, x));
  EXPECT_TRUE(equal(*without[2].tensor, x));
  EXPECT_TRUE(equal(*without[3].tensor, flag(false)));
  EXPECT_TRUE(equal(*run(*graph, x.clone(), x.clone())[0].tensor, flag(true)));
}

}  // namespace
}  // namespace refrain
