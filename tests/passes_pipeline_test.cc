// The pass manager, the default pipeline on graphs like those that exporters write, and cost at
// size.
#include <gmock/gmock.h>

#include <set>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"
#include "passes/passes.h"
#include "support/pass_run.h"

namespace refrain {
namespace {

using passes::PipelineEntry;
using ::testing::ElementsAre;
using testing::expect_same_results;
using testing::FoldingContext;
using ::testing::HasSubstr;
using testing::Random;
using testing::run_pass;

constexpr char kSmall[] = R"(graph @g (%x: f32[4]) {
  %a = constant f32[] (1)
  %b = mul(%x, %a) : f32[4]
  %c = tanh(%x) : f32[4]
  yield "b" = %b
})";

TEST(Pipeline, EveryPassHasANameOfItsOwnAndAPurpose) {
  std::set<std::string_view> names;
  for (const passes::Pass& pass : passes::all_passes()) {
    EXPECT_TRUE(names.insert(pass.name).second) << pass.name;
    EXPECT_FALSE(pass.summary.empty());
    EXPECT_EQ(passes::find_pass(pass.name), &pass);
  }
  EXPECT_EQ(passes::find_pass("no such pass"), nullptr);
  for (const PipelineEntry& entry : passes::default_pipeline()) {
    EXPECT_TRUE(names.contains(entry.pass)) << entry.pass;
    EXPECT_FALSE(entry.reason.empty());
  }
}

TEST(Pipeline, ReportsWhatPassesDid) {
  const auto graph = parse(kSmall);
  const PipelineEntry pipeline[] = {{"simplify_algebra", ""}, {"cse", ""}, {"dce", ""}};
  std::vector<std::string> seen;
  passes::PipelineOptions options;
  options.after_pass = [&](const passes::PassReport& report, const Graph& now) {
    seen.push_back(report.pass);
    EXPECT_EQ(report.nodes_after, count_nodes(now.body()));
  };
  const auto reports = passes::run_pipeline(*graph, pipeline, {}, options);
  EXPECT_THAT(seen, ElementsAre("simplify_algebra", "cse", "dce"));
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_TRUE(reports[0].changed);
  EXPECT_EQ(reports[0].nodes_before, 4u);
  EXPECT_FALSE(reports[1].changed);
  EXPECT_TRUE(reports[2].changed);
  EXPECT_EQ(reports[2].nodes_after, 1u);
}

TEST(Pipeline, StopsAfterTheLastRunOfAPass) {
  const auto graph = parse(kSmall);
  const PipelineEntry pipeline[] = {
      {"dce", ""}, {"simplify_algebra", ""}, {"dce", ""}, {"cse", ""}};
  passes::PipelineOptions options;
  options.stop_after = "dce";
  EXPECT_EQ(passes::run_pipeline(*graph, pipeline, {}, options).size(), 3u);
  options.stop_after = "simplify_algebra";
  EXPECT_EQ(passes::run_pipeline(*graph, pipeline, {}, options).size(), 2u);
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Pipeline, ErrorsNameThePass) {
  const auto graph = parse(kSmall);
  passes::PipelineOptions options;
  options.stop_after = "frobnicate";
  EXPECT_THAT(
      error_of([&] { passes::run_pipeline(*graph, passes::default_pipeline(), {}, options); }),
      HasSubstr("unknown pass: expected one of infer, unify_symbols, fold"));
  options.stop_after = "unroll";
  EXPECT_THAT(
      error_of([&] { passes::run_pipeline(*graph, passes::default_pipeline(), {}, options); }),
      HasSubstr("no such pass to stop after"));
  const PipelineEntry wrong[] = {{"frobnicate", ""}};
  EXPECT_THAT(error_of([&] { passes::run_pipeline(*graph, wrong, {}); }),
              HasSubstr("found frobnicate"));

  const PipelineEntry unroll[] = {{"unroll", ""}};
  const auto loop = parse(R"(graph @g (%x: f32[9, 4]) {
  %y = scan scanned(%xi = %x[0]: f32[4]) stacked([0]) {
    %0 = tanh(%xi) : f32[4]
    yield %0
  } : f32[9, 4] @"rnn"
  yield "y" = %y
})");
  passes::PassContext context;
  context.max_unrolled_nodes = 10;
  EXPECT_THAT(error_of([&] { passes::run_pipeline(*loop, unroll, context); }),
              HasSubstr("node \"rnn\" (scan): pass unroll: unrolling makes too many nodes"));
}

// A graph that a pass leaves invalid is caught, whatever made it so.
TEST(Pipeline, VerifiesWhatChangedAndTheEnd) {
  const auto error_after = [](std::initializer_list<PipelineEntry> pipeline) {
    const auto graph = parse(kSmall);
    graph->body().first()->next()->result()->set_type(ValueType::tensor(ElementType::f64, {4}));
    return error_of([&] { passes::run_pipeline(*graph, {pipeline}, {}); });
  };
  EXPECT_THAT(error_after({{"hoist", ""}}), HasSubstr("pass hoist: result 0 has the wrong type"));
  EXPECT_THAT(error_after({{"hoist", ""}, {"cse", ""}}), HasSubstr("pass cse: result 0"));
  // dce removes the tanh.
  EXPECT_THAT(error_after({{"hoist", ""}, {"dce", ""}, {"cse", ""}}),
              HasSubstr("pass dce: result 0"));
}

// --- graphs like exporters write them ---

// torch.nn.GRU-like, batch and time dynamic, with its shape arithmetic, a branch on a rank and a
// double transpose.
constexpr char kExported[] = R"(graph @g (%x: f32[N, T, 3], %keep: f32[]) {
  %w = constant f32[3, 2] (0.5, -1, 0.25, 2, 1, -0.5)
  %r = constant f32[2, 2] (0.5, 0.25, -0.75, 1)
  %s = shape(%x) : i64[3]
  %zero = constant i64[] (0)
  %one = constant i64[] (1)
  %n = gather(%s, %zero) : i64[]
  %axes = constant i64[1] (0)
  %n1 = unsqueeze(%n, %axes) : i64[1]
  %two = constant i64[1] (2)
  %target = concat(%n1, %two) {axis = 0} : i64[2]
  %h = fill(%target) {value = f32[1] (0)} : f32[?, ?]
  %xt = transpose(%x) {perm = [1, 0, 2]} : f32[T, N, 3]
  %hn, %y = scan invariant(%wi = %w: f32[3, 2], %ri = %r: f32[2, 2], %o = %one: i64[]) state(%hi = %h: f32[?, ?]) scanned(%xi = %xt[0]: f32[N, 3]) stacked([0]) {
    %0 = matmul(%xi, %wi) : f32[N, 2]
    %1 = matmul(%hi, %ri) : f32[?, 2]
    %2 = add(%0, %1) : f32[?, 2]
    %3 = cast(%o) {to = f32} : f32[]
    %4 = mul(%2, %3) : f32[?, 2]
    %5 = tanh(%4) : f32[?, 2]
    yield %5, %5
  } : f32[?, ?], f32[T, ?, 2]
  %yt = transpose(%y) {perm = [1, 0, 2]} : f32[?, T, 2]
  %ys = shape(%yt) : i64[3]
  %d = gather(%ys, %zero) : i64[]
  %is1 = equal(%d, %n) : bool[]
  %z = branch(%is1) then(%a = %yt: f32[?, T, 2]) {
    yield %a
  } else(%a = %yt: f32[?, T, 2]) {
    %6 = neg(%a) : f32[?, T, 2]
    yield %6
  } : f32[?, T, 2]
  %back = transpose(%z) {perm = [1, 0, 2]} : f32[T, ?, 2]
  %scaled = mul(%back, %keep) : f32[T, ?, 2]
  yield "y" = %scaled, "h" = %hn
})";

TEST(DefaultPipeline, ReachesItsFixpoint) {
  const auto graph = parse(kExported);
  const FoldingContext context;
  passes::run_pipeline(*graph, passes::default_pipeline(), context);
  EXPECT_EQ(print(*graph), print(*parse(R"(graph @g (%x: f32[N, T, 3], %keep: f32[]) {
  %target = dims() {dims = [N, 2]} : i64[2]
  %h = fill(%target) {value = f32[1] (0)} : f32[N, 2]
  %xt = transpose(%x) {perm = [1, 0, 2]} : f32[T, N, 3]
  %wi = constant f32[3, 2] (0.5, -1, 0.25, 2, 1, -0.5)
  %0 = matmul(%xt, %wi) : f32[T, N, 2]
  %hn, %y = scan state(%hi = %h: f32[N, 2]) scanned(%1 = %0[0]: f32[N, 2]) stacked([0]) {
    %ri = constant f32[2, 2] (0.5, 0.25, -0.75, 1)
    %2 = matmul(%hi, %ri) : f32[N, 2]
    %3 = add(%1, %2) : f32[N, 2]
    %5 = tanh(%3) : f32[N, 2]
    yield %5, %5
  } : f32[N, 2], f32[T, N, 2]
  %scaled = mul(%y, %keep) : f32[T, N, 2]
  yield "y" = %scaled, "h" = %hn
})")));
  for (const passes::PassReport& report :
       passes::run_pipeline(*graph, passes::default_pipeline(), context)) {
    EXPECT_FALSE(report.changed) << report.pass;
  }
}

TEST(DefaultPipeline, EveryStepKeepsItsPromisesAndTheNumbers) {
  const auto original = parse(kExported);
  const auto graph = clone_graph(*original);
  const FoldingContext context;
  Random random;
  std::vector<RuntimeValue> inputs;
  inputs.push_back(random.tensor(ElementType::f32, {2, 5, 3}));
  inputs.push_back(random.tensor(ElementType::f32, {}));
  for (const PipelineEntry& entry : passes::default_pipeline()) {
    SCOPED_TRACE(std::string(entry.pass));
    run_pass(*graph, std::string(entry.pass), context);
    expect_same_results(*graph, *original, inputs);
  }
}

// --- size ---

// Passes over 100,000 nodes must not take time that grows with the square: these would take
// minutes.
constexpr int kMany = 100'000;

void run_all(Graph& graph) {
  const FoldingContext context;
  for (const passes::Pass& pass : passes::all_passes()) {
    // As in a pipeline: looking at every node again after passes that had nothing to do would be
    // most of the time.
    if (pass.run(graph, context)) {
      ASSERT_NO_THROW(verify(graph)) << pass.name;
    }
  }
  ASSERT_NO_THROW(verify(graph));
}

TEST(Size, AChainThatSharesItsWeight) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(ElementType::f32, {Dim::symbol("B"), 4}), "x");
  Value* w = graph.add_input(ValueType::tensor(ElementType::f32, {4}), "w");
  Builder builder(graph.body());
  Value* one = builder.constant(Tensor::of<float>({4}, std::vector<float>(4, 1)));
  for (int i = 0; i < kMany / 2; ++i) x = builder.op(Op::mul, {builder.op(Op::add, {x, w}), one});
  graph.set_outputs(std::vector<Value*>{x}, {"y"});
  run_all(graph);  // the chain is rolled and unrolled again, which leaves the number of steps
  passes::find_pass("dce")->run(graph, {});
  EXPECT_EQ(count_nodes(graph.body()), static_cast<size_t>(kMany / 2 + 1));
}

TEST(Size, AChainOfConstants) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(ElementType::f32, {Dim::symbol("B"), 4}), "x");
  Builder builder(graph.body());
  Value* c = builder.scalar(0.5f);
  Value* shared = builder.scalar(0.25f);
  for (int i = 0; i < kMany; ++i)
    c = builder.op(i % 2 ? Op::tanh : Op::add, i % 2 ? std::initializer_list<Value*>{c}
                                                     : std::initializer_list<Value*>{c, shared});
  graph.set_outputs(std::vector<Value*>{builder.op(Op::mul, {x, c})}, {"y"});
  run_all(graph);
  EXPECT_EQ(count_nodes(graph.body()), 3u);
}

TEST(Size, ShapesOfEveryNode) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(ElementType::f32, {Dim(), 4}), "x");
  Value* y = graph.add_input(ValueType::tensor(ElementType::f32, {Dim::symbol("T"), 4}), "y");
  Builder builder(graph.body());
  Value* zero = builder.scalar(int64_t{0});
  Value* sum = zero;
  for (int i = 0; i < kMany / 8; ++i) {
    x = builder.op(Op::tanh, {x});
    y = builder.op(Op::tanh, {y});
    for (Value* value : {x, y}) {
      Value* extent = builder.op(Op::gather, {builder.op(Op::shape, {value}), zero});
      sum = builder.op(Op::max, {sum, extent});
    }
  }
  graph.set_outputs(std::vector<Value*>{sum, x, y}, {"sum", "x", "y"});
  run_all(graph);
}

// Chains everywhere, none of which is a loop: each weight comes back three times, far apart.
TEST(Size, WeightsThatComeBackFarApart) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(ElementType::f32, {1, 4}), "x");
  Builder builder(graph.body());
  std::vector<Value*> weights;
  for (int i = 0; i < kMany / 6; ++i)
    weights.push_back(
        builder.constant(Tensor::of<float>({4}, std::vector<float>(4, static_cast<float>(i)))));
  for (int i = 0; i < kMany / 2; ++i) {
    // Ops that follow each other in no period.
    const Op op = static_cast<unsigned>(i) * 2654435761u >> 31 ? Op::mul : Op::sub;
    x = builder.op(op, {x, weights[static_cast<size_t>(i) % weights.size()]});
  }
  graph.set_outputs(std::vector<Value*>{x}, {"y"});
  run_all(graph);
  EXPECT_GE(count_nodes(graph.body()), static_cast<size_t>(kMany / 2));
}

TEST(Size, AWideConcatAndManyDeadNodes) {
  Graph graph;
  Value* x = graph.add_input(ValueType::tensor(ElementType::f32, {1, 4}), "x");
  Builder builder(graph.body());
  std::vector<Value*> parts;
  for (int i = 0; i < kMany / 2; ++i) {
    parts.push_back(
        builder.op(Op::leaky_relu, {x}, {{AttributeName::alpha, static_cast<double>(i)}}));
    builder.op(Op::elu, {x}, {{AttributeName::alpha, static_cast<double>(i)}});
  }
  Value* all = builder.create(Op::concat, parts, {{AttributeName::axis, int64_t{0}}})->result();
  graph.set_outputs(std::vector<Value*>{all}, {"y"});
  run_all(graph);
  EXPECT_EQ(count_nodes(graph.body()), static_cast<size_t>(kMany / 2 + 2));
}

TEST(Size, ALongScanUnrollsAndRolls) {
  const auto graph = parse(R"(graph @g (%x: f32[20000, 2], %h: f32[2], %w: f32[2]) {
  %s, %y = scan invariant(%wi = %w: f32[2]) state(%hi = %h: f32[2]) scanned(%xi = %x[0]: f32[2]) stacked([0]) {
    %0 = mul(%hi, %wi) : f32[2]
    %1 = add(%0, %xi) : f32[2]
    yield %1, %1
  } : f32[2], f32[20000, 2]
  yield "s" = %s, "y" = %y
})");
  run_pass(*graph, "unroll", {});
  EXPECT_GE(count_nodes(graph->body()), 80000u);
  run_all(*graph);  // rolls it again, and gives it any length
  EXPECT_LE(count_nodes(graph->body()), 10u);
}

// 5,000 branches of constant condition, one inside the other as far as depth allows.
TEST(Size, ManyBranches) {
  std::string text = "graph @g (%x0: f32[4], %c: bool[]) {\n  %t = constant bool[] (true)\n";
  for (int i = 0; i < 5000; ++i) {
    const std::string from = "%x" + std::to_string(i), to = "%x" + std::to_string(i + 1);
    text += to + " = branch(" + (i % 2 ? "%t" : "%c") + ") then(%a = " + from +
            ": f32[4]) {\n%0 = tanh(%a) : f32[4]\nyield %0\n} else(%a = " + from +
            ": f32[4]) {\nyield %a\n} : f32[4]\n";
  }
  const auto graph = parse(text + "yield \"y\" = %x5000\n}");
  run_all(*graph);
}

}  // namespace
}  // namespace refrain
