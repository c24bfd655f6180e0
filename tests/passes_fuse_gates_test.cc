// fuse_gates, split_pointwise and order_sums: products in loops that share their left side, and
// what is computed from the parts. That many spellings of a cell end alike is shown in
// passes_cell_forms_test.cc.
#include "support/pass_numbers.h"

namespace refrain {
namespace {

using testing::expect_numbers_stay;
using testing::expect_pass;
using testing::expect_unchanged;

constexpr double kRounding = 1e-13;

// Text before and after one pass, and the same numbers.
void expect_rewritten(const std::string& name, const std::string& before,
                      const std::string& after) {
  expect_pass({name, "dce"}, before, after);
  expect_numbers_stay({name}, before, name == "split_pointwise" ? 0 : kRounding);
}

// --- fuse_gates ---

TEST(FuseGates, InvariantsSideBySide) {
  expect_rewritten(
      "fuse_gates",
      R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %u: f64[3, 4], %v: f64[3, 4], %r: f64[4, 4]) {
  %s = scan invariant(%ui = %u: f64[3, 4], %vi = %v: f64[3, 4], %ri = %r: f64[4, 4]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %0 = matmul(%xi, %ui) : f64[2, 4] @"first"
    %1 = matmul(%hi, %ri) : f64[2, 4]
    %2 = matmul(%xi, %vi) : f64[2, 4]
    %3 = mul(%0, %2) : f64[2, 4]
    %4 = add(%3, %1) : f64[2, 4]
    yield %4
  } : f64[2, 4]
  yield "s" = %s
})",
      R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %u: f64[3, 4], %v: f64[3, 4], %r: f64[4, 4]) {
  %0 = concat(%u, %v) {axis = 1} : f64[3, 8]
  %s = scan invariant(%ri = %r: f64[4, 4], %1 = %0: f64[3, 8]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %2 = matmul(%xi, %1) : f64[2, 8] @"first"
    %3 = constant i64[2] splat(4) @"first"
    %4, %5 = split(%2, %3) {axis = -1} : f64[2, 4], f64[2, 4] @"first"
    %6 = matmul(%hi, %ri) : f64[2, 4]
    %7 = mul(%4, %5) : f64[2, 4]
    %8 = add(%7, %6) : f64[2, 4]
    yield %8
  } : f64[2, 4]
  yield "s" = %s
})");
}

// A product that is fused with one gate's is what two others multiply: a layer of low rank.
TEST(FuseGates, ProductsOfFusedProducts) {
  expect_rewritten(
      "fuse_gates",
      R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %u: f64[3, 2], %v: f64[3, 4], %a: f64[2, 4], %b: f64[2, 4]) {
  %s = scan invariant(%ui = %u: f64[3, 2], %vi = %v: f64[3, 4], %ai = %a: f64[2, 4], %bi = %b: f64[2, 4]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %0 = matmul(%xi, %ui) : f64[2, 2]
    %1 = matmul(%xi, %vi) : f64[2, 4]
    %2 = matmul(%0, %ai) : f64[2, 4]
    %3 = matmul(%0, %bi) : f64[2, 4]
    %4 = mul(%1, %2) : f64[2, 4]
    %5 = add(%4, %3) : f64[2, 4]
    %6 = add(%5, %hi) : f64[2, 4]
    yield %6
  } : f64[2, 4]
  yield "s" = %s
})",
      R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %u: f64[3, 2], %v: f64[3, 4], %a: f64[2, 4], %b: f64[2, 4]) {
  %0 = concat(%u, %v) {axis = 1} : f64[3, 6]
  %1 = concat(%a, %b) {axis = 1} : f64[2, 8]
  %s = scan invariant(%2 = %0: f64[3, 6], %3 = %1: f64[2, 8]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %4 = matmul(%xi, %2) : f64[2, 6]
    %5 = constant i64[2] (2, 4)
    %6, %7 = split(%4, %5) {axis = -1} : f64[2, 2], f64[2, 4]
    %8 = matmul(%6, %3) : f64[2, 8]
    %9 = constant i64[2] splat(4)
    %10, %11 = split(%8, %9) {axis = -1} : f64[2, 4], f64[2, 4]
    %12 = mul(%7, %10) : f64[2, 4]
    %13 = add(%12, %11) : f64[2, 4]
    %14 = add(%13, %hi) : f64[2, 4]
    yield %14
  } : f64[2, 4]
  yield "s" = %s
})");
}

// Of different widths, one a constant of the body, one transposed there.
TEST(FuseGates, ConstantsAndTransposes) {
  expect_rewritten("fuse_gates", R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 2], %u: f64[2, 3]) {
  %s, %y = scan invariant(%ui = %u: f64[2, 3]) state(%hi = %h: f64[2, 2]) scanned(%xi = %x[0]: f64[2, 3]) stacked([0]) {
    %v = constant f64[3, 1] (1, 2, 3)
    %t = transpose(%ui) {perm = [1, 0]} : f64[3, 2]
    %0 = matmul(%xi, %t) : f64[2, 2]
    %1 = matmul(%xi, %v) : f64[2, 1]
    %2 = add(%0, %hi) : f64[2, 2]
    yield %2, %1
  } : f64[2, 2], f64[5, 2, 1]
  yield "s" = %s, "y" = %y
})",
                   R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 2], %u: f64[2, 3]) {
  %t = transpose(%u) {perm = [1, 0]} : f64[3, 2]
  %v = constant f64[3, 1] (1, 2, 3)
  %0 = concat(%t, %v) {axis = 1} : f64[3, 3]
  %s, %y = scan invariant(%1 = %0: f64[3, 3]) state(%hi = %h: f64[2, 2]) scanned(%xi = %x[0]: f64[2, 3]) stacked([0]) {
    %2 = matmul(%xi, %1) : f64[2, 3]
    %3 = constant i64[2] (2, 1)
    %4, %5 = split(%2, %3) {axis = -1} : f64[2, 2], f64[2, 1]
    %6 = add(%4, %hi) : f64[2, 2]
    yield %6, %5
  } : f64[2, 2], f64[5, 2, 1]
  yield "s" = %s, "y" = %y
})");
}

// Slices of one matrix in order are that matrix, or a slice of it, transposed or not.
TEST(FuseGates, NeighboursInOneMatrix) {
  expect_rewritten("fuse_gates", R"(graph @g (%x: f64[5, 3], %h: f64[3], %w: f64[6, 3]) {
  %i0 = constant i64[1] (0)
  %i2 = constant i64[1] (2)
  %i4 = constant i64[1] (4)
  %i6 = constant i64[1] (6)
  %a = slice(%w, %i0, %i2, %i0) : f64[2, 3]
  %b = slice(%w, %i2, %i4, %i0) : f64[2, 3]
  %c = slice(%w, %i4, %i6, %i0) : f64[2, 3]
  %bt = transpose(%b) {perm = [1, 0]} : f64[3, 2]
  %y, %z, %u, %v, %q = scan invariant(%ai = %a: f64[2, 3], %bi = %b: f64[2, 3], %bti = %bt: f64[3, 2], %ci = %c: f64[2, 3]) scanned(%xi = %x[0]: f64[3]) stacked([0], [0], [0], [0], [0]) {
    %at = transpose(%ai) {perm = [1, 0]} : f64[3, 2]
    %ct = transpose(%ci) {perm = [1, 0]} : f64[3, 2]
    %0 = matmul(%xi, %at) : f64[2]
    %1 = matmul(%xi, %bti) : f64[2]
    %2 = matmul(%xi, %ct) : f64[2]
    %e = exp(%xi) : f64[3]
    %3 = matmul(%e, %bti) : f64[2]
    %4 = matmul(%ci, %e) : f64[2]
    yield %0, %1, %2, %3, %4
  } : f64[5, 2], f64[5, 2], f64[5, 2], f64[5, 2], f64[5, 2]
  yield "y" = %y, "z" = %z, "u" = %u, "v" = %v, "q" = %q
})",
                   R"(graph @g (%x: f64[5, 3], %h: f64[3], %w: f64[6, 3]) {
  %0 = transpose(%w) {perm = [1, 0]} : f64[3, 6]
  %1 = constant i64[1] (2)
  %2 = constant i64[1] (6)
  %3 = constant i64[1] (0)
  %4 = slice(%w, %1, %2, %3) : f64[4, 3]
  %5 = transpose(%4) {perm = [1, 0]} : f64[3, 4]
  %y, %z, %u, %v, %q = scan invariant(%6 = %0: f64[3, 6], %7 = %5: f64[3, 4]) scanned(%xi = %x[0]: f64[3]) stacked([0], [0], [0], [0], [0]) {
    %8 = matmul(%xi, %6) : f64[6]
    %9 = constant i64[3] splat(2)
    %10, %11, %12 = split(%8, %9) {axis = -1} : f64[2], f64[2], f64[2]
    %e = exp(%xi) : f64[3]
    %13 = matmul(%e, %7) : f64[4]
    %14 = constant i64[2] splat(2)
    %15, %16 = split(%13, %14) {axis = -1} : f64[2], f64[2]
    yield %10, %11, %12, %15, %16
  } : f64[5, 2], f64[5, 2], f64[5, 2], f64[5, 2], f64[5, 2]
  yield "y" = %y, "z" = %z, "u" = %u, "v" = %v, "q" = %q
})");
}

TEST(FuseGates, LeftSidesThatLackAxes) {
  expect_rewritten("fuse_gates", R"(graph @g (%x: f64[5, 2, 3], %u: f64[3, 4], %v: f64[3, 4]) {
  %y, %z = scan invariant(%ui = %u: f64[3, 4], %vi = %v: f64[3, 4]) scanned(%xi = %x[0]: f64[2, 3]) stacked([0], [0]) {
    %axes = constant i64[1] (0)
    %0 = matmul(%xi, %ui) : f64[2, 4]
    %1 = unsqueeze(%xi, %axes) : f64[1, 2, 3]
    %2 = matmul(%1, %vi) : f64[1, 2, 4]
    yield %0, %2
  } : f64[5, 2, 4], f64[5, 1, 2, 4]
  yield "y" = %y, "z" = %z
})",
                   R"(graph @g (%x: f64[5, 2, 3], %u: f64[3, 4], %v: f64[3, 4]) {
  %0 = concat(%u, %v) {axis = 1} : f64[3, 8]
  %y, %z = scan invariant(%1 = %0: f64[3, 8]) scanned(%xi = %x[0]: f64[2, 3]) stacked([0], [0]) {
    %2 = matmul(%xi, %1) : f64[2, 8]
    %3 = constant i64[2] splat(4)
    %4, %5 = split(%2, %3) {axis = -1} : f64[2, 4], f64[2, 4]
    %6 = constant i64[1] (0)
    %7 = unsqueeze(%5, %6) : f64[1, 2, 4]
    yield %4, %7
  } : f64[5, 2, 4], f64[5, 1, 2, 4]
  yield "y" = %y, "z" = %z
})");
}

TEST(FuseGates, LeavesWhatIsInNoLoopOrChanges) {
  expect_unchanged("fuse_gates", R"(graph @g (%x: f64[2, 3], %u: f64[3, 4], %v: f64[3, 4]) {
  %0 = matmul(%x, %u) : f64[2, 4]
  %1 = matmul(%x, %v) : f64[2, 4]
  yield "y" = %0, "z" = %1
})");
  expect_unchanged(
      "fuse_gates",
      R"(graph @g (%x: f64[5, 2, 3], %u: f64[5, 3, 4], %v: f64[3, ?], %w: f64[2, 3, 4]) {
  %y, %z, %q = scan invariant(%vi = %v: f64[3, ?], %wi = %w: f64[2, 3, 4]) scanned(%xi = %x[0]: f64[2, 3], %ui = %u[0]: f64[3, 4]) stacked([0], [0], [0]) {
    %0 = matmul(%xi, %ui) : f64[2, 4]
    %1 = matmul(%xi, %vi) : f64[2, ?]
    %2 = matmul(%xi, %wi) : f64[2, 2, 4]
    yield %0, %1, %2
  } : f64[5, 2, 4], f64[5, 2, ?], f64[5, 2, 2, 4]
  yield "y" = %y, "z" = %z, "q" = %q
})");
}

// At most one of the two products can run; that is not this pass's to find out.
TEST(FuseGates, LeavesProductsThatCannotBothFit) {
  expect_unchanged("fuse_gates", R"(graph @g (%x: f64[5, 2, ?], %u: f64[3, 4], %v: f64[2, 4]) {
  %y, %z = scan invariant(%ui = %u: f64[3, 4], %vi = %v: f64[2, 4]) scanned(%xi = %x[0]: f64[2, ?]) stacked([0], [0]) {
    %0 = matmul(%xi, %ui) : f64[2, 4]
    %1 = matmul(%xi, %vi) : f64[2, 4]
    yield %0, %1
  } : f64[5, 2, 4], f64[5, 2, 4]
  yield "y" = %y, "z" = %z
})");
}

// --- split_pointwise ---

TEST(SplitPointwise, PartsOfWhatTheResultWasComputedFrom) {
  expect_rewritten("split_pointwise",
                   R"(graph @g (%x: f64[5, 2, 4], %h: f64[2, 2], %r: f64[2, 4], %b: f64[4]) {
  %s = scan invariant(%ri = %r: f64[2, 4], %bi = %b: f64[4]) state(%hi = %h: f64[2, 2]) scanned(%xi = %x[0]: f64[2, 4]) {
    %n = constant i64[2] (2, 2)
    %two = constant f64[] (2)
    %0 = matmul(%hi, %ri) : f64[2, 4]
    %1 = add(%xi, %bi) : f64[2, 4]
    %2 = add(%1, %0) : f64[2, 4]
    %3 = mul(%2, %two) : f64[2, 4]
    %4 = leaky_relu(%3) {alpha = 0.5} : f64[2, 4]
    %5, %6 = split(%4, %n) {axis = 1} : f64[2, 2], f64[2, 2]
    %7 = mul(%5, %6) : f64[2, 2]
    yield %7
  } : f64[2, 2]
  yield "s" = %s
})",
                   R"(graph @g (%x: f64[5, 2, 4], %h: f64[2, 2], %r: f64[2, 4], %b: f64[4]) {
  %s = scan invariant(%ri = %r: f64[2, 4], %bi = %b: f64[4]) state(%hi = %h: f64[2, 2]) scanned(%xi = %x[0]: f64[2, 4]) {
    %two = constant f64[] (2)
    %0 = matmul(%hi, %ri) : f64[2, 4]
    %1 = constant i64[2] splat(2)
    %2, %3 = split(%0, %1) {axis = -1} : f64[2, 2], f64[2, 2]
    %4 = add(%xi, %bi) : f64[2, 4]
    %5 = constant i64[2] splat(2)
    %6, %7 = split(%4, %5) {axis = -1} : f64[2, 2], f64[2, 2]
    %8 = add(%6, %2) : f64[2, 2]
    %9 = add(%7, %3) : f64[2, 2]
    %10 = mul(%8, %two) : f64[2, 2]
    %11 = mul(%9, %two) : f64[2, 2]
    %12 = leaky_relu(%10) {alpha = 0.5} : f64[2, 2]
    %13 = leaky_relu(%11) {alpha = 0.5} : f64[2, 2]
    %14 = mul(%12, %13) : f64[2, 2]
    yield %14
  } : f64[2, 2]
  yield "s" = %s
})");
}

// Slices, in any order, with a gap; a split of a part.
TEST(SplitPointwise, SlicesAndPartsOfParts) {
  expect_rewritten("split_pointwise", R"(graph @g (%h: f64[1], %r: f64[1, 6], %t: f64[3, 1]) {
  %s = scan invariant(%ri = %r: f64[1, 6]) state(%hi = %h: f64[1]) scanned(%ti = %t[0]: f64[1]) {
    %i0 = constant i64[1] (0)
    %i1 = constant i64[1] (1)
    %i3 = constant i64[1] (3)
    %i4 = constant i64[1] (4)
    %n = constant i64[2] (1, 1)
    %last = constant i64[1] (-1)
    %0 = matmul(%hi, %ri) : f64[6]
    %1 = tanh(%0) : f64[6]
    %2 = slice(%1, %i4, %last, %i0) : f64[1]
    %3 = slice(%1, %i1, %i3, %last, %i1) : f64[2]
    %4 = exp(%3) : f64[2]
    %5, %6 = split(%4, %n) : f64[1], f64[1]
    %7 = sub(%2, %5) : f64[1]
    %8 = sub(%7, %6) : f64[1]
    yield %8
  } : f64[1]
  yield "s" = %s
})",
                   R"(graph @g (%h: f64[1], %r: f64[1, 6], %t: f64[3, 1]) {
  %s = scan invariant(%ri = %r: f64[1, 6]) state(%hi = %h: f64[1]) scanned(%ti = %t[0]: f64[1]) {
    %0 = matmul(%hi, %ri) : f64[6]
    %1 = constant i64[6] splat(1)
    %2, %3, %4, %5, %6, %7 = split(%0, %1) {axis = -1} : f64[1], f64[1], f64[1], f64[1], f64[1], f64[1]
    %8 = tanh(%3) : f64[1]
    %9 = tanh(%4) : f64[1]
    %10 = tanh(%6) : f64[1]
    %11 = exp(%8) : f64[1]
    %12 = exp(%9) : f64[1]
    %13 = sub(%10, %11) : f64[1]
    %14 = sub(%13, %12) : f64[1]
    yield %14
  } : f64[1]
  yield "s" = %s
})");
}

// Two results cut alike from one value; a mean that is the same for all parts.
TEST(SplitPointwise, SharedOperands) {
  expect_rewritten("split_pointwise", R"(graph @g (%h: f64[2, 2], %r: f64[2, 4], %t: f64[3, 1]) {
  %s = scan invariant(%ri = %r: f64[2, 4]) state(%hi = %h: f64[2, 2]) scanned(%ti = %t[0]: f64[1]) {
    %n = constant i64[2] (2, 2)
    %one = constant i64[1] (1)
    %0 = matmul(%hi, %ri) : f64[2, 4]
    %m = reduce_mean(%hi, %one) : f64[2, 1]
    %1 = sub(%0, %m) : f64[2, 4]
    %2 = tanh(%1) : f64[2, 4]
    %3 = sigmoid(%1) : f64[2, 4]
    %4, %5 = split(%2, %n) {axis = -1} : f64[2, 2], f64[2, 2]
    %6, %7 = split(%3, %n) {axis = 1} : f64[2, 2], f64[2, 2]
    %8 = mul(%4, %7) : f64[2, 2]
    yield %8
  } : f64[2, 2]
  yield "s" = %s
})",
                   R"(graph @g (%h: f64[2, 2], %r: f64[2, 4], %t: f64[3, 1]) {
  %s = scan invariant(%ri = %r: f64[2, 4]) state(%hi = %h: f64[2, 2]) scanned(%ti = %t[0]: f64[1]) {
    %one = constant i64[1] (1)
    %0 = matmul(%hi, %ri) : f64[2, 4]
    %1 = constant i64[2] splat(2)
    %2, %3 = split(%0, %1) {axis = -1} : f64[2, 2], f64[2, 2]
    %m = reduce_mean(%hi, %one) : f64[2, 1]
    %4 = sub(%2, %m) : f64[2, 2]
    %5 = sub(%3, %m) : f64[2, 2]
    %6 = tanh(%4) : f64[2, 2]
    %7 = sigmoid(%5) : f64[2, 2]
    %8 = mul(%6, %7) : f64[2, 2]
    yield %8
  } : f64[2, 2]
  yield "s" = %s
})");
}

TEST(SplitPointwise, LeavesWhatIsUsedWholeOrIndependentOfTheState) {
  expect_unchanged("split_pointwise", R"(graph @g (%x: f64[5, 2, 4], %h: f64[2, 2], %r: f64[2, 4]) {
  %s, %y = scan invariant(%ri = %r: f64[2, 4]) state(%hi = %h: f64[2, 2]) scanned(%xi = %x[0]: f64[2, 4]) stacked([0]) {
    %n = constant i64[2] (2, 2)
    %0 = matmul(%hi, %ri) : f64[2, 4]
    %1 = tanh(%0) : f64[2, 4]
    %2, %3 = split(%1, %n) {axis = 1} : f64[2, 2], f64[2, 2]
    %4 = exp(%xi) : f64[2, 4]
    %5, %6 = split(%4, %n) {axis = -1} : f64[2, 2], f64[2, 2]
    %7 = mul(%2, %6) : f64[2, 2]
    %8 = mul(%5, %3) : f64[2, 2]
    %9 = add(%7, %8) : f64[2, 2]
    yield %9, %1
  } : f64[2, 2], f64[5, 2, 4]
  yield "s" = %s, "y" = %y
})");
}

TEST(SplitPointwise, LeavesOverlapsOtherAxesAndOtherSteps) {
  expect_unchanged("split_pointwise", R"(graph @g (%h: f64[4, 4], %t: f64[3, 1]) {
  %s, %a, %b, %c = scan state(%hi = %h: f64[4, 4]) scanned(%ti = %t[0]: f64[1]) stacked([0], [0], [0]) {
    %i0 = constant i64[1] (0)
    %i1 = constant i64[1] (1)
    %i2 = constant i64[1] (2)
    %i3 = constant i64[1] (3)
    %n = constant i64[2] (2, 2)
    %0 = tanh(%hi) : f64[4, 4]
    %1 = slice(%0, %i0, %i2, %i1) : f64[4, 2]
    %2 = slice(%0, %i1, %i3, %i1) : f64[4, 2]
    %3 = add(%1, %2) : f64[4, 2]
    %4 = sin(%hi) : f64[4, 4]
    %5, %6 = split(%4, %n) : f64[2, 4], f64[2, 4]
    %7 = add(%5, %6) : f64[2, 4]
    %8 = cos(%hi) : f64[4, 4]
    %9 = slice(%8, %i0, %i3, %i1, %i2) : f64[4, 2]
    %10 = slice(%8, %i1, %i3, %i1, %i2) : f64[4, 1]
    %11 = add(%9, %10) : f64[4, 2]
    yield %0, %3, %7, %11
  } : f64[4, 4], f64[3, 4, 2], f64[3, 2, 4], f64[3, 4, 2]
  yield "s" = %s, "a" = %a, "b" = %b, "c" = %c
})");
}

// A part of no elements is a part too.
TEST(SplitPointwise, EmptyPartsStay) {
  const std::string empty = R"(graph @g (%x: f64[5, 2, 4], %h: f64[2, 4]) {
  %s, %y = scan state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 4]) stacked([0]) {
    %0 = add(%hi, %xi) : f64[2, 4]
    %one = constant i64[1] (1)
    %three = constant i64[1] (3)
    %1 = slice(%0, %one, %one, %one) : f64[2, 0]
    %2 = slice(%0, %one, %three, %one) : f64[2, 2]
    %zero = constant i64[1] (0)
    %first = slice(%0, %zero, %one, %one) : f64[2, 1]
    %3 = concat(%1, %2, %first, %first) {axis = 1} : f64[2, 4]
    yield %3, %1
  } : f64[2, 4], f64[5, 2, 0]
  yield "s" = %s, "y" = %y
})";
  expect_unchanged("split_pointwise", empty);
}

// --- order_sums ---

TEST(OrderSums, WhatDoesNotDependOnTheStateFirst) {
  expect_rewritten(
      "order_sums",
      R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %w: f64[3, 4], %r: f64[4, 4], %b: f64[4], %c: f64[1, 4]) {
  %s = scan invariant(%wi = %w: f64[3, 4], %ri = %r: f64[4, 4], %bi = %b: f64[4], %ci = %c: f64[1, 4]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %0 = add(%bi, %hi) : f64[2, 4]
    %1 = matmul(%hi, %ri) : f64[2, 4]
    %2 = add(%0, %1) : f64[2, 4]
    %3 = matmul(%xi, %wi) : f64[2, 4]
    %4 = add(%3, %ci) : f64[2, 4]
    %5 = add(%2, %4) : f64[2, 4]
    yield %5
  } : f64[2, 4]
  yield "s" = %s
})",
      R"(graph @g (%x: f64[5, 2, 3], %h: f64[2, 4], %w: f64[3, 4], %r: f64[4, 4], %b: f64[4], %c: f64[1, 4]) {
  %0 = add(%b, %c) : f64[1, 4]
  %s = scan invariant(%wi = %w: f64[3, 4], %ri = %r: f64[4, 4], %1 = %0: f64[1, 4]) state(%hi = %h: f64[2, 4]) scanned(%xi = %x[0]: f64[2, 3]) {
    %2 = matmul(%hi, %ri) : f64[2, 4]
    %3 = matmul(%xi, %wi) : f64[2, 4]
    %4 = add(%3, %1) : f64[2, 4]
    %5 = add(%4, %2) : f64[2, 4]
    %6 = add(%5, %hi) : f64[2, 4]
    yield %6
  } : f64[2, 4]
  yield "s" = %s
})");
}

// One bias for the parts that have one, on whichever side; none for the part that has other users.
TEST(OrderSums, BiasesOfPartsAreABiasOfTheWhole) {
  expect_rewritten("order_sums",
                   R"(graph @g (%x: f64[5, 2, 3], %w: f64[3, 6], %b: f64[2], %c: f64[1, 2]) {
  %y, %z, %u, %v = scan invariant(%wi = %w: f64[3, 6], %bi = %b: f64[2], %ci = %c: f64[1, 2]) scanned(%xi = %x[0]: f64[2, 3]) stacked([0], [0], [0], [0]) {
    %n = constant i64[3] (2, 2, 2)
    %0 = matmul(%xi, %wi) : f64[2, 6]
    %1, %2, %3 = split(%0, %n) {axis = 1} : f64[2, 2], f64[2, 2], f64[2, 2]
    %4 = add(%1, %bi) : f64[2, 2]
    %5 = add(%ci, %2) : f64[2, 2]
    %6 = add(%3, %bi) : f64[2, 2]
    yield %4, %5, %6, %3
  } : f64[5, 2, 2], f64[5, 2, 2], f64[5, 2, 2], f64[5, 2, 2]
  yield "y" = %y, "z" = %z, "u" = %u, "v" = %v
})",
                   R"(graph @g (%x: f64[5, 2, 3], %w: f64[3, 6], %b: f64[2], %c: f64[1, 2]) {
  %0 = constant i64[1] (2)
  %1 = reshape(%c, %0) : f64[2]
  %2 = constant f64[] (-0)
  %3 = constant i64[1] (2)
  %4 = expand(%2, %3) : f64[2]
  %5 = concat(%b, %1, %4) {axis = 0} : f64[6]
  %y, %z, %u, %v = scan invariant(%wi = %w: f64[3, 6], %bi = %b: f64[2], %6 = %5: f64[6]) scanned(%xi = %x[0]: f64[2, 3]) stacked([0], [0], [0], [0]) {
    %7 = matmul(%xi, %wi) : f64[2, 6]
    %8 = add(%7, %6) : f64[2, 6]
    %9 = constant i64[3] splat(2)
    %10, %11, %12 = split(%8, %9) {axis = 1} : f64[2, 2], f64[2, 2], f64[2, 2]
    %13 = add(%12, %bi) : f64[2, 2]
    yield %10, %11, %13, %12
  } : f64[5, 2, 2], f64[5, 2, 2], f64[5, 2, 2], f64[5, 2, 2]
  yield "y" = %y, "z" = %z, "u" = %u, "v" = %v
})");
}

TEST(OrderSums, PartsOfOneBiasInOrderAreThatBias) {
  expect_rewritten("order_sums", R"(graph @g (%x: f64[5, 2, 3], %w: f64[3, 4], %b: f64[4]) {
  %y, %z = scan invariant(%wi = %w: f64[3, 4], %bi = %b: f64[4]) scanned(%xi = %x[0]: f64[2, 3]) stacked([0], [0]) {
    %n = constant i64[2] (1, 3)
    %0 = matmul(%xi, %wi) : f64[2, 4]
    %1, %2 = split(%0, %n) {axis = 1} : f64[2, 1], f64[2, 3]
    %3, %4 = split(%bi, %n) : f64[1], f64[3]
    %5 = add(%1, %3) : f64[2, 1]
    %6 = add(%2, %4) : f64[2, 3]
    yield %5, %6
  } : f64[5, 2, 1], f64[5, 2, 3]
  yield "y" = %y, "z" = %z
})",
                   R"(graph @g (%x: f64[5, 2, 3], %w: f64[3, 4], %b: f64[4]) {
  %y, %z = scan invariant(%wi = %w: f64[3, 4], %bi = %b: f64[4]) scanned(%xi = %x[0]: f64[2, 3]) stacked([0], [0]) {
    %0 = matmul(%xi, %wi) : f64[2, 4]
    %1 = add(%0, %bi) : f64[2, 4]
    %2 = constant i64[2] (1, 3)
    %3, %4 = split(%1, %2) {axis = 1} : f64[2, 1], f64[2, 3]
    yield %3, %4
  } : f64[5, 2, 1], f64[5, 2, 3]
  yield "y" = %y, "z" = %z
})");
}

// A sum without a product may be a compensated one, whose roundings are the point of it.
TEST(OrderSums, LeavesSumsWithoutProductsAndPartialSumsThatOthersUse) {
  expect_unchanged("order_sums",
                   R"(graph @g (%x: f64[5, 4], %h: f64[4], %b: f64[4], %r: f64[4, 4]) {
  %s, %y, %z = scan invariant(%bi = %b: f64[4], %ri = %r: f64[4, 4]) state(%hi = %h: f64[4]) scanned(%xi = %x[0]: f64[4]) stacked([0], [0]) {
    %0 = add(%hi, %bi) : f64[4]
    %1 = add(%0, %xi) : f64[4]
    %2 = matmul(%hi, %ri) : f64[4]
    %3 = add(%xi, %2) : f64[4]
    %4 = add(%3, %hi) : f64[4]
    yield %1, %3, %4
  } : f64[4], f64[5, 4], f64[5, 4]
  yield "s" = %s, "y" = %y, "z" = %z
})");
}

}  // namespace
}  // namespace refrain
