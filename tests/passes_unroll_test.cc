// unroll: structure as text, and numbers against the same graph with its loops.
#include <gmock/gmock.h>

#include <functional>

#include "ir/builder.h"
#include "ir/clone.h"
#include "ir/control.h"
#include "ir/error.h"
#include "passes/specialize.h"
#include "support/pass_run.h"

namespace refrain {
namespace {

using testing::expect_pass;
using testing::expect_same_results;
using testing::expect_unchanged;
using testing::FoldingContext;
using ::testing::HasSubstr;
using testing::Random;
using testing::run_pass;

size_t count_op(const Region& region, Op op) {
  size_t count = 0;
  for (const Node* node = region.first(); node; node = node->next()) {
    count += node->op() == op;
    for (size_t i = 0; i < node->region_count(); ++i) count += count_op(node->region(i), op);
  }
  return count;
}

TEST(Unroll, AScanBecomesCopiesOfItsBody) {
  expect_pass({"unroll"},
              R"(graph @g (%x: f32[B, 2], %h: f32[B], %w: f32[]) {
  %s, %y = scan invariant(%wi = %w: f32[]) state(%hi = %h: f32[B]) scanned(%xi = %x[1]: f32[B]) stacked([1 reverse]) {
    %one = constant f32[] (1)
    %0 = mul(%hi, %wi) : f32[B]
    %1 = add(%0, %xi) : f32[B]
    %2 = sub(%one, %1) : f32[B]
    yield %1, %2
  } : f32[B], f32[B, 2]
  yield "s" = %s, "y" = %y
})",
              R"(graph @g (%x: f32[B, 2], %h: f32[B], %w: f32[]) {
  %one = constant f32[] (1)
  %0 = constant i64[] (0)
  %1 = gather(%x, %0) {axis = 1} : f32[B]
  %2 = mul(%h, %w) : f32[B]
  %3 = add(%2, %1) : f32[B]
  %4 = sub(%one, %3) : f32[B]
  %5 = constant i64[] (1)
  %6 = gather(%x, %5) {axis = 1} : f32[B]
  %7 = mul(%3, %w) : f32[B]
  %s = add(%7, %6) : f32[B]
  %8 = sub(%one, %s) : f32[B]
  %9 = constant i64[1] (1)
  %10 = unsqueeze(%8, %9) : f32[B, 1]
  %11 = unsqueeze(%4, %9) : f32[B, 1]
  %y = concat(%10, %11) {axis = 1} : f32[B, 2]
  yield "s" = %s, "y" = %y
})");
}

TEST(Unroll, LengthsBecomeMasks) {
  expect_pass({"unroll"},
              R"(graph @g (%x: f32[1, B, 4], %h: f32[B, 4], %n: i32[B]) {
  %s, %y = scan lengths(%n) state(%hi = %h: f32[B, 4]) scanned(%xi = %x[0]: f32[B, 4]) stacked([0]) {
    %0 = add(%hi, %xi) : f32[B, 4]
    yield %0, %0
  } : f32[B, 4], f32[1, B, 4]
  yield "s" = %s, "y" = %y
})",
              R"(graph @g (%x: f32[1, B, 4], %h: f32[B, 4], %n: i32[B]) {
  %0 = constant i64[] (0)
  %1 = gather(%x, %0) {axis = 0} : f32[B, 4]
  %2 = add(%h, %1) : f32[B, 4]
  %3 = constant i32[] (0)
  %4 = less(%3, %n) : bool[B]
  %5 = constant i64[1] (1)
  %6 = unsqueeze(%4, %5) : bool[B, 1]
  %s = where(%6, %2, %h) : f32[B, 4]
  %7 = constant f32[] (0)
  %8 = where(%6, %2, %7) : f32[B, 4]
  %9 = constant i64[1] (0)
  %10 = unsqueeze(%8, %9) : f32[1, B, 4]
  %y = concat(%10) {axis = 0} : f32[1, B, 4]
  yield "s" = %s, "y" = %y
})");
}

TEST(Unroll, AScanOfUnknownLengthStays) {
  expect_unchanged("unroll", R"(graph @g (%x: f32[T, 4], %h: f32[4]) {
  %s = scan state(%hi = %h: f32[4]) scanned(%xi = %x[0]: f32[4]) {
    %0 = add(%hi, %xi) : f32[4]
    yield %0
  } : f32[4]
  yield "s" = %s
})");
}

TEST(Unroll, NoStepsLeaveTheInitialState) {
  expect_pass({"unroll", "dce"},
              R"(graph @g (%x: f32[0, 4], %h: f32[4]) {
  %s, %y = scan state(%hi = %h: f32[4]) scanned(%xi = %x[0]: f32[4]) stacked([0]) {
    %0 = add(%hi, %xi) : f32[4]
    yield %0, %0
  } : f32[4], f32[0, 4]
  yield "s" = %s, "y" = %y
})",
              R"(graph @g (%x: f32[0, 4], %h: f32[4]) {
  %y = constant f32[0, 4] ()
  yield "s" = %h, "y" = %y
})");
}

// Nothing says how wide the rows of an empty result of unknown width are.
TEST(Unroll, NoStepsOfUnknownWidthStay) {
  expect_unchanged("unroll", R"(graph @g (%x: f32[0, W]) {
  %y = scan scanned(%xi = %x[0]: f32[W]) stacked([0]) {
    %0 = tanh(%xi) : f32[W]
    yield %0
  } : f32[0, W]
  yield "y" = %y
})");
}

TEST(Unroll, LoopsWithoutACondition) {
  expect_pass({"unroll", "dce"},
              R"(graph @g (%h: f32[4], %k: f32[4]) {
  %n = constant i64[] (2)
  %go = constant bool[] (true)
  %s, %y = loop trips(%n) while(%go) iteration(%i) invariant(%ki = %k: f32[4]) state(%hi = %h: f32[4]) {
    %on = constant bool[] (true)
    %0 = cast(%i) {to = f32} : f32[]
    %1 = mul(%hi, %0) : f32[4]
    %2 = add(%1, %ki) : f32[4]
    yield %on, %2, %1
  } : f32[4], f32[?, 4]
  yield "s" = %s, "y" = %y
})",
              R"(graph @g (%h: f32[4], %k: f32[4]) {
  %0 = constant i64[] (0)
  %1 = cast(%0) {to = f32} : f32[]
  %2 = mul(%h, %1) : f32[4]
  %3 = add(%2, %k) : f32[4]
  %4 = constant i64[] (1)
  %5 = cast(%4) {to = f32} : f32[]
  %6 = mul(%3, %5) : f32[4]
  %s = add(%6, %k) : f32[4]
  %7 = constant i64[1] (0)
  %8 = unsqueeze(%2, %7) : f32[1, 4]
  %9 = unsqueeze(%6, %7) : f32[1, 4]
  %y = concat(%8, %9) {axis = 0} : f32[2, 4]
  yield "s" = %s, "y" = %y
})");
}

TEST(Unroll, LoopsThatMayEndEarlyStay) {
  expect_unchanged("unroll", R"(graph @g (%h: f32[], %one: f32[]) {
  %n = constant i64[] (9)
  %go = constant bool[] (true)
  %s = loop trips(%n) while(%go) iteration(%i) invariant(%k = %one: f32[]) state(%hi = %h: f32[]) {
    %0 = add(%hi, %k) : f32[]
    %1 = less(%hi, %k) : bool[]
    yield %1, %0
  } : f32[]
  yield "s" = %s
})");
}

TEST(Unroll, IsBounded) {
  for (const std::string trips : {"4000000000000000000", "1000"}) {
    const auto graph = parse("graph @g (%h: f32[]) {\n%n = constant i64[] (" + trips + R"()
  %s = scan trips(%n) state(%hi = %h: f32[]) {
    %0 = tanh(%hi) : f32[]
    yield %0
  } : f32[]
  yield "s" = %s
})");
    passes::PassContext context;
    context.max_unrolled_nodes = 2000;
    try {
      passes::find_pass("unroll")->run(*graph, context);
      FAIL() << "no error for " << trips;
    } catch (const Error& error) {
      EXPECT_THAT(
          error.what(),
          HasSubstr("node \"s\" (scan): unrolling makes too many nodes: expected at most 2000"));
    }
  }
}

// --- numbers ---

// Random scans over [B, H] values: any roles, axes, directions, lengths.
struct RandomScan {
  static constexpr int64_t kBatch = 3, kWidth = 2;

  explicit RandomScan(uint64_t seed) : random(seed) {}

  int64_t below(size_t count) { return random.integer(0, static_cast<int64_t>(count) - 1); }

  // A scan in `builder`'s region over values of type f64[B, H]; fills `results`.
  void add(Builder& builder, std::vector<Value*>& pool, const std::vector<Value*>& wholes,
           Value* lengths, int depth) {
    const bool ragged = lengths && random.integer(0, 1);
    const bool backward = random.integer(0, 1);
    ScanSpec spec;
    if (ragged) spec.lengths = lengths;
    if (random.integer(0, 2) == 0) spec.trip_count = builder.scalar(steps);
    spec.batch_axis = random.integer(0, 1) ? 0 : -2;
    auto body = std::make_unique<Region>();
    std::vector<Value*> inner, inner_wholes;
    const ValueType type = ValueType::tensor(ElementType::f64, {kBatch, kWidth});
    for (int64_t i = 0, n = random.integer(0, 2); i < n; ++i) {
      spec.invariants.push_back(pool[static_cast<size_t>(below(pool.size()))]);
      inner.push_back(body->add_argument(type));
    }
    spec.invariants.push_back(wholes[0]);  // for a scan inside
    inner_wholes.push_back(body->add_argument(wholes[0]->type()));
    const int64_t states = random.integer(1, 3);
    for (int64_t i = 0; i < states; ++i) {
      spec.states.push_back(pool[static_cast<size_t>(below(pool.size()))]);
      inner.push_back(body->add_argument(type));
    }
    const int64_t scanned = random.integer(spec.trip_count ? 0 : 1, 2);
    for (int64_t i = 0; i < scanned; ++i) {
      const int64_t axis = random.integer(0, 2);
      Value* whole = wholes[static_cast<size_t>(below(wholes.size()))];
      const std::vector<int64_t> perm = axis == 0   ? std::vector<int64_t>{0, 1, 2}
                                        : axis == 1 ? std::vector<int64_t>{1, 0, 2}
                                                    : std::vector<int64_t>{1, 2, 0};
      spec.scanned.push_back(builder.transpose(whole, perm));
      spec.scan_slots.push_back(
          {random.integer(0, 1) ? axis : axis - 3, ragged ? backward : random.integer(0, 1) == 1});
      inner.push_back(body->add_argument(type));
    }
    Builder in(*body);
    for (int64_t i = 0, n = random.integer(1, 6); i < n; ++i) {
      Value* a = inner[static_cast<size_t>(below(inner.size()))];
      Value* b = inner[static_cast<size_t>(below(inner.size()))];
      switch (random.integer(0, 4)) {
        case 0:
          inner.push_back(in.op(Op::tanh, {a}));
          break;
        case 1:
          inner.push_back(in.op(Op::add, {a, b}));
          break;
        case 2:
          inner.push_back(in.op(Op::mul, {a, in.scalar(0.75)}));
          break;
        case 3:
          inner.push_back(in.op(Op::sub, {a, b}));
          break;
        default:
          inner.push_back(in.op(Op::max, {a, b}));
      }
    }
    if (depth > 0) add(in, inner, inner_wholes, nullptr, depth - 1);
    std::vector<Value*> yields;
    for (int64_t i = 0; i < states; ++i)
      yields.push_back(inner[inner.size() - 1 -
                             static_cast<size_t>(below(3) % static_cast<int64_t>(inner.size()))]);
    for (int64_t i = 0, n = random.integer(0, 2); i < n; ++i) {
      yields.push_back(inner[static_cast<size_t>(below(inner.size()))]);
      spec.stack_slots.push_back(
          {random.integer(-3, 2), ragged ? backward : random.integer(0, 1) == 1});
    }
    in.yield(yields);
    const Node* scan = builder.scan(spec, std::move(body));
    for (size_t i = 0; i < scan->result_count(); ++i) {
      Value* result = scan->result(i);
      if (result->type().shape.rank() == 2) {
        pool.push_back(result);
      } else {
        stacked.push_back(result);
      }
    }
  }

  std::unique_ptr<Graph> make() {
    auto graph = std::make_unique<Graph>("random");
    steps = random.integer(1, 5);
    const ValueType type = ValueType::tensor(ElementType::f64, {kBatch, kWidth});
    std::vector<Value*> pool = {graph->add_input(type, "a"), graph->add_input(type, "b")};
    const ValueType whole = ValueType::tensor(ElementType::f64, {Dim::symbol("T"), kBatch, kWidth});
    const std::vector<Value*> wholes = {graph->add_input(whole, "x"), graph->add_input(whole, "z")};
    Value* lengths = graph->add_input(ValueType::tensor(ElementType::i64, {kBatch}), "n");
    Builder builder(graph->body());
    const int64_t scans = random.integer(1, 3);
    for (int64_t i = 0; i < scans; ++i)
      add(builder, pool, wholes, lengths, random.integer(0, 1) ? 1 : 0);
    // Stacked results that an inner scan made have no names outside of it.
    std::vector<Value*> outputs(pool.begin() + 2, pool.end());
    for (Value* value : stacked) {
      if (value->region() == &graph->body()) outputs.push_back(value);
    }
    std::vector<std::string> names;
    for (size_t i = 0; i < outputs.size(); ++i) names.push_back("o" + std::to_string(i));
    graph->set_outputs(outputs, names);
    return graph;
  }

  std::vector<RuntimeValue> inputs() {
    std::vector<RuntimeValue> result;
    for (int i = 0; i < 2; ++i) result.push_back(random.tensor(ElementType::f64, {kBatch, kWidth}));
    for (int i = 0; i < 2; ++i)
      result.push_back(random.tensor(ElementType::f64, {steps, kBatch, kWidth}));
    std::vector<int64_t> lengths;
    for (int64_t i = 0; i < kBatch; ++i) lengths.push_back(random.integer(0, steps));
    result.push_back(Tensor::of_ints(lengths));
    return result;
  }

  Random random;
  int64_t steps = 1;
  std::vector<Value*> stacked;
};

TEST(Unroll, RandomScansGiveTheSameNumbers) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomScan source(seed);
    const std::unique_ptr<Graph> graph = source.make();
    verify(*graph);
    const auto unrolled = clone_graph(*graph);
    passes::specialize(*unrolled, {{"T", source.steps}});
    run_pass(*unrolled, "unroll", FoldingContext());
    EXPECT_EQ(count_op(unrolled->body(), Op::scan), 0u);
    const std::vector<RuntimeValue> inputs = source.inputs();
    expect_same_results(*unrolled, *graph, inputs);

    // And neither form changes its numbers on its way through the pipeline.
    const FoldingContext context;
    passes::run_pipeline(*unrolled, passes::default_pipeline(), context);
    expect_same_results(*unrolled, *graph, inputs);
    const auto optimized = clone_graph(*graph);
    passes::run_pipeline(*optimized, passes::default_pipeline(), context);
    expect_same_results(*optimized, *graph, inputs);
    if (HasFailure()) break;
  }
}

TEST(Unroll, AScanInALoopOfUnknownLength) {
  const auto graph = parse(R"(graph @g (%x: f64[T, 3, 2], %h: f64[2]) {
  %s, %y = scan state(%hi = %h: f64[2]) scanned(%xi = %x[0]: f64[3, 2]) stacked([0]) {
    %r, %q = scan state(%k = %hi: f64[2]) scanned(%v = %xi[0 reverse]: f64[2]) stacked([1 reverse]) {
      %0 = sub(%k, %v) : f64[2]
      %1 = tanh(%0) : f64[2]
      yield %1, %0
    } : f64[2], f64[2, 3]
    yield %r, %q
  } : f64[2], f64[T, 2, 3]
  yield "s" = %s, "y" = %y
})");
  const auto unrolled = clone_graph(*graph);
  run_pass(*unrolled, "unroll", {});
  EXPECT_EQ(count_op(unrolled->body(), Op::scan), 1u);
  Random random;
  std::vector<RuntimeValue> inputs;
  inputs.push_back(random.tensor(ElementType::f64, {4, 3, 2}));
  inputs.push_back(random.tensor(ElementType::f64, {2}));
  expect_same_results(*unrolled, *graph, inputs);
}

}  // namespace
}  // namespace refrain
