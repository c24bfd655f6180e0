// roll: structure as text, numbers against the unrolled graph, and what it leaves as it was.
#include <gmock/gmock.h>

#include <memory>

#include "ir/control.h"
#include "support/pass_numbers.h"

namespace refrain {
namespace {

using ::testing::ElementsAre;
using testing::expect_numbers_stay;
using testing::expect_pass;
using testing::expect_unchanged;
using testing::FoldingContext;
using ::testing::HasSubstr;

TEST(Roll, AChainBecomesAScan) {
  expect_pass({"roll", "dce"},
              R"(graph @g (%x: f32[4, B, 3], %h: f32[B, 3], %w: f32[3, 3]) {
  %i0 = constant i64[] (0)
  %i1 = constant i64[] (1)
  %i2 = constant i64[] (2)
  %i3 = constant i64[] (3)
  %a = constant i64[1] (0)
  %x0 = gather(%x, %i0) : f32[B, 3]
  %p0 = matmul(%h, %w) : f32[B, 3]
  %s0 = add(%x0, %p0) : f32[B, 3]
  %h0 = tanh(%s0) : f32[B, 3]
  %x1 = gather(%x, %i1) : f32[B, 3]
  %p1 = matmul(%h0, %w) : f32[B, 3]
  %s1 = add(%x1, %p1) : f32[B, 3]
  %h1 = tanh(%s1) : f32[B, 3]
  %x2 = gather(%x, %i2) : f32[B, 3]
  %p2 = matmul(%h1, %w) : f32[B, 3]
  %s2 = add(%x2, %p2) : f32[B, 3]
  %h2 = tanh(%s2) : f32[B, 3]
  %x3 = gather(%x, %i3) : f32[B, 3]
  %p3 = matmul(%h2, %w) : f32[B, 3]
  %s3 = add(%x3, %p3) : f32[B, 3]
  %h3 = tanh(%s3) : f32[B, 3]
  %u0 = unsqueeze(%h0, %a) : f32[1, B, 3]
  %u1 = unsqueeze(%h1, %a) : f32[1, B, 3]
  %u2 = unsqueeze(%h2, %a) : f32[1, B, 3]
  %u3 = unsqueeze(%h3, %a) : f32[1, B, 3]
  %y = concat(%u0, %u1, %u2, %u3) {axis = 0} : f32[4, B, 3]
  yield "y" = %y, "last" = %h3
})",
              R"(graph @g (%x: f32[4, B, 3], %h: f32[B, 3], %w: f32[3, 3]) {
  %h3, %y = scan invariant(%w.1 = %w: f32[3, 3]) state(%h0 = %h: f32[B, 3]) scanned(%x.1 = %x[0]: f32[B, 3]) stacked([0]) {
    %p2 = matmul(%h0, %w.1) : f32[B, 3]
    %s2 = add(%x.1, %p2) : f32[B, 3]
    %h2 = tanh(%s2) : f32[B, 3]
    yield %h2, %h2
  } : f32[B, 3], f32[4, B, 3]
  yield "y" = %y, "last" = %h3
})");
}

// Weights are not needed to tell a recurrence; time may run backward, the stack may be turned over.
constexpr const char* kBackward = R"(graph @g (%x: f32[2, 4, 3], %h: f32[2, 3]) {
  %i0 = constant i64[] (0)
  %i1 = constant i64[] (1)
  %i2 = constant i64[] (2)
  %i3 = constant i64[] (-1)
  %a = constant i64[1] (1)
  %x0 = gather(%x, %i0) {axis = 1} : f32[2, 3]
  %x1 = gather(%x, %i1) {axis = 1} : f32[2, 3]
  %x2 = gather(%x, %i2) {axis = 1} : f32[2, 3]
  %x3 = gather(%x, %i3) {axis = 1} : f32[2, 3]
  %s0 = add(%x3, %h) : f32[2, 3]
  %h0 = tanh(%s0) : f32[2, 3]
  %s1 = add(%x2, %h0) : f32[2, 3]
  %h1 = tanh(%s1) : f32[2, 3]
  %s2 = add(%x1, %h1) : f32[2, 3]
  %h2 = tanh(%s2) : f32[2, 3]
  %s3 = add(%x0, %h2) : f32[2, 3]
  %h3 = tanh(%s3) : f32[2, 3]
  %u0 = unsqueeze(%h0, %a) : f32[2, 1, 3]
  %u1 = unsqueeze(%h1, %a) : f32[2, 1, 3]
  %u2 = unsqueeze(%h2, %a) : f32[2, 1, 3]
  %u3 = unsqueeze(%h3, %a) : f32[2, 1, 3]
  %y = concat(%u0, %u1, %u2, %u3) {axis = 1} : f32[2, 4, 3]
  yield "y" = %y
})";

TEST(Roll, BackwardInTime) {
  expect_pass({"roll", "dce"}, kBackward,
              R"(graph @g (%x: f32[2, 4, 3], %h: f32[2, 3]) {
  %h3, %y = scan state(%h0 = %h: f32[2, 3]) scanned(%x.1 = %x[1 reverse]: f32[2, 3]) stacked([1]) {
    %s2 = add(%x.1, %h0) : f32[2, 3]
    %h2 = tanh(%s2) : f32[2, 3]
    yield %h2, %h2
  } : f32[2, 3], f32[2, 4, 3]
  yield "y" = %y
})");
  expect_numbers_stay({"roll"}, kBackward, 0);
}

// What reads each state but is needed by no later iteration belongs to the body as well, and so
// does what it needs besides; slices may keep their axis, and come from a split.
constexpr const char* kReaders = R"(graph @g (%x: f32[3, 2, 4], %h: f32[2, 4], %w: f32[4, 4]) {
  %sizes = constant i64[3] splat(1)
  %a = constant i64[1] (0)
  %c0, %c1, %c2 = split(%x, %sizes) {axis = 0} : f32[1, 2, 4], f32[1, 2, 4], f32[1, 2, 4]
  %x0 = squeeze(%c0, %a) : f32[2, 4]
  %x1 = squeeze(%c1, %a) : f32[2, 4]
  %x2 = squeeze(%c2, %a) : f32[2, 4]
  %h0 = sub(%h, %x0) : f32[2, 4]
  %h1 = sub(%h0, %x1) : f32[2, 4]
  %h2 = sub(%h1, %x2) : f32[2, 4]
  %g0 = sigmoid(%x0) : f32[2, 4]
  %y0 = mul(%g0, %h0) : f32[2, 4]
  %g1 = sigmoid(%x1) : f32[2, 4]
  %y1 = mul(%g1, %h1) : f32[2, 4]
  %g2 = sigmoid(%x2) : f32[2, 4]
  %y2 = mul(%g2, %h2) : f32[2, 4]
  %u0 = unsqueeze(%y0, %a) : f32[1, 2, 4]
  %u1 = unsqueeze(%y1, %a) : f32[1, 2, 4]
  %u2 = unsqueeze(%y2, %a) : f32[1, 2, 4]
  %y = concat(%u0, %u1, %u2) {axis = 0} : f32[3, 2, 4]
  yield "y" = %y
})";

TEST(Roll, WhatReadsTheStates) {
  expect_pass({"roll", "dce"}, kReaders,
              R"(graph @g (%x: f32[3, 2, 4], %h: f32[2, 4], %w: f32[4, 4]) {
  %0, %y = scan state(%h0 = %h: f32[2, 4]) scanned(%x.1 = %x[0]: f32[2, 4]) stacked([0]) {
    %1 = constant i64[1] (0)
    %2 = unsqueeze(%x.1, %1) : f32[1, 2, 4]
    %a = constant i64[1] (0)
    %x1 = squeeze(%2, %a) : f32[2, 4]
    %h1 = sub(%h0, %x1) : f32[2, 4]
    %g1 = sigmoid(%x1) : f32[2, 4]
    %y1 = mul(%g1, %h1) : f32[2, 4]
    yield %h1, %y1
  } : f32[2, 4], f32[3, 2, 4]
  yield "y" = %y
})");
  expect_numbers_stay({"roll"}, kReaders, 0);
}

// A state that is a constant at first: folding took its product's place in the first iteration.
std::string folded(const char* first_product) {
  return std::string(R"(graph @g (%x: f32[4, 1, 2]) {
  %i0 = constant i64[] (0)
  %i1 = constant i64[] (1)
  %i2 = constant i64[] (2)
  %i3 = constant i64[] (3)
  %w = constant f32[2, 2] (1, 2, 3, 4)
  %p0 = constant f32[1, 2] ()") +
         first_product + R"()
  %x0 = gather(%x, %i0) : f32[1, 2]
  %s0 = add(%x0, %p0) : f32[1, 2]
  %h0 = tanh(%s0) : f32[1, 2]
  %x1 = gather(%x, %i1) : f32[1, 2]
  %p1 = matmul(%h0, %w) : f32[1, 2]
  %s1 = add(%x1, %p1) : f32[1, 2]
  %h1 = tanh(%s1) : f32[1, 2]
  %x2 = gather(%x, %i2) : f32[1, 2]
  %p2 = matmul(%h1, %w) : f32[1, 2]
  %s2 = add(%x2, %p2) : f32[1, 2]
  %h2 = tanh(%s2) : f32[1, 2]
  %x3 = gather(%x, %i3) : f32[1, 2]
  %p3 = matmul(%h2, %w) : f32[1, 2]
  %s3 = add(%x3, %p3) : f32[1, 2]
  %h3 = tanh(%s3) : f32[1, 2]
  yield "last" = %h3
})";
}

TEST(Roll, AFoldedFirstIterationIsRestored) {
  expect_pass({"roll", "dce"}, folded("0, 0"),
              R"(graph @g (%x: f32[4, 1, 2]) {
  %0 = constant f32[1, 2] splat(0)
  %h3 = scan state(%h0 = %0: f32[1, 2]) scanned(%x.1 = %x[0]: f32[1, 2]) {
    %w = constant f32[2, 2] (1, 2, 3, 4)
    %p2 = matmul(%h0, %w) : f32[1, 2]
    %s2 = add(%x.1, %p2) : f32[1, 2]
    %h2 = tanh(%s2) : f32[1, 2]
    yield %h2
  } : f32[1, 2]
  yield "last" = %h3
})");
  expect_numbers_stay({"roll"}, folded("0, 0"), 0);
}

// A constant that zeros don't give: the first iteration stays outside.
TEST(Roll, AFirstIterationThatIsAnotherStays) {
  const auto graph = expect_numbers_stay({"roll", "dce"}, folded("5, 0"), 0);
  size_t scans = 0, tanhs = 0;
  for (const Node* node = graph->body().first(); node; node = node->next()) {
    scans += node->op() == Op::scan;
    tanhs += node->op() == Op::tanh;
    if (node->op() == Op::scan) {
      const ScanView scan(*node);
      EXPECT_EQ(node->operand(scan.scanned_operand(0))->type().shape[0], Dim(3));
    }
  }
  EXPECT_EQ(scans, 1u);
  EXPECT_EQ(tanhs, 1u);
}

// Constants that differ by the iteration, and a value from outside for each.
constexpr const char* kVarying =
    R"(graph @g (%a: f32[3], %b: f32[3], %c: f32[3], %h: f32[3]) {
  %k0 = constant f32[3] (1, 2, 3)
  %k1 = constant f32[3] (4, 5, 6)
  %k2 = constant f32[3] (7, 8, 9)
  %m0 = mul(%h, %k0) : f32[3]
  %h0 = sub(%m0, %a) : f32[3]
  %m1 = mul(%h0, %k1) : f32[3]
  %h1 = sub(%m1, %b) : f32[3]
  %m2 = mul(%h1, %k2) : f32[3]
  %h2 = sub(%m2, %c) : f32[3]
  yield "last" = %h2
})";

TEST(Roll, ConstantsAndValuesOfEachIterationAreStacked) {
  expect_pass({"roll", "dce"}, kVarying,
              R"(graph @g (%a: f32[3], %b: f32[3], %c: f32[3], %h: f32[3]) {
  %0 = constant f32[3, 3] (1, 2, 3, 4, 5, 6, 7, 8, 9)
  %1 = constant i64[1] (0)
  %2 = unsqueeze(%a, %1) : f32[1, 3]
  %3 = constant i64[1] (0)
  %4 = unsqueeze(%b, %3) : f32[1, 3]
  %5 = constant i64[1] (0)
  %6 = unsqueeze(%c, %5) : f32[1, 3]
  %7 = concat(%2, %4, %6) {axis = 0} : f32[3, 3]
  %h2 = scan state(%h0 = %h: f32[3]) scanned(%k0 = %0[0]: f32[3], %a.1 = %7[0]: f32[3]) {
    %m1 = mul(%h0, %k0) : f32[3]
    %h1 = sub(%m1, %a.1) : f32[3]
    yield %h1
  } : f32[3]
  yield "last" = %h2
})");
  expect_numbers_stay({"roll"}, kVarying, 0);
}

// A state of two iterations ago needs two.
TEST(Roll, StatesOfEarlierIterations) {
  constexpr const char* kText = R"(graph @g (%p: f32[3], %q: f32[3], %w: f32[3]) {
  %a0 = mul(%p, %w) : f32[3]
  %h0 = sub(%a0, %q) : f32[3]
  %a1 = mul(%q, %w) : f32[3]
  %h1 = sub(%a1, %h0) : f32[3]
  %a2 = mul(%h0, %w) : f32[3]
  %h2 = sub(%a2, %h1) : f32[3]
  %a3 = mul(%h1, %w) : f32[3]
  %h3 = sub(%a3, %h2) : f32[3]
  %a4 = mul(%h2, %w) : f32[3]
  %h4 = sub(%a4, %h3) : f32[3]
  yield "last" = %h4, "before" = %h3
})";
  const auto graph = expect_numbers_stay({"roll", "dce"}, kText, 0);
  const Node* scan = graph->body().first();
  while (scan && scan->op() != Op::scan) scan = scan->next();
  ASSERT_TRUE(scan);
  EXPECT_EQ(ScanView(*scan).states(), 2u);
}

// Every second product depends on the one two before it, and none on its neighbour: one scan all
// the same, of single iterations.
TEST(Roll, StatesThatReadEachOther) {
  constexpr const char* kText =
      R"(graph @g (%x: f32[4, 1, 2], %h: f32[1, 2], %g: f32[1, 2], %w: f32[2, 2], %v: f32[2, 2]) {
  %i0 = constant i64[] (0)
  %i1 = constant i64[] (1)
  %i2 = constant i64[] (2)
  %i3 = constant i64[] (3)
  %x0 = gather(%x, %i0) : f32[1, 2]
  %x1 = gather(%x, %i1) : f32[1, 2]
  %x2 = gather(%x, %i2) : f32[1, 2]
  %x3 = gather(%x, %i3) : f32[1, 2]
  %p0 = matmul(%g, %w) : f32[1, 2]
  %h0 = add(%x0, %p0) : f32[1, 2]
  %q0 = matmul(%h, %v) : f32[1, 2]
  %g0 = tanh(%q0) : f32[1, 2]
  %p1 = matmul(%g0, %w) : f32[1, 2]
  %h1 = add(%x1, %p1) : f32[1, 2]
  %q1 = matmul(%h0, %v) : f32[1, 2]
  %g1 = tanh(%q1) : f32[1, 2]
  %p2 = matmul(%g1, %w) : f32[1, 2]
  %h2 = add(%x2, %p2) : f32[1, 2]
  %q2 = matmul(%h1, %v) : f32[1, 2]
  %g2 = tanh(%q2) : f32[1, 2]
  %p3 = matmul(%g2, %w) : f32[1, 2]
  %h3 = add(%x3, %p3) : f32[1, 2]
  %q3 = matmul(%h2, %v) : f32[1, 2]
  %g3 = tanh(%q3) : f32[1, 2]
  yield "h" = %h3, "g" = %g3
})";
  expect_pass(
      {"roll", "dce"}, kText,
      R"(graph @g (%x: f32[4, 1, 2], %h: f32[1, 2], %g: f32[1, 2], %w: f32[2, 2], %v: f32[2, 2]) {
  %g3, %h3 = scan invariant(%w.1 = %w: f32[2, 2], %v.1 = %v: f32[2, 2]) state(%g0 = %g: f32[1, 2], %h0 = %h: f32[1, 2]) scanned(%x.1 = %x[0]: f32[1, 2]) {
    %p2 = matmul(%g0, %w.1) : f32[1, 2]
    %h2 = add(%x.1, %p2) : f32[1, 2]
    %q2 = matmul(%h0, %v.1) : f32[1, 2]
    %g2 = tanh(%q2) : f32[1, 2]
    yield %g2, %h2
  } : f32[1, 2], f32[1, 2]
  yield "h" = %h3, "g" = %g3
})");
  expect_numbers_stay({"roll"}, kText, 0);
}

std::string in_turn(const char* first, const char* second, bool constant_start) {
  std::string text = "graph @g (%x: f32[7, 1, 2], %z: f32[7, 1, 2]";
  text += constant_start
              ? ") {\n  %a = constant f32[1, 2] (0, 0)\n  %b = constant f32[1, 2] (0, 0)\n"
              : ", %a: f32[1, 2], %b: f32[1, 2]) {\n";
  text += "  %w = constant f32[2, 2] (1, 2, 3, 4)\n";
  std::string before = "%a", now = "%b";
  for (int t = 0; t < 7; ++t) {
    const std::string n = std::to_string(t), source = t % 2 == 0 ? first : second;
    text += "  %i" + n + " = constant i64[] (" + n + ")\n";
    text += "  %x" + n + " = gather(" + source + ", %i" + n + ") : f32[1, 2]\n";
    text += "  %p" + n + " = matmul(" + before + ", %w) : f32[1, 2]\n";
    text += "  %s" + n + " = add(%x" + n + ", %p" + n + ") : f32[1, 2]\n";
    text += "  %h" + n + " = tanh(%s" + n + ") : f32[1, 2]\n";
    before = std::exchange(now, "%h" + n);
  }
  return text + "  yield \"last\" = %h6, \"before\" = %h5\n}";
}

int64_t scans(const Graph& graph) {
  int64_t count = 0;
  for (const Node* node = graph.body().first(); node; node = node->next())
    count += node->op() == Op::scan;
  return count;
}

// A dilated network is one scan, two sequences that take turns at the same weights are two.
TEST(Roll, StatesOfTwoIterationsAgo) {
  for (const bool constant_start : {false, true}) {
    const auto dilated =
        expect_numbers_stay({"fold", "roll", "dce"}, in_turn("%x", "%x", constant_start), 0);
    EXPECT_EQ(scans(*dilated), 1);
    const auto two =
        expect_numbers_stay({"fold", "roll", "dce"}, in_turn("%x", "%z", constant_start), 0);
    EXPECT_EQ(scans(*two), 2);
  }
}

// The neighbours in the middle of four steps depend on the first one, which reads the state that is
// given, or constants that were folded.
TEST(Roll, FourSteps) {
  for (const bool constant_start : {false, true}) {
    std::string text = "graph @g (%x: f32[4, 1, 2]";
    text += constant_start ? ") {\n  %h = constant f32[1, 2] (0, 0)\n" : ", %h: f32[1, 2]) {\n";
    text += "  %w = constant f32[2, 2] (1, 2, 3, 4)\n  %v = constant f32[2] (0.5, 0.25)\n";
    std::string h = "%h";
    for (int t = 0; t < 4; ++t) {
      const std::string n = std::to_string(t);
      text += "  %i" + n + " = constant i64[] (" + n + ")\n";
      text += "  %x" + n + " = gather(%x, %i" + n + ") : f32[1, 2]\n";
      text += "  %d" + n + " = mul(" + h + ", %v) : f32[1, 2]\n";
      text += "  %e" + n + " = exp(" + h + ") : f32[1, 2]\n";
      text += "  %c" + n + " = concat(%e" + n + ") {axis = 1} : f32[1, 2]\n";
      text += "  %p" + n + " = matmul(%c" + n + ", %w) : f32[1, 2]\n";
      text += "  %s" + n + " = add(%x" + n + ", %p" + n + ") : f32[1, 2]\n";
      text += "  %t" + n + " = tanh(%s" + n + ") : f32[1, 2]\n";
      text += "  %h" + n + " = sub(%t" + n + ", %d" + n + ") : f32[1, 2]\n";
      h = "%h" + n;
    }
    const auto graph =
        expect_numbers_stay({"fold", "roll", "dce"}, text + "  yield \"last\" = %h3\n}", 0);
    EXPECT_EQ(scans(*graph), 1);
    for (const Node* node = graph->body().first(); node; node = node->next())
      EXPECT_NE(node->op(), Op::tanh) << "a step was left outside";
  }
}

// Products of every step of which one of two depends on the one two before it: no states of two
// iterations ago.
TEST(Roll, AGatedSumHasOneState) {
  std::string text = "graph @g (%x: f32[9, 2], %z: f32[9, 2]) {\n  %h = constant f32[2] (0, 0)\n";
  std::string h = "%h";
  for (int t = 0; t < 9; ++t) {
    const std::string n = std::to_string(t);
    text += "  %i" + n + " = constant i64[] (" + n + ")\n";
    text += "  %x" + n + " = gather(%x, %i" + n + ") : f32[2]\n";
    text += "  %z" + n + " = gather(%z, %i" + n + ") : f32[2]\n";
    text += "  %a" + n + " = mul(%x" + n + ", %x" + n + ") : f32[2]\n";
    text += "  %b" + n + " = mul(%z" + n + ", " + h + ") : f32[2]\n";
    text += "  %h" + n + " = add(%a" + n + ", %b" + n + ") : f32[2]\n";
    h = "%h" + n;
  }
  const auto graph =
      expect_numbers_stay({"fold", "roll", "dce"}, text + "  yield \"last\" = %h8\n}", 0);
  EXPECT_EQ(scans(*graph), 1);
  const Node* scan = graph->body().first();
  while (scan && scan->op() != Op::scan) scan = scan->next();
  ASSERT_TRUE(scan);
  EXPECT_EQ(ScanView(*scan).states(), 1u);
}

// A decoder that reads what it put out: argmax and the row of a table.
TEST(Roll, ADecoderOfItsOwnOutput) {
  std::string text = R"(graph @g (%h: f32[1, 4], %start: f32[1, 4]) {
  %w = constant f32[4, 4] (0.1, 0.2, 0.3, 0.4, -0.5, 0.6, 0.7, -0.8, 0.9, 1, -1.1, 1.2, 0.2, -0.3, 0.1, 0.5)
  %e = constant f32[4, 4] (1, 2, 3, 4, 5, 6, 7, 8, -9, -10, -11, -12, 0.5, -0.5, 0.25, -0.25)
)";
  std::string x = "%start", h = "%h";
  for (int t = 0; t < 5; ++t) {
    const std::string n = std::to_string(t);
    text += "  %p" + n + " = matmul(" + h + ", %w) : f32[1, 4]\n";
    text += "  %s" + n + " = add(" + x + ", %p" + n + ") : f32[1, 4]\n";
    text += "  %h" + n + " = tanh(%s" + n + ") : f32[1, 4]\n";
    text += "  %k" + n + " = arg_max(%h" + n + ") {axis = 1, keep_dims = false} : i64[1]\n";
    if (t < 4) text += "  %x" + n + " = gather(%e, %k" + n + ") : f32[1, 4]\n";
    x = "%x" + n, h = "%h" + n;
  }
  text += "  yield \"last\" = %k4, \"first\" = %k0, \"second\" = %k1\n}";
  const auto graph = expect_numbers_stay({"roll", "dce"}, text, 0);
  size_t scans = 0;
  for (const Node* node = graph->body().first(); node; node = node->next()) {
    scans += node->op() == Op::scan;
    EXPECT_NE(node->op(), Op::matmul);
  }
  EXPECT_EQ(scans, 1u);
}

// Both layers of a network that ran them step by step: two scans, the second over what the first
// stacks.
TEST(Roll, StackedCellsAreTwoScans) {
  std::string text =
      "graph @g (%x: f32[6, 2], %h: f32[2], %w: f32[2, 2], %v: f32[2, 2], %u: f32[2, 2]) {\n";
  std::string h = "%h", k = "%h";
  for (int t = 0; t < 6; ++t) {
    const std::string n = std::to_string(t);
    text += "  %i" + n + " = constant i64[] (" + n + ")\n";
    text += "  %x" + n + " = gather(%x, %i" + n + ") : f32[2]\n";
    text += "  %p" + n + " = matmul(" + h + ", %w) : f32[2]\n";
    text += "  %h" + n + " = add(%x" + n + ", %p" + n + ") : f32[2]\n";
    text += "  %q" + n + " = matmul(" + k + ", %v) : f32[2]\n";
    text += "  %r" + n + " = matmul(%h" + n + ", %u) : f32[2]\n";
    text += "  %s" + n + " = add(%q" + n + ", %r" + n + ") : f32[2]\n";
    text += "  %k" + n + " = tanh(%s" + n + ") : f32[2]\n";
    h = "%h" + n, k = "%k" + n;
  }
  text += "  yield \"h\" = %h5, \"k\" = %k5\n}";
  const auto graph = expect_numbers_stay({"roll", "dce"}, text, 0);
  size_t scans = 0;
  for (const Node* node = graph->body().first(); node; node = node->next())
    scans += node->op() == Op::scan;
  EXPECT_EQ(scans, 2u);
}

TEST(Roll, SaysWhatItFound) {
  FoldingContext context;
  std::vector<std::string> notes;
  context.notes = &notes;
  const auto graph = parse(kBackward);
  passes::find_pass("roll")->run(*graph, context);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("rolled: 4 iterations of 2 nodes")));
}

TEST(Roll, TwoIterationsAreNoLoop) {
  expect_unchanged("roll", R"(graph @g (%x: f32[2], %w: f32[2, 2]) {
  %a = matmul(%x, %w) : f32[2]
  %b = tanh(%a) : f32[2]
  %c = matmul(%b, %w) : f32[2]
  %d = tanh(%c) : f32[2]
  yield "y" = %d
})");
}

// Each iteration's extra operand comes from the recurrence by another way each time.
TEST(Roll, WhatDependsOnItselfFromOutsideStays) {
  constexpr const char* kText = R"(graph @g (%x: f32[2], %w: f32[2, 2]) {
  %p0 = matmul(%x, %w) : f32[2]
  %h0 = add(%p0, %x) : f32[2]
  %e0 = exp(%h0) : f32[2]
  %p1 = matmul(%h0, %w) : f32[2]
  %h1 = add(%p1, %e0) : f32[2]
  %e1 = abs(%h1) : f32[2]
  %p2 = matmul(%h1, %w) : f32[2]
  %h2 = add(%p2, %e1) : f32[2]
  %e2 = neg(%h2) : f32[2]
  %p3 = matmul(%h2, %w) : f32[2]
  %h3 = add(%p3, %e2) : f32[2]
  yield "y" = %h3
})";
  expect_unchanged("roll", kText);
  FoldingContext context;
  std::vector<std::string> notes;
  context.notes = &notes;
  passes::find_pass("roll")->run(*parse(kText), context);
  EXPECT_THAT(notes, ElementsAre(HasSubstr("not rolled: 4 x matmul")));
}

}  // namespace
}  // namespace refrain
