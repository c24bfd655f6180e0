// Graphs whose loops and branches depend on data: cut, prepared in parts, and as the reference
// backend has them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backends/reference/executor.h"
#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "ir/clone.h"
#include "ir/error.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/random.h"

namespace refrain {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RuntimeValue random_value(ElementType type, std::vector<int64_t> extents, uint64_t seed) {
  return testing::Random(seed).tensor(type, std::move(extents));
}

// One model, run again and again.
class Runs {
 public:
  explicit Runs(const std::string& text, const ExecutableOptions& options = {})
      : graph_(parse(text)), executable_(optimized(), options) {}

  // Both ways must give the same.
  void expect_same(const std::vector<RuntimeValue>& inputs) {
    const std::vector<RuntimeValue> expected = reference::run(*graph_, inputs);
    const std::vector<RuntimeValue> actual = executable_.run(inputs);
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_TRUE(actual[i].tensor);
      EXPECT_TRUE(testing::close(*actual[i].tensor, *expected[i].tensor, 1e-5, 1e-6))
          << "output " << i;
    }
  }
  std::string steps(const std::vector<RuntimeValue>& inputs) {
    return executable_.describe(inputs);
  }
  std::string message(const std::vector<RuntimeValue>& inputs) {
    try {
      executable_.run(inputs);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

 private:
  std::unique_ptr<Graph> optimized() const {
    std::unique_ptr<Graph> copy = clone_graph(*graph_);
    optimize(*copy);
    return copy;
  }

  std::unique_ptr<Graph> graph_;
  Executable executable_;
};

// Runs until the sum of what it makes passes `%stop`; `after` makes %y of the stack %all.
std::string until(const std::string& after) {
  return R"(graph @g (%h: f32[B, 12], %w: f32[12, 20], %most: i64[], %stop: f32[], %first: bool[]) {
  %hw = matmul(%h, %w) : f32[B, 20]
  %last, %all = loop trips(%most) while(%first) iteration(%i) invariant(%v = %w: f32[12, 20], %g = %hw: f32[B, 20], %s = %stop: f32[]) state(%a = %h: f32[B, 12]) {
    %p = matmul(%a, %v) : f32[B, 20]
    %q = add(%p, %g) : f32[B, 20]
    %t = tanh(%q) : f32[B, 20]
    %f = cast(%i) {to = f32} : f32[]
    %axes = constant i64[2] (0, 1)
    %sum = reduce_sum(%t, %axes) {keep_dims = false} : f32[]
    %total = add(%sum, %f) : f32[]
    %go = less(%total, %s) : bool[]
    %size = constant i64[2] (12, 8)
    %l, %r = split(%t, %size) {axis = 1} : f32[B, 12], f32[B, 8]
    yield %go, %l, %r
  } : f32[B, 12], f32[?, B, 8]
)" + after +
         R"(  %z = relu(%hw) : f32[B, 20]
  yield "last" = %last, "y" = %y, "z" = %z
}
)";
}

std::vector<RuntimeValue> until_inputs(int64_t batch, int64_t most, float stop, bool first) {
  return {random_value(ElementType::f32, {batch, 12}, 1),
          testing::Random(2).tensor(ElementType::f32, {12, 20}, -0.3, 0.3), Tensor::scalar(most),
          Tensor::scalar(stop), Tensor::scalar(first)};
}

TEST(Staged, LoopsThatEndByTheirData) {
  Runs runs(until("  %y = transpose(%all) {perm = [1, 0, 2]} : f32[B, ?, 8]\n"));
  const std::string steps = runs.steps(until_inputs(2, 50, 9, true));
  EXPECT_THAT(steps, HasSubstr("stage 1 of 3: prepared"));
  EXPECT_THAT(steps, HasSubstr("until its condition is false"));
  for (const int64_t batch : {1, 2, 3}) {
    for (const float stop : {-1e9F, 9.0F, 30.0F, 1e9F}) {
      runs.expect_same(until_inputs(batch, 50, stop, true));
    }
  }
  runs.expect_same(until_inputs(2, 50, 9, false));
  runs.expect_same(until_inputs(2, 0, 9, true));
  runs.expect_same(until_inputs(2, -3, 9, true));
}

// What follows a loop is prepared for the extents that it has left.
TEST(Staged, ProductsAfterALoop) {
  Runs runs(
      until("  %zero = constant i64[1] (0)\n  %eight = constant i64[1] (8)\n"
            "  %k = slice(%w, %zero, %eight) : f32[8, 20]\n"
            "  %y = matmul(%all, %k) : f32[?, B, 20]\n"));
  for (const float stop : {-1e9F, 9.0F, 30.0F}) runs.expect_same(until_inputs(2, 50, stop, true));
}

// Two loops, of which the second runs as often as the first has stacked.
TEST(Staged, LoopsOneAfterTheOther) {
  Runs runs(until(R"(  %shape = shape(%all) {end = 1} : i64[1]
  %none = constant i64[0] ()
  %n = reshape(%shape, %none) : i64[]
  %zero = constant f32[] (0)
  %true = constant bool[] (true)
  %y = loop trips(%n) while(%true) iteration(%j) invariant(%u = %all: f32[?, B, 8]) state(%m = %zero: f32[]) {
    %x = gather(%u, %j) : f32[B, 8]
    %o = constant i64[2] (0, 1)
    %c = reduce_sum(%x, %o) {keep_dims = false} : f32[]
    %d = add(%m, %c) : f32[]
    %e = tanh(%d) : f32[]
    %yes = constant bool[] (true)
    yield %yes, %e
  } : f32[]
)"));
  for (const float stop : {-1e9F, 9.0F, 30.0F}) runs.expect_same(until_inputs(2, 50, stop, true));
}

// A state that grows: the loop is the reference backend's, what is around it is not.
TEST(Staged, StatesThatChangeTheirShape) {
  Runs runs(R"(graph @g (%x: f32[4], %w: f32[4, 6], %stop: f32[]) {
  %y = matmul(%x, %w) : f32[6]
  %n = constant i64[] (100)
  %true = constant bool[] (true)
  %last = loop trips(%n) while(%true) iteration(%i) invariant(%s = %stop: f32[], %v = %y: f32[6]) state(%a = %y: f32[?]) {
    %b = concat(%a, %v) {axis = 0} : f32[?]
    %o = constant i64[1] (0)
    %f = cast(%i) {to = f32} : f32[]
    %go = less(%f, %s) : bool[]
    yield %go, %b
  } : f32[?]
  %z = exp(%last) : f32[?]
  yield "z" = %z
}
)");
  for (const float stop : {0.0F, 3.5F}) {
    const std::vector<RuntimeValue> inputs = {random_value(ElementType::f32, {4}, 1),
                                              random_value(ElementType::f32, {4, 6}, 2),
                                              Tensor::scalar(stop)};
    EXPECT_THAT(runs.steps(inputs), HasSubstr("stage 2 of 3: reference"));
    runs.expect_same(inputs);
  }
}

TEST(Staged, BranchesOnData) {
  Runs runs(R"(graph @g (%x: f32[3, 4], %w: f32[4, 4]) {
  %p = matmul(%x, %w) : f32[3, 4]
  %axes = constant i64[2] (0, 1)
  %sum = reduce_sum(%p, %axes) {keep_dims = false} : f32[]
  %zero = constant f32[] (0)
  %c = less(%sum, %zero) : bool[]
  %y = branch(%c) then(%a = %p: f32[3, 4], %b = %w: f32[4, 4]) {
    %q = matmul(%a, %b) : f32[3, 4]
    yield %q
  } else(%a = %p: f32[3, 4], %b = %w: f32[4, 4]) {
    %q = tanh(%a) : f32[3, 4]
    yield %q
  } : f32[3, 4]
  %z = sigmoid(%y) : f32[3, 4]
  yield "y" = %y, "z" = %z
}
)");
  for (uint64_t seed = 1; seed < 9; ++seed) {
    const std::vector<RuntimeValue> inputs = {random_value(ElementType::f32, {3, 4}, seed),
                                              random_value(ElementType::f32, {4, 4}, 100 + seed)};
    EXPECT_THAT(runs.steps(inputs), HasSubstr("stage 1 of 2: prepared"));
    runs.expect_same(inputs);
  }
}

// Inputs whose values say how often a scan runs, or which branch is taken: prepared for those.
TEST(Staged, ValuesThatDecide) {
  Runs runs(R"(graph @g (%x: f32[T, 4], %h: f32[4], %n: i64[], %c: bool[]) {
  %true = constant bool[] (true)
  %last, %all = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f32[T, 4], %d = %c: bool[]) state(%a = %h: f32[4]) {
    %s = gather(%u, %i) : f32[4]
    %t = add(%a, %s) : f32[4]
    %next = branch(%d) then(%k = %t: f32[4]) {
      %l = tanh(%k) : f32[4]
      yield %l
    } else(%k = %t: f32[4]) {
      %l = sigmoid(%k) : f32[4]
      yield %l
    } : f32[4]
    %go = constant bool[] (true)
    yield %go, %next, %next
  } : f32[4], f32[?, 4]
  %y = exp(%all) : f32[?, 4]
  yield "last" = %last, "y" = %y
}
)");
  for (const int64_t n : {3, 7, 0, -1, 3, 5}) {
    for (const bool c : {true, false}) {
      const std::vector<RuntimeValue> inputs = {random_value(ElementType::f32, {7, 4}, 1),
                                                random_value(ElementType::f32, {4}, 2),
                                                Tensor::scalar(n), Tensor::scalar(c)};
      EXPECT_THAT(runs.steps(inputs), Not(HasSubstr("stage")));
      EXPECT_THAT(runs.steps(inputs), Not(HasSubstr("reference")));
      runs.expect_same(inputs);
    }
  }
}

// The number of steps is computed from elements; the scan is prepared once it is known.
TEST(Staged, ComputedTripCounts) {
  Runs runs(R"(graph @g (%x: f32[9, 4], %h: f32[4]) {
  %axes = constant i64[2] (0, 1)
  %most = reduce_max(%x, %axes) {keep_dims = false} : f32[]
  %n = cast(%most) {to = i64} : i64[]
  %true = constant bool[] (true)
  %last, %all = loop trips(%n) while(%true) iteration(%i) invariant(%u = %x: f32[9, 4]) state(%a = %h: f32[4]) {
    %s = gather(%u, %i) : f32[4]
    %t = add(%a, %s) : f32[4]
    %next = tanh(%t) : f32[4]
    %go = constant bool[] (true)
    yield %go, %next, %next
  } : f32[4], f32[?, 4]
  yield "last" = %last, "y" = %all
}
)");
  for (const double most : {0.5, 1.5, 4.0, 9.0}) {
    const std::vector<RuntimeValue> inputs = {
        testing::Random(3).tensor(ElementType::f32, {9, 4}, 0, most),
        random_value(ElementType::f32, {4}, 2)};
    EXPECT_THAT(runs.steps(inputs), HasSubstr("stage 1 of 2: prepared"));
    runs.expect_same(inputs);
  }
}

// A condition that is computed once and asked in each step: both scans are prepared.
TEST(Staged, ComputedConditionsInLoops) {
  Runs runs(R"(graph @g (%x: f32[9, 4], %h: f32[4]) {
  %axes = constant i64[2] (0, 1)
  %sum = reduce_sum(%x, %axes) {keep_dims = false} : f32[]
  %zero = constant f32[] (0)
  %c = less(%sum, %zero) : bool[]
  %last = scan invariant(%d = %c: bool[]) state(%a = %h: f32[4]) scanned(%s = %x[0]: f32[4]) {
    %t = add(%a, %s) : f32[4]
    %next = branch(%d) then(%k = %t: f32[4]) {
      %l = tanh(%k) : f32[4]
      yield %l
    } else(%k = %t: f32[4]) {
      %l = sigmoid(%k) : f32[4]
      yield %l
    } : f32[4]
    yield %next
  } : f32[4]
  yield "last" = %last
}
)");
  for (uint64_t seed = 1; seed < 9; ++seed) {
    const std::vector<RuntimeValue> inputs = {random_value(ElementType::f32, {9, 4}, seed),
                                              random_value(ElementType::f32, {4}, 100 + seed)};
    EXPECT_THAT(runs.steps(inputs), HasSubstr("stage 1 of 2: prepared"));
    runs.expect_same(inputs);
  }
}

// A loop in the body of another: the reference backend's, and right.
TEST(Staged, LoopsInLoops) {
  Runs runs(R"(graph @g (%x: f32[4], %stop: f32[]) {
  %n = constant i64[] (20)
  %true = constant bool[] (true)
  %last = loop trips(%n) while(%true) iteration(%i) invariant(%s = %stop: f32[]) state(%a = %x: f32[4]) {
    %yes = constant bool[] (true)
    %m = constant i64[] (20)
    %b = loop trips(%m) while(%yes) iteration(%j) invariant(%r = %s: f32[]) state(%c = %a: f32[4]) {
      %half = constant f32[] (0.75)
      %d = mul(%c, %half) : f32[4]
      %axes = constant i64[1] (0)
      %sum = reduce_sum(%d, %axes) {keep_dims = false} : f32[]
      %more = greater(%sum, %r) : bool[]
      yield %more, %d
    } : f32[4]
    %one = constant f32[] (1)
    %e = add(%b, %one) : f32[4]
    %axes = constant i64[1] (0)
    %sum = reduce_sum(%e, %axes) {keep_dims = false} : f32[]
    %go = greater(%sum, %s) : bool[]
    yield %go, %e
  } : f32[4]
  yield "last" = %last
}
)");
  for (const float stop : {0.5F, 3.0F, 10.0F}) {
    runs.expect_same({random_value(ElementType::f32, {4}, 1), Tensor::scalar(stop)});
  }
}

const char* const kEndless = R"(graph @g (%x: f32[4]) {
  %n = constant i64[] (9223372036854775807)
  %true = constant bool[] (true)
  %last, %all = loop trips(%n) while(%true) iteration(%i) state(%a = %x: f32[4]) {
    %b = tanh(%a) : f32[4]
    %axes = constant i64[1] (0)
    %sum = reduce_sum(%b, %axes) {keep_dims = false} : f32[]
    %most = constant f32[] (100)
    %go = less(%sum, %most) : bool[]
    yield %go, %b, %b
  } : f32[4], f32[?, 4]
  yield "last" = %last, "all" = %all
}
)";

TEST(Staged, IterationsAreLimited) {
  ExecutableOptions options;
  options.limits.max_iterations = 1000;
  Runs runs(kEndless, options);
  const std::vector<RuntimeValue> inputs = {random_value(ElementType::f32, {4}, 1)};
  EXPECT_THAT(runs.steps(inputs), HasSubstr("until its condition is false"));
  EXPECT_THAT(runs.message(inputs), HasSubstr("too many iterations: expected at most 1000"));
  EXPECT_THAT(runs.message(inputs), HasSubstr("\"last\" (loop)"));
}

TEST(Staged, WhatIsStackedIsLimited) {
  ExecutableOptions options;
  options.limits.max_bytes = 100'000;
  Runs runs(kEndless, options);
  EXPECT_THAT(runs.message({random_value(ElementType::f32, {4}, 1)}), HasSubstr("memory"));
}

// Scans in scans that read nothing take the product of their steps.
TEST(Staged, StepsThatReadNothingAreLimited) {
  const auto graph = parse(R"(graph @g (%x: f32[4]) {
  %n = constant i64[] (300)
  %y = scan trips(%n) state(%a = %x: f32[4]) {
    %m = constant i64[] (300)
    %b = scan trips(%m) state(%c = %a: f32[4]) {
      %d = tanh(%c) : f32[4]
      yield %d
    } : f32[4]
    yield %b
  } : f32[4]
  yield "y" = %y
}
)");
  EXPECT_TRUE(PreparedGraph::supports(*graph));
  std::string why;
  EXPECT_FALSE(PreparedGraph::supports(*graph, &why, 89'999));
  EXPECT_THAT(why, HasSubstr("too many steps"));
}

}  // namespace
}  // namespace refrain
