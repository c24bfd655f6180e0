// split_concat: products of concatenations in loops.
#include "support/pass_numbers.h"

namespace refrain {
namespace {

using testing::expect_numbers_stay;
using testing::expect_pass;
using testing::expect_unchanged;

constexpr double kRounding = 1e-13;

// Text before and after, and the same numbers.
void expect_split(const std::string& before, const std::string& after) {
  expect_pass({"split_concat", "dce"}, before, after);
  expect_numbers_stay({"split_concat"}, before, kRounding);
}

TEST(SplitConcat, RowsOfAnInvariant) {
  expect_split(R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %w: f64[7, 4]) {
  %s = scan invariant(%wi = %w: f64[7, 4]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %0 = concat(%hi, %xi) {axis = 1} : f64[2, 7]
    %1 = matmul(%0, %wi) : f64[2, 4] @"gate"
    %2 = tanh(%1) : f64[2, 4]
    yield %2
  } : f64[2, 4]
  yield "s" = %s
})",
               R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %w: f64[7, 4]) {
  %0 = constant i64[1] (0)
  %1 = constant i64[1] (4)
  %2 = constant i64[1] (0)
  %3 = slice(%w, %0, %1, %2) : f64[4, 4]
  %4 = constant i64[1] (4)
  %5 = constant i64[1] (7)
  %6 = constant i64[1] (0)
  %7 = slice(%w, %4, %5, %6) : f64[3, 4]
  %s = scan invariant(%8 = %3: f64[4, 4], %9 = %7: f64[3, 4]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %10 = matmul(%hi, %8) : f64[2, 4] @"gate"
    %11 = matmul(%xi, %9) : f64[2, 4] @"gate"
    %12 = add(%10, %11) : f64[2, 4] @"gate"
    %13 = tanh(%12) : f64[2, 4]
    yield %13
  } : f64[2, 4]
  yield "s" = %s
})");
}

TEST(SplitConcat, RowsOfATransposedInvariant) {
  expect_split(R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %w: f64[4, 7]) {
  %s = scan invariant(%wi = %w: f64[4, 7]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %0 = concat(%xi, %hi) {axis = -1} : f64[2, 7]
    %t = transpose(%wi) {perm = [1, 0]} : f64[7, 4]
    %1 = matmul(%0, %t) : f64[2, 4]
    yield %1
  } : f64[2, 4]
  yield "s" = %s
})",
               R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %w: f64[4, 7]) {
  %t = transpose(%w) {perm = [1, 0]} : f64[7, 4]
  %0 = constant i64[1] (0)
  %1 = constant i64[1] (3)
  %2 = constant i64[1] (0)
  %3 = slice(%t, %0, %1, %2) : f64[3, 4]
  %4 = constant i64[1] (3)
  %5 = constant i64[1] (7)
  %6 = constant i64[1] (0)
  %7 = slice(%t, %4, %5, %6) : f64[4, 4]
  %s = scan invariant(%8 = %3: f64[3, 4], %9 = %7: f64[4, 4]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %10 = matmul(%xi, %8) : f64[2, 4]
    %11 = matmul(%hi, %9) : f64[2, 4]
    %12 = add(%10, %11) : f64[2, 4]
    yield %12
  } : f64[2, 4]
  yield "s" = %s
})");
}

TEST(SplitConcat, ColumnsBeforeVectors) {
  expect_split(R"(graph @g (%x: f64[5, 3], %h: f64[4], %w: f64[4, 7]) {
  %s = scan invariant(%wi = %w: f64[4, 7]) state(%hi = %h: f64[4]) scanned(%xi = %x[0]: f64[3]) {
    %0 = concat(%hi, %xi) {axis = 0} : f64[7]
    %1 = matmul(%wi, %0) : f64[4]
    yield %1
  } : f64[4]
  yield "s" = %s
})",
               R"(graph @g (%x: f64[5, 3], %h: f64[4], %w: f64[4, 7]) {
  %0 = constant i64[1] (0)
  %1 = constant i64[1] (4)
  %2 = constant i64[1] (1)
  %3 = slice(%w, %0, %1, %2) : f64[4, 4]
  %4 = constant i64[1] (4)
  %5 = constant i64[1] (7)
  %6 = constant i64[1] (1)
  %7 = slice(%w, %4, %5, %6) : f64[4, 3]
  %s = scan invariant(%8 = %3: f64[4, 4], %9 = %7: f64[4, 3]) state(%hi = %h: f64[4]) scanned(%xi = %x[0]: f64[3]) {
    %10 = matmul(%8, %hi) : f64[4]
    %11 = matmul(%9, %xi) : f64[4]
    %12 = add(%10, %11) : f64[4]
    yield %12
  } : f64[4]
  yield "s" = %s
})");
}

TEST(SplitConcat, ColumnsBeforeColumns) {
  expect_split(R"(graph @g (%x: f64[5, 3, 2], %h: f64[4, 2], %w: f64[4, 7]) {
  %s = scan invariant(%wi = %w: f64[4, 7]) state(%hi = %h: f64[4, 2]) scanned(%xi = %x[0]: f64[3, 2]) {
    %0 = concat(%hi, %xi) {axis = -2} : f64[7, 2]
    %1 = matmul(%wi, %0) : f64[4, 2]
    yield %1
  } : f64[4, 2]
  yield "s" = %s
})",
               R"(graph @g (%x: f64[5, 3, 2], %h: f64[4, 2], %w: f64[4, 7]) {
  %0 = constant i64[1] (0)
  %1 = constant i64[1] (4)
  %2 = constant i64[1] (1)
  %3 = slice(%w, %0, %1, %2) : f64[4, 4]
  %4 = constant i64[1] (4)
  %5 = constant i64[1] (7)
  %6 = constant i64[1] (1)
  %7 = slice(%w, %4, %5, %6) : f64[4, 3]
  %s = scan invariant(%8 = %3: f64[4, 4], %9 = %7: f64[4, 3]) state(%hi = %h: f64[4, 2]) scanned(%xi = %x[0]: f64[3, 2]) {
    %10 = matmul(%8, %hi) : f64[4, 2]
    %11 = matmul(%9, %xi) : f64[4, 2]
    %12 = add(%10, %11) : f64[4, 2]
    yield %12
  } : f64[4, 2]
  yield "s" = %s
})");
}

// Constants of a loop's body; concatenations of concatenations; one that others use stays.
TEST(SplitConcat, NestedInALoop) {
  expect_split(R"(graph @g (%n: f64[2, 1], %h: f64[2, 2], %x: f64[2, 1]) {
  %t = constant i64[] (3)
  %go = constant bool[] (true)
  %s, %y = loop trips(%t) while(%go) iteration(%i) invariant(%c = %go: bool[], %xi = %x: f64[2, 1], %ni = %n: f64[2, 1]) state(%hi = %h: f64[2, 2]) {
    %w = constant f64[4, 2] (1, 2, 3, 4, 5, 6, 7, 8)
    %0 = concat(%xi, %hi) {axis = 1} : f64[2, 3]
    %1 = concat(%0, %ni) {axis = 1} : f64[2, 4]
    %2 = matmul(%1, %w) : f64[2, 2]
    %3 = tanh(%2) : f64[2, 2]
    yield %c, %3, %1
  } : f64[2, 2], f64[?, 2, 4]
  yield "s" = %s, "y" = %y
})",
               R"(graph @g (%n: f64[2, 1], %h: f64[2, 2], %x: f64[2, 1]) {
  %t = constant i64[] (3)
  %go = constant bool[] (true)
  %w = constant f64[4, 2] (1, 2, 3, 4, 5, 6, 7, 8)
  %0 = constant i64[1] (0)
  %1 = constant i64[1] (1)
  %2 = constant i64[1] (0)
  %3 = slice(%w, %0, %1, %2) : f64[1, 2]
  %4 = constant i64[1] (1)
  %5 = constant i64[1] (3)
  %6 = constant i64[1] (0)
  %7 = slice(%w, %4, %5, %6) : f64[2, 2]
  %8 = constant i64[1] (3)
  %9 = constant i64[1] (4)
  %10 = constant i64[1] (0)
  %11 = slice(%w, %8, %9, %10) : f64[1, 2]
  %s, %y = loop trips(%t) while(%go) iteration(%i) invariant(%c = %go: bool[], %xi = %x: f64[2, 1], %ni = %n: f64[2, 1], %12 = %3: f64[1, 2], %13 = %7: f64[2, 2], %14 = %11: f64[1, 2]) state(%hi = %h: f64[2, 2]) {
    %15 = concat(%xi, %hi) {axis = 1} : f64[2, 3]
    %16 = concat(%15, %ni) {axis = 1} : f64[2, 4]
    %17 = matmul(%xi, %12) : f64[2, 2]
    %18 = matmul(%hi, %13) : f64[2, 2]
    %19 = add(%17, %18) : f64[2, 2]
    %20 = matmul(%ni, %14) : f64[2, 2]
    %21 = add(%19, %20) : f64[2, 2]
    %22 = tanh(%21) : f64[2, 2]
    yield %c, %22, %16
  } : f64[2, 2], f64[?, 2, 4]
  yield "s" = %s, "y" = %y
})");
}

TEST(SplitConcat, LeavesWhatIsInNoLoop) {
  expect_unchanged("split_concat", R"(graph @g (%x: f64[2, 3], %h: f64[2, 4], %w: f64[7, 4]) {
  %0 = concat(%h, %x) {axis = 1} : f64[2, 7]
  %1 = matmul(%0, %w) : f64[2, 4]
  yield "y" = %1
})");
}

// A scan of five steps with these slots, whose body yields %y, of the given type, after `nodes`.
std::string scan_of(const std::string& inputs, const std::string& slots, const std::string& nodes,
                    const std::string& extents = "2, 4") {
  return "graph @g (" + inputs + ", %h: f64[2, 4]) {\n  %s, %z = scan " + slots +
         " stacked([0]) {\n" + nodes + "    yield %hi, %y\n  } : f64[2, 4], f64[5, " + extents +
         "]\n  yield \"s\" = %s, \"z\" = %z\n}";
}

TEST(SplitConcat, LeavesWhatWouldOnlyCostMore) {
  // No part depends on the state: all of it may leave the loop as it is.
  expect_unchanged("split_concat",
                   scan_of("%x: f64[5, 2, 3], %w: f64[6, 4]",
                           "invariant(%wi = %w: f64[6, 4]) state(%hi = %h: f64[2, 4]) "
                           "scanned(%xi = %x[0]: f64[2, 3])",
                           "    %0 = concat(%xi, %xi) {axis = 1} : f64[2, 6]\n"
                           "    %y = matmul(%0, %wi) : f64[2, 4]\n"));
  // The matrix changes from step to step.
  expect_unchanged("split_concat",
                   scan_of("%x: f64[5, 2, 3], %w: f64[5, 7, 4]",
                           "state(%hi = %h: f64[2, 4]) "
                           "scanned(%xi = %x[0]: f64[2, 3], %wi = %w[0]: f64[7, 4])",
                           "    %0 = concat(%hi, %xi) {axis = 1} : f64[2, 7]\n"
                           "    %y = matmul(%0, %wi) : f64[2, 4]\n"));
}

// What is put together from inputs alone stays one part.
TEST(SplitConcat, KeepsPartsThatDoNotDependOnTheStateTogether) {
  const auto graph = parse(scan_of("%x: f64[5, 2, 3], %w: f64[10, 4]",
                                   "invariant(%wi = %w: f64[10, 4]) state(%hi = %h: f64[2, 4]) "
                                   "scanned(%xi = %x[0]: f64[2, 3])",
                                   "    %0 = concat(%xi, %xi) {axis = 1} : f64[2, 6]\n"
                                   "    %1 = concat(%hi, %0) {axis = 1} : f64[2, 10]\n"
                                   "    %y = matmul(%1, %wi) : f64[2, 4]\n"));
  testing::run_pass(*graph, "split_concat", {});
  int products = 0;
  for (const Node* node = graph->body().yield()->previous()->region().first(); node;
       node = node->next()) {
    products += node->op() == Op::matmul;
  }
  EXPECT_EQ(products, 2) << print(*graph);
}

TEST(SplitConcat, LeavesManyParts) {
  std::string parts = "%hi";
  for (int i = 0; i < 16; ++i) parts += ", %hi";
  expect_unchanged("split_concat",
                   scan_of("%x: f64[5, 2, 3], %w: f64[68, 4]",
                           "invariant(%wi = %w: f64[68, 4]) state(%hi = %h: f64[2, 4]) "
                           "scanned(%xi = %x[0]: f64[2, 3])",
                           "    %0 = concat(" + parts +
                               ") {axis = 1} : f64[2, 68]\n"
                               "    %y = matmul(%0, %wi) : f64[2, 4]\n"));
}

TEST(SplitConcat, LeavesWhatItCannotCut) {
  // Along the other axis.
  expect_unchanged("split_concat",
                   scan_of("%x: f64[5, 2, 4], %w: f64[4, 4]",
                           "invariant(%wi = %w: f64[4, 4]) state(%hi = %h: f64[2, 4]) "
                           "scanned(%xi = %x[0]: f64[2, 4])",
                           "    %0 = concat(%hi, %xi) {axis = 0} : f64[4, 4]\n"
                           "    %y = matmul(%0, %wi) : f64[4, 4]\n",
                           "4, 4"));
  // Where the parts end is not known.
  expect_unchanged("split_concat",
                   scan_of("%x: f64[5, 2, K], %w: f64[7, 4]",
                           "invariant(%wi = %w: f64[7, 4]) state(%hi = %h: f64[2, 4]) "
                           "scanned(%xi = %x[0]: f64[2, K])",
                           "    %0 = concat(%hi, %xi) {axis = 1} : f64[2, ?]\n"
                           "    %y = matmul(%0, %wi) : f64[2, 4]\n"));
  // A sum would broadcast rows that concat refuses.
  expect_unchanged("split_concat",
                   scan_of("%x: f64[5, B, 3], %w: f64[7, 4]",
                           "invariant(%wi = %w: f64[7, 4]) state(%hi = %h: f64[2, 4]) "
                           "scanned(%xi = %x[0]: f64[B, 3])",
                           "    %0 = concat(%hi, %xi) {axis = 1} : f64[2, 7]\n"
                           "    %y = matmul(%0, %wi) : f64[2, 4]\n"));
}

}  // namespace
}  // namespace refrain
