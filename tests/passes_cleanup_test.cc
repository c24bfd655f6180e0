// infer, fold, cse, dce, widen, specialize.
#include <gmock/gmock.h>

#include "ir/builder.h"
#include "ir/error.h"
#include "passes/specialize.h"
#include "support/pass_run.h"

namespace refrain {
namespace {

using testing::expect_pass;
using testing::expect_unchanged;
using testing::FoldingContext;
using ::testing::HasSubstr;
using testing::run_pass;

// --- infer ---

// Types that say less than inference knows come from passes and from builders, never from valid
// text: so these graphs get a more specific input after they were parsed.
void expect_inferred(const std::string& before, size_t input, ValueType type,
                     const std::string& after) {
  const auto graph = parse(before);
  graph->input(input)->set_type(std::move(type));
  run_pass(*graph, "infer", {});
  EXPECT_EQ(print(*graph), print(*parse(after)));
}

TEST(Infer, RefinesResults) {
  expect_inferred(R"(graph @g (%x: f32[?, ?], %y: f32[?, 8]) {
  %a = tanh(%x) : f32[?, ?]
  %b = add(%a, %y) : f32[?, 8]
  %c = transpose(%a) {perm = [1, 0]} : f32[?, ?]
  yield "b" = %b, "c" = %c
})",
                  0, ValueType::tensor(ElementType::f32, {Dim::symbol("T"), 8}),
                  R"(graph @g (%x: f32[T, 8], %y: f32[?, 8]) {
  %a = tanh(%x) : f32[T, 8]
  %b = add(%a, %y) : f32[?, 8]
  %c = transpose(%a) {perm = [1, 0]} : f32[8, T]
  yield "b" = %b, "c" = %c
})");
}

TEST(Infer, KeepsWhatIsMoreSpecificAlready) {
  expect_unchanged("infer", R"(graph @g (%x: f32[?], %y: f32[T]) {
  %a = tanh(%x) : f32[T]
  yield "a" = %a, "y" = %y
})");
}

TEST(Infer, RefinesScansThroughTheirStates) {
  expect_inferred(R"(graph @g (%x: f32[*], %h: f32[B, 4], %w: f32[4]) {
  %s, %y = scan invariant(%wi = %w: f32[?]) state(%hi = %h: f32[*]) scanned(%xi = %x[0]: f32[*]) stacked([1]) {
    %0 = mul(%xi, %wi) : f32[*]
    %1 = add(%0, %hi) : f32[*]
    yield %1, %1
  } : f32[*], f32[*]
  yield "s" = %s, "y" = %y
})",
                  0, ValueType::tensor(ElementType::f32, {Dim::symbol("T"), Dim::symbol("B"), 4}),
                  R"(graph @g (%x: f32[T, B, 4], %h: f32[B, 4], %w: f32[4]) {
  %s, %y = scan invariant(%wi = %w: f32[4]) state(%hi = %h: f32[B, 4]) scanned(%xi = %x[0]: f32[B, 4]) stacked([1]) {
    %0 = mul(%xi, %wi) : f32[B, 4]
    %1 = add(%0, %hi) : f32[B, 4]
    yield %1, %1
  } : f32[B, 4], f32[B, T, 4]
  yield "s" = %s, "y" = %y
})");
}

// A state that grows may start as f32[1] but does not stay so.
TEST(Infer, WidensStatesThatChange) {
  expect_inferred(R"(graph @g (%n: i64[], %go: bool[], %h: f32[?, ?]) {
  %s = loop trips(%n) while(%go) iteration(%i) state(%hi = %h: f32[?, ?]) {
    %go2 = constant bool[] (true)
    %grown = concat(%hi, %hi) {axis = 0} : f32[?, ?]
    yield %go2, %grown
  } : f32[?, ?]
  yield "s" = %s
})",
                  2, ValueType::tensor(ElementType::f32, {1, 4}),
                  R"(graph @g (%n: i64[], %go: bool[], %h: f32[1, 4]) {
  %s = loop trips(%n) while(%go) iteration(%i) state(%hi = %h: f32[?, 4]) {
    %go2 = constant bool[] (true)
    %grown = concat(%hi, %hi) {axis = 0} : f32[?, 4]
    yield %go2, %grown
  } : f32[?, 4]
  yield "s" = %s
})");
}

// The region that fits only other shapes is never taken; it must not spoil the graph.
TEST(Infer, LeavesRegionsThatContradictTheirOperands) {
  expect_inferred(R"(graph @g (%c: bool[], %x: f32[?, 4]) {
  %y = branch(%c) then(%a = %x: f32[?, 4]) {
    %axes = constant i64[1] (0)
    %0 = squeeze(%a, %axes) : f32[4]
    yield %0
  } else(%b = %x: f32[?, 4]) {
    %1 = tanh(%b) : f32[?, 4]
    yield %1
  } : f32[*]
  yield "y" = %y
})",
                  1, ValueType::tensor(ElementType::f32, {5, 4}),
                  R"(graph @g (%c: bool[], %x: f32[5, 4]) {
  %y = branch(%c) then(%a = %x: f32[?, 4]) {
    %axes = constant i64[1] (0)
    %0 = squeeze(%a, %axes) : f32[4]
    yield %0
  } else(%b = %x: f32[5, 4]) {
    %1 = tanh(%b) : f32[5, 4]
    yield %1
  } : f32[*]
  yield "y" = %y
})");
}

// Each level may take several rounds to settle; the rounds must not multiply.
TEST(Infer, DeeplyNestedLoopsTakeBoundedTime) {
  std::string text = "graph @g (%n: i64[], %go: bool[], %h: f32[?]) {\n";
  constexpr int kDepth = 60;
  for (int i = 0; i < kDepth; ++i) {
    const std::string id = std::to_string(i), outer = i ? std::to_string(i - 1) : "";
    text += "%r" + id + " = loop trips(%n" + outer + ") while(%go" + outer + ") iteration(%i" + id +
            ") invariant(%n" + id + " = %n" + outer + ": i64[], %go" + id + " = %go" + outer +
            ": bool[]) state(%h" + id + " = %h" + outer + ": f32[?]) {\n";
  }
  text += "%z = concat(%h59, %h59) {axis = 0} : f32[?]\nyield %go59, %z\n";
  for (int i = kDepth - 1; i >= 0; --i) {
    text += "} : f32[?]\n";
    text += i > 0 ? "yield %go" + std::to_string(i - 1) + ", %r" + std::to_string(i) + "\n"
                  : "yield \"y\" = %r0\n";
  }
  const auto graph = parse(text + "}");
  graph->input(2)->set_type(ValueType::tensor(ElementType::f32, {3}));
  ASSERT_NO_THROW(passes::find_pass("infer")->run(*graph, {}));
  EXPECT_NO_THROW(verify(*graph));
}

// --- fold ---

TEST(Fold, ComputesConstants) {
  expect_pass({"fold"},
              R"(graph @g (%x: f32[2]) {
  %a = constant f32[2] (1, 2)
  %b = constant f32[] (3)
  %c = mul(%a, %b) : f32[2]
  %d = neg(%c) : f32[2]
  %y = add(%x, %d) : f32[2]
  yield "y" = %y
})",
              R"(graph @g (%x: f32[2]) {
  %d = constant f32[2] (-3, -6)
  %y = add(%x, %d) : f32[2]
  yield "y" = %y
})");
}

TEST(Fold, ShapesThatBecomeConstantReachTheTypes) {
  expect_pass({"fold"},
              R"(graph @g (%x: f32[6]) {
  %a = constant i64[1] (2)
  %b = constant i64[1] (3)
  %s = concat(%a, %b) {axis = 0} : i64[2]
  %y = reshape(%x, %s) : f32[?, ?]
  %z = tanh(%y) : f32[?, ?]
  yield "z" = %z
})",
              R"(graph @g (%x: f32[6]) {
  %s = constant i64[2] (2, 3)
  %y = reshape(%x, %s) : f32[2, 3]
  %z = tanh(%y) : f32[2, 3]
  yield "z" = %z
})");
}

TEST(Fold, LeavesResultsThatAreTooLarge) {
  FoldingContext context;
  context.max_folded_bytes = 4096;
  const std::string text = R"(graph @g () {
  %n = constant i64[1] (1025)
  %x = fill(%n) {value = f32[] (1)} : f32[1025]
  yield "x" = %x
})";
  expect_pass({"fold"}, text, text, context);
  context.max_folded_bytes = 4100;
  expect_pass({"fold"}, text,
              "graph @g () {\n  %x = constant f32[1025] splat(1)\n  yield \"x\" = %x\n}", context);
}

TEST(Fold, LeavesNodesThatFail) {
  expect_unchanged("fold", R"(graph @g () {
  %x = constant f32[2] (1, 2)
  %i = constant i64[] (2)
  %y = gather(%x, %i) : f32[]
  yield "y" = %y
})");
}

// A region that is never taken may hold what can't be; it is no reason to refuse the graph.
TEST(Fold, LeavesContradictionsInRegionsAlone) {
  expect_unchanged("fold", R"(graph @g (%x: f32[5, 4], %c: bool[]) {
  %y = branch(%c) then(%a = %x: f32[5, 4]) {
    %n = constant i64[1] (3)
    %s = concat(%n, %n) {axis = 0} : i64[2]
    %0 = reshape(%a, %s) : f32[?, ?]
    yield %0
  } else(%a = %x: f32[5, 4]) {
    yield %a
  } : f32[?, ?]
  yield "y" = %y
})");
}

TEST(Fold, LeavesProductsThatTakeTooLong) {
  expect_unchanged("fold", R"(graph @g () {
  %x = constant f32[2000, 2000] splat(1)
  %y = matmul(%x, %x) : f32[2000, 2000]
  yield "y" = %y
})");
}

TEST(Fold, WithoutAnEvaluatorComputesNothing) {
  const std::string text = R"(graph @g () {
  %x = constant f32[2] (1, 2)
  %y = neg(%x) : f32[2]
  yield "y" = %y
})";
  expect_pass({"fold"}, text, text, passes::PassContext());
}

TEST(Fold, TakesTheBranchAndGoesOnInIt) {
  expect_pass({"fold", "dce"},
              R"(graph @g (%x: f32[4]) {
  %two = constant i64[] (2)
  %three = constant i64[] (3)
  %c = less(%two, %three) : bool[]
  %y = branch(%c) then(%a = %x: f32[?], %n = %three: i64[]) {
    %one = constant i64[] (1)
    %0 = equal(%n, %one) : bool[]
    %1 = branch(%0) then(%b = %a: f32[?]) {
      %2 = neg(%b) : f32[?]
      yield %2
    } else(%b = %a: f32[?]) {
      %3 = tanh(%b) : f32[?]
      yield %3
    } : f32[?]
    yield %1
  } else(%a = %x: f32[?], %n = %three: i64[]) {
    yield %a
  } : f32[?]
  yield "y" = %y
})",
              R"(graph @g (%x: f32[4]) {
  %y = tanh(%x) : f32[4]
  yield "y" = %y
})");
}

TEST(Fold, LoopsThatNeverRunEndAsTheyBegan) {
  expect_pass({"fold", "dce"},
              R"(graph @g (%x: f32[4]) {
  %n = constant i64[] (7)
  %go = constant bool[] (false)
  %s, %y = loop trips(%n) while(%go) iteration(%i) invariant(%c = %go: bool[]) state(%h = %x: f32[4]) {
    %0 = tanh(%h) : f32[4]
    yield %c, %0, %0
  } : f32[4], f32[?, 4]
  yield "s" = %s, "y" = %y
})",
              R"(graph @g (%x: f32[4]) {
  %0 = constant f32[0, 4] ()
  yield "s" = %x, "y" = %0
})");
}

TEST(Fold, SmallConstantsMoveIntoScansAndWeightsDoNot) {
  expect_pass({"fold", "dce"},
              R"(graph @g (%x: f32[T, 65]) {
  %w = constant f32[65] splat(0.5)
  %one = constant f32[] (1)
  %y = scan invariant(%wi = %w: f32[65], %c = %one: f32[]) scanned(%xi = %x[0]: f32[65]) stacked([0]) {
    %0 = mul(%xi, %wi) : f32[65]
    %1 = sub(%c, %0) : f32[65]
    yield %1
  } : f32[T, 65]
  yield "y" = %y
})",
              R"(graph @g (%x: f32[T, 65]) {
  %w = constant f32[65] splat(0.5)
  %y = scan invariant(%wi = %w: f32[65]) scanned(%xi = %x[0]: f32[65]) stacked([0]) {
    %c = constant f32[] (1)
    %0 = mul(%xi, %wi) : f32[65]
    %1 = sub(%c, %0) : f32[65]
    yield %1
  } : f32[T, 65]
  yield "y" = %y
})");
}

// --- cse ---

TEST(Cse, MergesWhatIsComputedAlike) {
  expect_pass({"cse"},
              R"(graph @g (%x: f32[4]) {
  %a = constant f32[] (2)
  %b = constant f32[] (2)
  %c = constant f64[] (2)
  %p = mul(%x, %a) : f32[4]
  %q = mul(%x, %b) : f32[4]
  %e = elu(%p) {alpha = 2} : f32[4]
  %f = elu(%q) {alpha = 2} : f32[4]
  %g = elu(%q) {alpha = 3} : f32[4]
  yield "e" = %e, "f" = %f, "g" = %g, "c" = %c
})",
              R"(graph @g (%x: f32[4]) {
  %a = constant f32[] (2)
  %c = constant f64[] (2)
  %p = mul(%x, %a) : f32[4]
  %e = elu(%p) {alpha = 2} : f32[4]
  %g = elu(%p) {alpha = 3} : f32[4]
  yield "e" = %e, "f" = %e, "g" = %g, "c" = %c
})");
}

TEST(Cse, TellsZerosAndAbsentOperandsApart) {
  expect_unchanged("cse", R"(graph @g (%x: f32[4], %n: i64[1]) {
  %a = constant f32[] (0)
  %b = constant f32[] (-0)
  %s = slice(%x, %n, %n, _, %n) : f32[?]
  %t = slice(%x, %n, %n, %n) : f32[?]
  yield "a" = %a, "b" = %b, "s" = %s, "t" = %t
})");
}

TEST(Cse, MergesInsideRegionsAndAmongTheirArguments) {
  expect_pass({"cse", "dce"},
              R"(graph @g (%x: f32[T, 4], %w: f32[4]) {
  %y = scan invariant(%v = %w: f32[4], %w2 = %w: f32[4]) scanned(%a = %x[0]: f32[4], %b = %x[0 reverse]: f32[4], %c = %x[0]: f32[4]) stacked([0]) {
    %0 = mul(%a, %v) : f32[4]
    %1 = mul(%c, %w2) : f32[4]
    %2 = mul(%b, %w2) : f32[4]
    %3 = add(%0, %1) : f32[4]
    %4 = add(%3, %2) : f32[4]
    yield %4
  } : f32[T, 4]
  yield "y" = %y
})",
              R"(graph @g (%x: f32[T, 4], %w: f32[4]) {
  %y = scan invariant(%v = %w: f32[4]) scanned(%a = %x[0]: f32[4], %b = %x[0 reverse]: f32[4]) stacked([0]) {
    %0 = mul(%a, %v) : f32[4]
    %2 = mul(%b, %v) : f32[4]
    %3 = add(%0, %0) : f32[4]
    %4 = add(%3, %2) : f32[4]
    yield %4
  } : f32[T, 4]
  yield "y" = %y
})");
}

// --- dce ---

TEST(Dce, RemovesWhatNoOutputNeeds) {
  expect_pass({"dce"},
              R"(graph @g (%x: f32[4], %unused: f32[2]) {
  %a = tanh(%x) : f32[4]
  %b = relu(%a) : f32[4]
  %c = exp(%b) : f32[4]
  yield "a" = %a
})",
              R"(graph @g (%x: f32[4], %unused: f32[2]) {
  %a = tanh(%x) : f32[4]
  yield "a" = %a
})");
}

// An LSTM whose cell state nobody reads in the end still needs it inside; what only feeds itself
// goes.
TEST(Dce, RemovesSlotsOfScans) {
  expect_pass(
      {"dce"},
      R"(graph @g (%x: f32[T, 4], %z: f32[T, 4], %h: f32[4], %c: f32[4], %d: f32[4], %w: f32[4], %v: f32[4]) {
  %hn, %cn, %dn, %ys, %zs = scan invariant(%wi = %w: f32[4], %vi = %v: f32[4]) state(%hi = %h: f32[4], %ci = %c: f32[4], %di = %d: f32[4]) scanned(%xi = %x[0]: f32[4], %zi = %z[0]: f32[4]) stacked([0], [0]) {
    %0 = mul(%xi, %wi) : f32[4]
    %1 = add(%ci, %0) : f32[4]
    %2 = tanh(%1) : f32[4]
    %3 = mul(%2, %hi) : f32[4]
    %4 = add(%di, %vi) : f32[4]
    %5 = add(%zi, %4) : f32[4]
    yield %3, %1, %4, %3, %5
  } : f32[4], f32[4], f32[4], f32[T, 4], f32[T, 4]
  yield "y" = %ys
})",
      R"(graph @g (%x: f32[T, 4], %z: f32[T, 4], %h: f32[4], %c: f32[4], %d: f32[4], %w: f32[4], %v: f32[4]) {
  %hn, %cn, %ys = scan invariant(%wi = %w: f32[4]) state(%hi = %h: f32[4], %ci = %c: f32[4]) scanned(%xi = %x[0]: f32[4]) stacked([0]) {
    %0 = mul(%xi, %wi) : f32[4]
    %1 = add(%ci, %0) : f32[4]
    %2 = tanh(%1) : f32[4]
    %3 = mul(%2, %hi) : f32[4]
    yield %3, %1, %3
  } : f32[4], f32[4], f32[T, 4]
  yield "y" = %ys
})");
}

TEST(Dce, AScanKeepsWhatTellsItsLength) {
  expect_pass({"dce"},
              R"(graph @g (%x: f32[T, 4], %z: f32[T, 4], %h: f32[]) {
  %hn = scan state(%hi = %h: f32[]) scanned(%xi = %x[0]: f32[4], %zi = %z[0]: f32[4]) {
    %0 = tanh(%hi) : f32[]
    yield %0
  } : f32[]
  yield "h" = %hn
})",
              R"(graph @g (%x: f32[T, 4], %z: f32[T, 4], %h: f32[]) {
  %hn = scan state(%hi = %h: f32[]) scanned(%xi = %x[0]: f32[4]) {
    %0 = tanh(%hi) : f32[]
    yield %0
  } : f32[]
  yield "h" = %hn
})");
}

// Whichever operand is left, the types say the same.
TEST(UnifySymbols, LengthsThatAScanReadsSideBySide) {
  const auto text = [](const std::string& second) {
    return "graph @g (%x: f32[T, 2], %m: f32[" + second + R"(, 2], %z: f32[R, 2], %h: f32[2]) {
  %s, %y = scan state(%a = %h: f32[2]) scanned(%e = %x[0]: f32[2], %k = %m[0]: f32[2]) stacked([0]) {
    %n = add(%a, %e) : f32[2]
    yield %n, %n
  } : f32[2], f32[)" +
           second + R"(, 2]
  %t = add(%y, %m) : f32[)" +
           second + R"(, 2]
  %b = add(%t, %z) : f32[?, 2]
  yield "b" = %b
}
)";
  };
  expect_pass({"unify_symbols"}, text("S"), text("T"));
  expect_unchanged("unify_symbols", text("T"));
}

// What is dead in an inner loop is dead outside of it, in one go.
TEST(Dce, SeesThroughNestedRegions) {
  expect_pass({"dce"},
              R"(graph @g (%n: i64[], %go: bool[], %x: f32[4], %k: f32[4], %c: bool[]) {
  %s, %d, %t = loop trips(%n) while(%go) iteration(%i) invariant(%kv = %k: f32[4], %cv = %c: bool[]) state(%h = %x: f32[4], %e = %x: f32[4]) {
    %p, %q = branch(%cv) then(%a = %h: f32[4], %b = %e: f32[4], %l = %kv: f32[4]) {
      %0 = tanh(%a) : f32[4]
      %1 = add(%b, %l) : f32[4]
      yield %0, %1
    } else(%a = %h: f32[4], %b = %e: f32[4], %l = %kv: f32[4]) {
      yield %a, %b
    } : f32[4], f32[4]
    yield %cv, %p, %q, %q
  } : f32[4], f32[4], f32[?, 4]
  yield "s" = %s
})",
              R"(graph @g (%n: i64[], %go: bool[], %x: f32[4], %k: f32[4], %c: bool[]) {
  %s = loop trips(%n) while(%go) iteration(%i) invariant(%cv = %c: bool[]) state(%h = %x: f32[4]) {
    %p = branch(%cv) then(%a = %h: f32[4]) {
      %0 = tanh(%a) : f32[4]
      yield %0
    } else(%a = %h: f32[4]) {
      yield %a
    } : f32[4]
    yield %cv, %p
  } : f32[4]
  yield "s" = %s
})");
}

// --- widen, specialize ---

TEST(Widen, MakesEveryFloatF64) {
  expect_pass({"widen"},
              R"(graph @g (%x: f32[T], %n: i64[], %o: seq<f16[?]>) {
  %a = constant f32[2] (0.5, 1)
  %s = dims() {dims = [T]} : i64[1]
  %b = fill(%s) {value = bf16[1] (2)} : bf16[T]
  %c = cast(%b) {to = f32} : f32[T]
  %e = sequence_empty() {element = f16} : seq<f16[*]>
  %y = scan scanned(%xi = %x[0]: f32[]) stacked([0]) {
    %k = constant f32[] (3)
    %0 = mul(%xi, %k) : f32[]
    yield %0
  } : f32[T]
  yield "a" = %a, "c" = %c, "y" = %y, "e" = %e, "n" = %n
})",
              R"(graph @g (%x: f64[T], %n: i64[], %o: seq<f64[?]>) {
  %a = constant f64[2] (0.5, 1)
  %s = dims() {dims = [T]} : i64[1]
  %b = fill(%s) {value = f64[1] (2)} : f64[T]
  %c = cast(%b) {to = f64} : f64[T]
  %e = sequence_empty() {element = f64} : seq<f64[*]>
  %y = scan scanned(%xi = %x[0]: f64[]) stacked([0]) {
    %k = constant f64[] (3)
    %0 = mul(%xi, %k) : f64[]
    yield %0
  } : f64[T]
  yield "a" = %a, "c" = %c, "y" = %y, "e" = %e, "n" = %n
})");
}

TEST(Specialize, GivesSymbolsTheirExtents) {
  const auto graph = parse(R"(graph @g (%x: f32[T, B, 4]) {
  %s = dims() {dims = [T, B, 4]} : i64[3]
  %f = constant i64[1] (-1)
  %r = reshape(%x, %f) : f32[?]
  yield "s" = %s, "r" = %r
})");
  EXPECT_TRUE(passes::specialize(*graph, {{"T", 5}, {"B", 2}, {"other", 3}}));
  EXPECT_EQ(print(*graph), print(*parse(R"(graph @g (%x: f32[5, 2, 4]) {
  %s = dims() {dims = [5, 2, 4]} : i64[3]
  %f = constant i64[1] (-1)
  %r = reshape(%x, %f) : f32[40]
  yield "s" = %s, "r" = %r
})")));
  EXPECT_FALSE(passes::specialize(*graph, {{"T", 5}}));
}

TEST(Specialize, RefusesNegativeExtents) {
  const auto graph = parse("graph @g (%x: f32[T]) {\n  yield \"x\" = %x\n}");
  try {
    passes::specialize(*graph, {{"T", -1}});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("negative extent for dimension T"));
  }
}

}  // namespace
}  // namespace refrain
