// Models from outside: names, types, errors, unsupported parts, functions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/reference/executor.h"
#include "frontend/onnx/import.h"
#include "ir/builder.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/onnx_model.h"
#include "support/onnx_op.h"

namespace refrain {
namespace {

using namespace refrain::testing;
using onnx_import::Imported;
using onnx_import::UnsupportedError;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

const ValueType kVector = ValueType::tensor(ElementType::f32, {Dim(2)});

Imported import_model(OnnxModel& model) {
  return onnx_import::import_bytes(model.bytes(), "model.onnx");
}

std::string error_of(const std::string& bytes) {
  try {
    onnx_import::import_bytes(bytes, "model.onnx");
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), StartsWith("model.onnx: "));
    return error.what();
  }
  return "no error";
}

std::string error_of(OnnxModel& model) { return error_of(model.bytes()); }

// y = Neg(x)
OnnxModel small_model() {
  OnnxModel model(13);
  model.graph().input("x", kVector).node("Neg", {"x"}, {"y"}).output("y");
  return model;
}

TEST(OnnxGraph, KeepsNamesAndDimensions) {
  OnnxModel model(13);
  const ValueType type =
      ValueType::tensor(ElementType::f32, {Dim::symbol("T"), Dim(), Dim(3), Dim(0)});
  model.graph().input("x", type).node("Neg", {"x"}, {"a"}).node("Abs", {"a"}, {"y"}).output("y");
  model.proto().mutable_graph()->mutable_node(1)->set_name("magnitude");
  const Imported imported = import_model(model);
  const Graph& graph = *imported.graph;
  EXPECT_EQ(graph.input(0)->name(), "x");
  EXPECT_EQ(graph.input(0)->type(), type);
  EXPECT_THAT(graph.output_names(), ElementsAre("y"));
  EXPECT_EQ(graph.output(0)->name(), "y");
  EXPECT_EQ(graph.output(0)->node()->name(), "magnitude");
  EXPECT_EQ(graph.body().first()->name(), "a");
  EXPECT_TRUE(imported.warnings.empty());
}

TEST(OnnxGraph, ReadsTypesOfInputs) {
  OnnxModel model(16);
  ValueType optional = ValueType::sequence(ElementType::i64, {Dim()});
  optional.optional = true;
  model.graph()
      .input("unranked", ValueType::tensor(ElementType::f16, Shape::unranked()))
      .input("sequence", ValueType::sequence(ElementType::f32, {Dim::symbol("N"), Dim(2)}))
      .input("optional", optional)
      .output("unranked");
  const Imported imported = import_model(model);
  EXPECT_EQ(to_string(imported.graph->input(0)->type()), "f16[*]");
  // The tensors of a sequence may differ in what has one name.
  EXPECT_EQ(to_string(imported.graph->input(1)->type()), "seq<f32[?, 2]>");
  EXPECT_EQ(imported.graph->input(2)->type(), optional);
}

TEST(OnnxGraph, NegativeDimensionIsAnError) {
  OnnxModel model = small_model();
  model.proto()
      .mutable_graph()
      ->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(0)
      ->set_dim_value(-2);
  EXPECT_THAT(error_of(model), HasSubstr("graph input \"x\": negative dimension"));
}

TEST(OnnxGraph, InitializerOfAnInputIsAConstant) {
  OnnxModel model(13, 3);
  model.graph()
      .input("x", kVector)
      .input("w", kVector)
      .initializer("w", f32({2}, {1, 2}))
      .node("Add", {"x", "w"}, {"y"})
      .output("y");
  const Imported imported = import_model(model);
  ASSERT_EQ(imported.graph->input_count(), 1u);
  const TensorPtr weight = constant_tensor(imported.graph->output(0)->node()->operand(1));
  ASSERT_TRUE(weight);
  EXPECT_TRUE(equal(*weight, f32({2}, {1, 2})));
}

TEST(OnnxGraph, InputMayBeOutput) {
  OnnxModel model(13);
  model.graph()
      .input("x", kVector)
      .node("Identity", {"x"}, {"y"})
      .output("x")
      .output("y")
      .output("w")
      .initializer("w", f32({1}, {3}));
  const Imported imported = import_model(model);
  EXPECT_THAT(imported.graph->output_names(), ElementsAre("x", "y", "w"));
  EXPECT_EQ(imported.graph->output(0), imported.graph->input(0));
  EXPECT_TRUE(equal(*constant_tensor(imported.graph->output(2)), f32({1}, {3})));
}

TEST(OnnxGraph, DeclaredOutputs) {
  OnnxModel shape(13);
  shape.graph()
      .input("x", kVector)
      .node("Neg", {"x"}, {"y"})
      .output("y", ValueType::tensor(ElementType::f32, {Dim(7)}));
  const Imported imported = import_model(shape);
  EXPECT_THAT(imported.warnings, ElementsAre("output \"y\" is declared as f32[7], but is f32[2]"));
  EXPECT_EQ(to_string(imported.graph->output(0)->type()), "f32[2]");

  // Of inner values nothing is believed at all.
  OnnxModel inner = small_model();
  inner.graph().node("Abs", {"y"}, {"z"}).output("z");
  auto* info = inner.proto().mutable_graph()->add_value_info();
  info->set_name("y");
  *info->mutable_type() = onnx_type(ValueType::tensor(ElementType::f32, {Dim(3)}));
  EXPECT_THAT(import_model(inner).warnings,
              ElementsAre("value \"y\" is declared as f32[3], but is f32[2]"));
  info->mutable_type()->mutable_tensor_type()->set_elem_type(-5);
  EXPECT_THAT(import_model(inner).warnings,
              ElementsAre("value \"y\" is declared with a malformed type"));

  OnnxModel element(13);
  element.graph()
      .input("x", kVector)
      .node("Neg", {"x"}, {"y"})
      .output("y", ValueType::tensor(ElementType::i64, {Dim(2)}));
  EXPECT_THAT(error_of(element),
              HasSubstr("wrong declared type of output \"y\": expected f32[2], found i64[2]"));
}

TEST(OnnxGraphErrors, Names) {
  const auto error = [](auto build) {
    OnnxModel model(13);
    OnnxGraph graph = model.graph();
    graph.input("x", kVector);
    build(graph);
    return error_of(model);
  };
  EXPECT_THAT(error([](OnnxGraph& g) { g.node("Neg", {"q"}, {"y"}).output("y"); }),
              HasSubstr("node \"y\" (Neg): nothing defines a name"));
  EXPECT_THAT(error([](OnnxGraph& g) { g.node("Neg", {"x"}, {"y"}).output("z"); }),
              HasSubstr("nothing defines an output of the graph"));
  EXPECT_THAT(error([](OnnxGraph& g) {
                g.node("Neg", {"x"}, {"y"}).node("Abs", {"x"}, {"y"}).output("y");
              }),
              HasSubstr("node \"y\" (Abs): a name is defined twice"));
  EXPECT_THAT(error([](OnnxGraph& g) { g.node("Neg", {"x"}, {"x"}).output("x"); }),
              HasSubstr("a name is defined twice"));
  EXPECT_THAT(error([](OnnxGraph& g) {
                g.initializer("w", f32({1}, {1})).initializer("w", f32({1}, {1}));
              }),
              HasSubstr("a name is defined twice"));
  EXPECT_THAT(error([](OnnxGraph& g) { g.node("Neg", {"x"}, {"y"}).output("y").output("y"); }),
              HasSubstr("two graph outputs of one name"));
  EXPECT_THAT(error([](OnnxGraph& g) { g.input("", kVector); }), HasSubstr("has no name"));
  EXPECT_THAT(error([](OnnxGraph& g) {
                g.node("Neg", {"x"}, {"y", "z"}).output("y");
              }),
              HasSubstr("an output that its operator has not: expected at most 1"));
  EXPECT_THAT(error([](OnnxGraph& g) { g.node("", {"x"}, {"y"}).output("y"); }),
              HasSubstr("a node has no operator"));
}

TEST(OnnxGraphErrors, CyclesAndOrder) {
  OnnxModel cycle(13);
  cycle.graph()
      .input("x", kVector)
      .node("Add", {"x", "c"}, {"a"})
      .node("Neg", {"a"}, {"b"})
      .node("Neg", {"b"}, {"c"})
      .output("c");
  EXPECT_THAT(error_of(cycle), HasSubstr("the graph has a cycle"));

  OnnxModel self(13);
  self.graph().input("x", kVector).node("Add", {"x", "a"}, {"a"}).output("a");
  EXPECT_THAT(error_of(self), HasSubstr("the graph has a cycle"));

  OnnxModel unsorted(13);
  unsorted.graph()
      .input("x", kVector)
      .node("Neg", {"b"}, {"a"})
      .node("Neg", {"x"}, {"b"})
      .output("a");
  EXPECT_THAT(error_of(unsorted),
              HasSubstr("not sorted: expected \"b\" made before it is used, found node \"b\""));

  // A sub-graph that uses what its own node makes is a cycle as well.
  OnnxModel through(13);
  onnx::GraphProto branch;
  OnnxGraph(branch).node("Neg", {"y"}, {"t"}).output("t");
  through.graph()
      .input("c", ValueType::tensor(ElementType::boolean, {}))
      .node("If", {"c"}, {"y"}, {{"then_branch", branch}, {"else_branch", branch}})
      .output("y");
  EXPECT_THAT(error_of(through), HasSubstr("the graph has a cycle"));
}

TEST(OnnxGraphErrors, Attributes) {
  OnnxModel twice(13);
  twice.graph()
      .input("x", kVector)
      .node("Elu", {"x"}, {"y"}, {{"alpha", 1.0}, {"alpha", 2.0}})
      .output("y");
  EXPECT_THAT(error_of(twice), HasSubstr("attribute \"alpha\" is given twice"));

  OnnxModel reference(13);
  reference.graph().input("x", kVector).node("Elu", {"x"}, {"y"}, {{"alpha", 1.0}}).output("y");
  reference.proto().mutable_graph()->mutable_node(0)->mutable_attribute(0)->set_ref_attr_name(
      "beta");
  EXPECT_THAT(error_of(reference), HasSubstr("outside of any function"));

  OnnxModel type(13);
  type.graph().input("x", kVector).node("Elu", {"x"}, {"y"}, {{"alpha", 1}}).output("y");
  EXPECT_THAT(error_of(type),
              HasSubstr("wrong type of attribute alpha: expected FLOAT, found INT"));
}

TEST(OnnxModelErrors, Versions) {
  OnnxModel ir = small_model();
  ir.proto().set_ir_version(2);
  EXPECT_THAT(error_of(ir), HasSubstr("IR version is too old: expected 3 or newer, found 2"));

  OnnxModel none = small_model();
  none.proto().clear_opset_import();
  EXPECT_THAT(error_of(none), HasSubstr("imports no opset of the default domain"));

  OnnxModel negative = small_model();
  negative.proto().mutable_opset_import(0)->set_version(-1);
  EXPECT_THAT(error_of(negative), HasSubstr("wrong opset"));

  OnnxModel alias = small_model();
  alias.proto().mutable_opset_import(0)->set_domain("ai.onnx");
  alias.proto().mutable_graph()->mutable_node(0)->set_domain("ai.onnx");
  EXPECT_EQ(error_of(alias), "no error");
}

TEST(OnnxModelErrors, OlderOpsetsWhereTheOpIsTheSame) {
  OnnxModel same(6);
  same.graph().input("x", kVector).node("Elu", {"x"}, {"y"}).output("y");
  EXPECT_EQ(error_of(same), "no error");
  OnnxModel changed(6);
  changed.graph().input("x", kVector).node("Add", {"x", "x"}, {"y"}).output("y");
  EXPECT_THAT(error_of(changed), HasSubstr("unsupported: Add in opset 6 (1)"));
}

TEST(OnnxModelErrors, Bytes) {
  EXPECT_THAT(error_of(""), HasSubstr("empty"));
  EXPECT_THAT(error_of("\x0f"), HasSubstr("malformed field tag at byte 0"));
  EXPECT_THAT(error_of(std::string("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
              HasSubstr("malformed number at byte 1"));
  EXPECT_THAT(error_of("\x0b"), HasSubstr("malformed"));  // a group
  EXPECT_THAT(error_of(std::string("\x3a\x05\x0a", 3)),
              HasSubstr("truncated or not an ONNX model: the field at byte 0 goes past the end"));
  EXPECT_THAT(error_of(std::string("\x3a\x04\x0a\x05\x00\x00", 6)),
              HasSubstr("the field at byte 2"));
  // Without a graph, and a graph without a version.
  EXPECT_THAT(error_of(std::string("\x08\x08")), HasSubstr("found no graph"));
  EXPECT_THAT(error_of(std::string("\x3a\x00", 2)), HasSubstr("found no IR version"));

  const std::string bytes = small_model().bytes();
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_NE(error_of(bytes.substr(0, length)), "no error") << length;
  }
}

TEST(OnnxModelErrors, TooManyPartsForTheLimit) {
  OnnxModel model = small_model();
  for (int i = 0; i < 10000; ++i) model.graph().node("Neg", {"x"}, {"a" + std::to_string(i)});
  onnx_import::ImportOptions options;
  options.max_bytes = 1 << 20;
  EXPECT_THROW(onnx_import::import_bytes(model.bytes(), "model.onnx", options), Error);
}

onnx::GraphProto nested_ifs(int depth) {
  onnx::GraphProto graph;
  const std::string name = "y" + std::to_string(depth);
  if (depth == 0) {
    OnnxGraph(graph).node("Neg", {"x"}, {name}).output(name);
  } else {
    onnx::GraphProto other;
    OnnxGraph(other).node("Abs", {"x"}, {"z"}).output("z");
    OnnxGraph(graph)
        .node("If", {"c"}, {name}, {{"then_branch", nested_ifs(depth - 1)}, {"else_branch", other}})
        .output(name);
  }
  return graph;
}

TEST(OnnxModelErrors, Nesting) {
  const auto model = [](int depth) {
    OnnxModel result(13);
    *result.proto().mutable_graph() = nested_ifs(depth);
    result.graph().input("x", kVector).input("c", ValueType::tensor(ElementType::boolean, {}));
    return result.bytes();
  };
  EXPECT_EQ(error_of(model(kMaxRegionDepth - 1)), "no error");
  EXPECT_THAT(error_of(model(kMaxRegionDepth)), HasSubstr("nested too deeply"));
  EXPECT_THAT(error_of(model(300)), HasSubstr("nested too deeply: expected at most 64, found 300"));
}

TEST(OnnxFiles, MissingOrNotAFile) {
  const auto error = [](const std::string& path) -> std::string {
    try {
      onnx_import::import_file(path);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(error("/nowhere/model.onnx"), "/nowhere/model.onnx: no such file");
  EXPECT_THAT(error("/tmp"), HasSubstr("a directory"));
  EXPECT_THAT(error("/dev/zero"), HasSubstr("not a regular file"));
}

TEST(OnnxUnsupported, EverythingIsListedOnceWithCounts) {
  onnx::GraphProto branch;
  OnnxGraph(branch)
      .node("Frobnicate", {"x"}, {"t"})
      .node("Elu", {"t"}, {"u"}, {{"speed", 3}})
      .output("u");
  onnx::GraphProto other;
  OnnxGraph(other).node("Elu", {"x"}, {"e"}, {{"speed", 3}}).output("e");
  OnnxModel model(13);
  model.graph()
      .input("x", kVector)
      .input("c", ValueType::tensor(ElementType::boolean, {}))
      .node("Frobnicate", {"x"}, {"a"})
      .node("Transmogrify", {"a"}, {"b"}, {}, "com.example")
      .node("If", {"c"}, {"d"}, {{"then_branch", branch}, {"else_branch", other}})
      .node("Neg", {"d"}, {"y"})
      .output("y");
  try {
    import_model(model);
    FAIL() << "no error";
  } catch (const UnsupportedError& error) {
    // The Elu after the inner Frobnicate isn't reached; its attribute can't be judged, its op is
    // known.
    EXPECT_THAT(error.items(),
                ElementsAre(Pair("Elu attribute speed = 3", 1), Pair("Frobnicate", 2),
                            Pair("com.example.Transmogrify", 1)));
    EXPECT_STREQ(error.what(),
                 "model.onnx: unsupported: Elu attribute speed = 3 (1), Frobnicate (2), "
                 "com.example.Transmogrify (1)");
  }
}

TEST(OnnxUnsupported, NodesOfALoopAreCountedOnce) {
  onnx::GraphProto body;
  OnnxGraph(body)
      .input("i", ValueType::tensor(ElementType::i64, {}))
      .input("c", ValueType::tensor(ElementType::boolean, {}))
      .input("s", kVector)
      .node("Frobnicate", {"s"}, {"unused"})
      .node("Concat", {"s", "s"}, {"t"}, {{"axis", 0}})
      .output("c")
      .output("t");
  OnnxModel model(13);
  model.graph()
      .input("x", kVector)
      .input("n", ValueType::tensor(ElementType::i64, {}))
      .node("Loop", {"n", "", "x"}, {"y"}, {{"body", body}})
      .output("y");
  EXPECT_THAT(error_of(model), HasSubstr("unsupported: Frobnicate (1)"));
}

TEST(OnnxUnsupported, ElementTypes) {
  OnnxModel model = small_model();
  auto* input = model.proto().mutable_graph()->add_input();
  input->set_name("text");
  input->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::STRING);
  EXPECT_THAT(error_of(model), HasSubstr("unsupported: input: tensor of strings (1)"));
}

// y = scaled(x): Elu(Neg(x)) with the call's alpha.
onnx::FunctionProto scaled_function() {
  onnx::FunctionProto function;
  function.set_name("scaled");
  function.set_domain("local");
  function.add_input("x");
  function.add_output("y");
  function.add_attribute("slope");
  auto* opset = function.add_opset_import();
  opset->set_domain("");
  opset->set_version(13);
  onnx::GraphProto graph;
  OnnxGraph(graph).node("Neg", {"x"}, {"hidden"}).node("Elu", {"hidden"}, {"y"}, {{"alpha", 1.0}});
  auto* reference = graph.mutable_node(1)->mutable_attribute(0);
  reference->clear_f();
  reference->set_ref_attr_name("slope");
  *function.mutable_node() = graph.node();
  return function;
}

TEST(OnnxFunctions, AreInlinedWithTheCallsAttributes) {
  OnnxModel model(13);
  auto* opset = model.proto().add_opset_import();
  opset->set_domain("local");
  opset->set_version(1);
  *model.proto().add_functions() = scaled_function();
  model.graph()
      .input("x", kVector)
      .node("scaled", {"x"}, {"a"}, {{"slope", 0.5}}, "local")
      .node("scaled", {"a"}, {"y"}, {}, "local")
      .output("y");
  const Imported imported = import_model(model);
  const Node* second = imported.graph->output(0)->node();
  EXPECT_EQ(second->op(), Op::elu);
  EXPECT_EQ(second->name(), "y/y");
  EXPECT_EQ(second->real(AttributeName::alpha), 1.0);  // Elu's own default
  const Node* first = second->operand(0)->node()->operand(0)->node();
  EXPECT_EQ(first->op(), Op::elu);
  EXPECT_EQ(first->real(AttributeName::alpha), 0.5);
}

TEST(OnnxFunctions, SeeNothingOfTheirCaller) {
  OnnxModel model(13);
  onnx::FunctionProto function = scaled_function();
  function.mutable_node(0)->set_input(0, "w");
  *model.proto().add_functions() = function;
  model.graph()
      .input("x", kVector)
      .initializer("w", f32({2}, {1, 2}))
      .node("scaled", {"x"}, {"y"}, {}, "local")
      .output("y");
  EXPECT_THAT(error_of(model), HasSubstr("nothing defines a name"));
}

TEST(OnnxFunctions, RecursionAndUnknownAttributesAreErrors) {
  OnnxModel model(13);
  onnx::FunctionProto function = scaled_function();
  function.mutable_node(0)->set_op_type("scaled");
  function.mutable_node(0)->set_domain("local");
  *model.proto().add_functions() = function;
  model.graph().input("x", kVector).node("scaled", {"x"}, {"y"}, {}, "local").output("y");
  EXPECT_THAT(error_of(model), HasSubstr("a function calls itself"));

  OnnxModel attribute(13);
  *attribute.proto().add_functions() = scaled_function();
  attribute.graph()
      .input("x", kVector)
      .node("scaled", {"x"}, {"y"}, {{"tilt", 1.0}}, "local")
      .output("y");
  EXPECT_THAT(error_of(attribute), HasSubstr("unsupported: local.scaled attribute tilt"));
}

TEST(OnnxFunctions, GrowthIsBounded) {
  // Each function calls the one before ten times: 10^20 nodes.
  OnnxModel model(13);
  for (int level = 0; level < 20; ++level) {
    onnx::FunctionProto function;
    function.set_name("f" + std::to_string(level));
    function.set_domain("local");
    function.add_input("x");
    function.add_output("y9");
    function.add_opset_import()->set_version(13);
    onnx::GraphProto graph;
    for (int i = 0; i < 10; ++i) {
      OnnxGraph(graph).node(level == 0 ? "Neg" : "f" + std::to_string(level - 1),
                            {i == 0 ? "x" : "y" + std::to_string(i - 1)}, {"y" + std::to_string(i)},
                            {}, level == 0 ? "" : "local");
    }
    *function.mutable_node() = graph.node();
    *model.proto().add_functions() = function;
  }
  model.graph().input("x", kVector).node("f19", {"x"}, {"y"}, {}, "local").output("y");
  EXPECT_THAT(error_of(model), HasSubstr("functions grow too large"));
}

}  // namespace
}  // namespace refrain
