// simplify_algebra, simplify_shapes.
#include <gtest/gtest.h>

#include "support/pass_run.h"

namespace refrain {
namespace {

using testing::expect_pass;
using testing::expect_unchanged;

// `body` computes %y from %x (f32[T, 4]), %i (i64[T, 4]) and %b (bool[T, 4]); it must become %x, %i
// or %b.
void expect_dropped(const std::string& body, const std::string& left) {
  const std::string head =
      "graph @g (%x: f32[T, 4], %i: i64[T, 4], %b: bool[T, 4], %u: f32[?, 3], %s: f32[]) {\n";
  expect_pass({"simplify_algebra", "dce"}, head + body + "\n yield \"y\" = %y\n}",
              head + "yield \"y\" = %" + left + "\n}");
}

void expect_kept(const std::string& body) {
  expect_unchanged(
      "simplify_algebra",
      "graph @g (%x: f32[T, 4], %i: i64[T, 4], %b: bool[T, 4], %u: f32[?, 3], %s: f32[]) {\n" +
          body + "\n yield \"y\" = %y\n}");
}

TEST(Algebra, NeutralElements) {
  expect_dropped("%c = constant f32[] (-0)\n %y = add(%x, %c) : f32[T, 4]", "x");
  expect_dropped("%c = constant f32[] (-0)\n %y = add(%c, %x) : f32[T, 4]", "x");
  expect_dropped("%c = constant f32[1, 4] splat(0)\n %y = sub(%x, %c) : f32[T, 4]", "x");
  expect_dropped("%c = constant f32[4] splat(1)\n %y = mul(%x, %c) : f32[T, 4]", "x");
  expect_dropped("%c = constant f32[1] (1)\n %y = div(%x, %c) : f32[T, 4]", "x");
  expect_dropped("%c = constant i64[] (1)\n %y = pow(%x, %c) : f32[T, 4]", "x");
  expect_dropped("%c = constant i64[] (0)\n %y = add(%c, %i) : i64[T, 4]", "i");
  expect_dropped("%c = constant bool[] (true)\n %y = logical_and(%b, %c) : bool[T, 4]", "b");
  expect_dropped("%c = constant bool[] (false)\n %y = logical_or(%c, %b) : bool[T, 4]", "b");
  expect_dropped("%c = constant bool[] (false)\n %y = logical_xor(%c, %b) : bool[T, 4]", "b");
}

TEST(Algebra, WhatWouldChangeAValueStays) {
  expect_kept("%c = constant f32[] (0)\n %y = add(%x, %c) : f32[T, 4]");   // -0.0 + 0.0 is 0.0
  expect_kept("%c = constant f32[] (-0)\n %y = sub(%x, %c) : f32[T, 4]");  // -0.0 - -0.0 is 0.0
  expect_kept("%c = constant f32[] (0)\n %y = mul(%x, %c) : f32[T, 4]");   // inf * 0 is NaN
  expect_kept("%c = constant f32[] (0)\n %y = sub(%c, %x) : f32[T, 4]");
  expect_kept("%c = constant f32[] (1)\n %y = div(%c, %x) : f32[T, 4]");
  expect_kept("%c = constant f32[] (1)\n %y = pow(%c, %x) : f32[T, 4]");
  expect_kept("%c = constant f32[4] (1, 1, 1, 2)\n %y = mul(%x, %c) : f32[T, 4]");
  expect_kept("%y = sub(%x, %x) : f32[T, 4]");
  expect_kept("%c = constant bool[] (true)\n %y = logical_xor(%c, %b) : bool[T, 4]");
}

TEST(Algebra, WhatWouldChangeAShapeStays) {
  expect_kept("%c = constant f32[1, 1, 1] (1)\n %y = mul(%x, %c) : f32[1, T, 4]");
  expect_kept("%c = constant f32[4] splat(1)\n %y = mul(%s, %c) : f32[4]");
  expect_kept(
      "%c = constant f32[2, 3] splat(1)\n %y = mul(%u, %c) : f32[2, 3]");  // %u may have one row
  expect_kept("%t = constant bool[] (true)\n %y = where(%t, %s, %x) : f32[T, 4]");
}

TEST(Algebra, InverseAndIdempotentOps) {
  expect_dropped("%0 = neg(%x) : f32[T, 4]\n %y = neg(%0) : f32[T, 4]", "x");
  expect_dropped("%0 = logical_not(%b) : bool[T, 4]\n %y = logical_not(%0) : bool[T, 4]", "b");
  expect_dropped("%y = max(%x, %x) : f32[T, 4]", "x");
  expect_dropped("%y = logical_and(%b, %b) : bool[T, 4]", "b");
  for (const std::string op : {"relu", "abs", "floor", "ceil", "round", "sign"}) {
    const std::string head = "graph @g (%x: f32[4]) {\n %a = " + op + "(%x) : f32[4]\n";
    expect_pass({"simplify_algebra"}, head + "%b = " + op + "(%a) : f32[4]\n yield \"y\" = %b\n}",
                head + "yield \"y\" = %a\n}");
  }
}

// PyTorch scripts 1 - x as add(neg(x), 1), and traces it as sub(1, x).
TEST(Algebra, SumsWithNegations) {
  const std::string head = "graph @g (%x: f32[4], %z: f32[], %i: i64[4]) {\n";
  const auto becomes = [&](const std::string& body, const std::string& after) {
    expect_pass({"simplify_algebra", "dce"}, head + body + " : f32[4]\n yield \"y\" = %y\n}",
                head + "%y = " + after + " : f32[4]\n yield \"y\" = %y\n}");
  };
  becomes("%0 = neg(%x) : f32[4]\n %y = add(%0, %z)", "sub(%z, %x)");
  becomes("%0 = neg(%z) : f32[]\n %y = add(%x, %0)", "sub(%x, %z)");
  becomes("%0 = neg(%z) : f32[]\n %y = sub(%x, %0)", "add(%x, %z)");
  for (const char* body : {"%0 = neg(%i) : i64[4]\n %y = add(%0, %i) : i64[4]",
                           "%0 = neg(%x) : f32[4]\n %y = sub(%0, %z) : f32[4]"}) {
    expect_unchanged("simplify_algebra", head + body + "\n yield \"y\" = %y\n}");
  }
}

TEST(Algebra, SquaresAreProducts) {
  const std::string head = "graph @g (%x: f32[4], %i: i64[4]) {\n";
  for (const char* two : {"f32[] (2)", "i64[1] (2)"}) {
    expect_pass(
        {"simplify_algebra", "dce"},
        head + "%c = constant " + two + "\n %y = pow(%x, %c) : f32[4]\n yield \"y\" = %y\n}",
        head + "%y = mul(%x, %x) : f32[4]\n yield \"y\" = %y\n}");
  }
  for (const char* body : {"%c = constant f32[] (3)\n %y = pow(%x, %c) : f32[4]",
                           "%c = constant f32[3, 1] splat(2)\n %y = pow(%x, %c) : f32[3, 4]",
                           "%c = constant i64[] (2)\n %y = pow(%i, %c) : i64[4]"}) {
    expect_unchanged("simplify_algebra", head + body + "\n yield \"y\" = %y\n}");
  }
}

TEST(Algebra, Casts) {
  expect_dropped("%y = cast(%x) {to = f32} : f32[T, 4]", "x");
  expect_dropped("%0 = cast(%x) {to = f64} : f64[T, 4]\n %y = cast(%0) {to = f32} : f32[T, 4]",
                 "x");
  expect_dropped("%0 = cast(%b) {to = f32} : f32[T, 4]\n %y = cast(%0) {to = bool} : bool[T, 4]",
                 "b");
  expect_kept("%0 = cast(%x) {to = f16} : f16[T, 4]\n %y = cast(%0) {to = f32} : f32[T, 4]");
  expect_kept("%0 = cast(%i) {to = f32} : f32[T, 4]\n %y = cast(%0) {to = i64} : i64[T, 4]");
  expect_kept("%0 = cast(%i) {to = i32} : i32[T, 4]\n %y = cast(%0) {to = i64} : i64[T, 4]");
  expect_kept("%0 = cast(%i) {to = bool} : bool[T, 4]\n %y = cast(%0) {to = i64} : i64[T, 4]");
}

TEST(Algebra, Where) {
  expect_dropped("%c = constant bool[4] splat(true)\n %y = where(%c, %x, %s) : f32[T, 4]", "x");
  expect_dropped("%c = constant bool[] (false)\n %y = where(%c, %s, %x) : f32[T, 4]", "x");
  expect_dropped("%y = where(%b, %x, %x) : f32[T, 4]", "x");
  expect_kept(
      "%c = constant bool[4] (true, true, false, true)\n %y = where(%c, %x, %s) : f32[T, 4]");
}

TEST(Algebra, ShapesThatStay) {
  expect_dropped("%n = constant i64[2] (0, -1)\n %y = reshape(%x, %n) : f32[T, 4]", "x");
  expect_dropped("%n = constant i64[2] (-1, 4)\n %y = reshape(%x, %n) : f32[T, 4]", "x");
  expect_dropped("%n = constant i64[2] (-1, 3)\n %y = reshape(%u, %n) : f32[?, 3]", "u");
  expect_dropped("%n = constant i64[2] splat(1)\n %y = expand(%u, %n) : f32[?, 3]", "u");
  expect_dropped("%n = constant i64[2] splat(1)\n %y = tile(%u, %n) : f32[?, 3]", "u");
  expect_dropped("%n = constant i64[4] splat(0)\n %y = pad(%x, %n) : f32[T, 4]", "x");
  expect_dropped("%y = concat(%x) {axis = 0} : f32[T, 4]", "x");
  expect_dropped("%y = split(%x) {axis = 1} : f32[T, 4]", "x");
  expect_dropped("%y = transpose(%x) {perm = [0, 1]} : f32[T, 4]", "x");
  expect_dropped("%e = constant f32[0, 4] ()\n %y = concat(%x, %e) {axis = 0} : f32[T, 4]", "x");
  expect_kept("%n = constant i64[2] (4, -1)\n %y = reshape(%x, %n) : f32[4, T]");
  expect_kept("%n = constant i64[2] (2, 3)\n %y = expand(%u, %n) : f32[2, 3]");
  expect_kept("%n = constant i64[4] (0, 1, 0, -1)\n %y = pad(%x, %n) : f32[T, 4]");
}

TEST(Algebra, SlicesOfTheWhole) {
  const std::string largest = "9223372036854775807";
  expect_dropped("%a = constant i64[2] splat(0)\n %e = constant i64[2] (" + largest +
                     ", 4)\n"
                     "%y = slice(%x, %a, %e) : f32[T, 4]",
                 "x");
  expect_dropped(
      "%a = constant i64[1] (-9)\n %e = constant i64[1] (7)\n %k = constant i64[1] (-1)\n"
      "%y = slice(%x, %a, %e, %k) : f32[T, 4]",
      "x");
  expect_kept(
      "%a = constant i64[1] (0)\n %e = constant i64[1] (2147483647)\n"
      "%y = slice(%x, %a, %e) : f32[?, 4]");
  expect_kept(
      "%a = constant i64[1] (-1)\n %e = constant i64[1] (-5)\n %k = constant i64[1] (1)\n"
      "%y = slice(%x, %a, %e, %k, %a) : f32[T, 4]");
}

TEST(Algebra, MovementsCompose) {
  expect_dropped(
      "%0 = transpose(%x) {perm = [1, 0]} : f32[4, T]\n %y = transpose(%0) {perm = [-1, -2]} : "
      "f32[T, 4]",
      "x");
  expect_dropped(
      "%a = constant i64[1] (1)\n %c = constant i64[1] (-2)\n"
      "%0 = unsqueeze(%x, %a) : f32[T, 1, 4]\n %y = squeeze(%0, %c) : f32[T, 4]",
      "x");
  expect_dropped(
      "%n = constant i64[1] (-1)\n %m = constant i64[2] (-1, 4)\n"
      "%0 = reshape(%x, %n) : f32[?]\n %y = reshape(%0, %m) : f32[?, 4]",
      "x");
  expect_pass({"simplify_algebra", "dce"},
              R"(graph @g (%x: f32[A, B, C, D]) {
  %0 = transpose(%x) {perm = [1, 2, 3, 0]} : f32[B, C, D, A]
  %1 = transpose(%0) {perm = [1, 0, 3, 2]} : f32[C, B, A, D]
  %2 = transpose(%1) {perm = [2, 0, 1, 3]} : f32[A, C, B, D]
  yield "y" = %2
})",
              R"(graph @g (%x: f32[A, B, C, D]) {
  %0 = transpose(%x) {perm = [0, 2, 1, 3]} : f32[A, C, B, D]
  yield "y" = %0
})");
  // The 0 copies an extent of what it reshapes, which is not the same of another tensor.
  expect_kept(
      "%n = constant i64[3] (2, 2, -1)\n %m = constant i64[2] (0, -1)\n"
      "%0 = reshape(%x, %n) : f32[2, 2, T]\n %y = reshape(%0, %m) : f32[2, ?]");
}

TEST(Algebra, SequencesAndOptionals) {
  expect_pass({"simplify_algebra", "dce"},
              R"(graph @g (%x: f32[4], %z: f32[4]) {
  %s = sequence_construct(%x, %z) : seq<f32[4]>
  %i = constant i64[] (-1)
  %a = sequence_at(%s, %i) : f32[4]
  %n = sequence_length(%s) : i64[]
  %c = concat_from_sequence(%s) {axis = 0} : f32[?]
  %d = concat_from_sequence(%s) {axis = 1, new_axis = true} : f32[4, ?]
  %o = optional(%x) : opt<f32[4]>
  %h = has_element(%o) : bool[]
  %g = get_element(%o) : f32[4]
  yield "a" = %a, "n" = %n, "c" = %c, "d" = %d, "h" = %h, "g" = %g
})",
              R"(graph @g (%x: f32[4], %z: f32[4]) {
  %n = constant i64[] (2)
  %c = concat(%x, %z) {axis = 0} : f32[8]
  %0 = constant i64[1] (1)
  %1 = unsqueeze(%x, %0) : f32[4, 1]
  %2 = unsqueeze(%z, %0) : f32[4, 1]
  %d = concat(%1, %2) {axis = 1} : f32[4, 2]
  %h = constant bool[] (true)
  yield "a" = %z, "n" = %n, "c" = %c, "d" = %d, "h" = %h, "g" = %x
})");
}

TEST(Algebra, InsideRegionsAndStatesThatStay) {
  expect_pass({"simplify_algebra"},
              R"(graph @g (%x: f32[T, 4], %h: f32[4]) {
  %s, %y = scan state(%hi = %h: f32[4]) scanned(%xi = %x[0]: f32[4]) stacked([0]) {
    %one = constant f32[] (1)
    %0 = mul(%hi, %one) : f32[4]
    %1 = add(%hi, %xi) : f32[4]
    yield %0, %1
  } : f32[4], f32[T, 4]
  yield "s" = %s, "y" = %y
})",
              R"(graph @g (%x: f32[T, 4], %h: f32[4]) {
  %s, %y = scan state(%hi = %h: f32[4]) scanned(%xi = %x[0]: f32[4]) stacked([0]) {
    %one = constant f32[] (1)
    %1 = add(%hi, %xi) : f32[4]
    yield %hi, %1
  } : f32[4], f32[T, 4]
  yield "s" = %h, "y" = %y
})");
}

// --- shape arithmetic ---

const std::vector<std::string> kShapes = {"fold", "simplify_shapes", "simplify_algebra", "dce"};

// What torch.nn.LSTM's zero initial state becomes in ONNX.
TEST(Shapes, ZeroStateOfPyTorch) {
  expect_pass(kShapes,
              R"(graph @g (%x: f32[T, N, 4]) {
  %shape = shape(%x) : i64[3]
  %one = constant i64[] (1)
  %n = gather(%shape, %one) : i64[]
  %axes = constant i64[1] (0)
  %n1 = unsqueeze(%n, %axes) : i64[1]
  %layers = constant i64[1] (6)
  %width = constant i64[1] (64)
  %target = concat(%layers, %n1, %width) {axis = 0} : i64[3]
  %h = fill(%target) {value = f32[1] (0)} : f32[?, ?, ?]
  %two = constant i64[1] (2)
  %slice = slice(%h, %axes, %two, %axes) : f32[?, ?, ?]
  yield "h" = %slice
})",
              R"(graph @g (%x: f32[T, N, 4]) {
  %axes = constant i64[1] (0)
  %target = dims() {dims = [6, N, 64]} : i64[3]
  %h = fill(%target) {value = f32[1] (0)} : f32[6, N, 64]
  %two = constant i64[1] (2)
  %slice = slice(%h, %axes, %two, %axes) : f32[2, N, 64]
  yield "h" = %slice
})");
}

TEST(Shapes, ConstantExtentsAndArithmetic) {
  expect_pass(kShapes,
              R"(graph @g (%x: f32[6, 8], %y: f32[T, 8]) {
  %s = shape(%x) : i64[2]
  %i = constant i64[] (-1)
  %e = gather(%s, %i) : i64[]
  %two = constant i64[] (2)
  %h = div(%e, %two) : i64[]
  %p = reduce_prod(%s) {keep_dims = false} : i64[]
  %t = shape(%y) {end = 1} : i64[1]
  %one = constant i64[1] (1)
  %t1 = mul(%t, %one) : i64[1]
  %zero = sub(%t1, %t) : i64[1]
  %m = max(%t, %one) : i64[1]
  yield "h" = %h, "p" = %p, "t" = %t1, "zero" = %zero, "m" = %m
})",
              R"(graph @g (%x: f32[6, 8], %y: f32[T, 8]) {
  %h = constant i64[] (4)
  %p = constant i64[] (48)
  %t = dims() {dims = [T]} : i64[1]
  %one = constant i64[1] (1)
  %t1 = dims() {dims = [T]} : i64[1]
  %zero = constant i64[1] (0)
  %m = max(%t, %one) : i64[1]
  yield "h" = %h, "p" = %p, "t" = %t1, "zero" = %zero, "m" = %m
})");
}

// torch.Tensor.expand: extents of -1 are replaced by ones where they are.
TEST(Shapes, ExpandOfPyTorch) {
  expect_pass(kShapes,
              R"(graph @g (%x: f32[1, 4], %y: f32[B, 3]) {
  %s = shape(%y) {end = 1} : i64[1]
  %four = constant i64[1] (-1)
  %target = concat(%s, %four) {axis = 0} : i64[2]
  %rank = constant i64[1] (2)
  %ones = fill(%rank) {value = i64[1] (1)} : i64[2]
  %minus = constant i64[] (-1)
  %negative = mul(%ones, %minus) : i64[2]
  %is = equal(%target, %negative) : bool[2]
  %full = where(%is, %ones, %target) : i64[2]
  %e = expand(%x, %full) : f32[?, 4]
  yield "e" = %e
})",
              R"(graph @g (%x: f32[1, 4], %y: f32[B, 3]) {
  %full = dims() {dims = [B, 1]} : i64[2]
  %e = expand(%x, %full) : f32[B, 4]
  yield "e" = %e
})");
}

// x.view(x.size(0), -1), with the extent known by name and not known at all.
TEST(Shapes, ReshapeThatCopiesAnExtent) {
  for (const std::string dim : {"T", "?"}) {
    expect_pass(kShapes,
                R"(graph @g (%x: f32[)" + dim + R"(, 3, 4]) {
  %a = tanh(%x) : f32[)" +
                    dim + R"(, 3, 4]
  %s = shape(%x) : i64[3]
  %zero = constant i64[] (0)
  %t = gather(%s, %zero) : i64[]
  %axes = constant i64[1] (0)
  %t1 = unsqueeze(%t, %axes) : i64[1]
  %rest = constant i64[1] (-1)
  %target = concat(%t1, %rest) {axis = 0} : i64[2]
  %y = reshape(%a, %target) : f32[?, ?]
  yield "y" = %y
})",
                R"(graph @g (%x: f32[)" + dim + R"(, 3, 4]) {
  %a = tanh(%x) : f32[)" +
                    dim + R"(, 3, 4]
  %0 = constant i64[2] (0, -1)
  %y = reshape(%a, %0) : f32[)" +
                    dim + ", " + (dim == "T" ? "12" : "?") + R"(]
  yield "y" = %y
})");
  }
}

// An extent that no input binds can't be in `dims`, and one that is only unknown neither.
TEST(Shapes, UnboundExtentsStay) {
  expect_unchanged("simplify_shapes", R"(graph @g (%x: f32[?]) {
  %a = tanh(%x) : f32[K]
  %s = shape(%a) : i64[1]
  %t = shape(%x) : i64[1]
  yield "s" = %s, "t" = %t
})");
}

// torch.squeeze of an axis that may be 1, as Silero's decoder has it: each branch decides the rank
// that the next one asks about.
TEST(Shapes, BranchesOnRanksAndExtents) {
  expect_pass({"simplify_shapes", "dce"},
              R"(graph @g (%x: f32[B, 4, 1], %y: f32[1, 4]) {
  %axis = constant i64[1] (2)
  %one = constant i64[] (1)
  %s = shape(%x) : i64[3]
  %e = gather(%s, %axis) : i64[1]
  %c = equal(%e, %one) : bool[1]
  %p = branch(%c) then(%a = %x: f32[B, 4, 1]) {
    %last = constant i64[1] (-1)
    %0 = squeeze(%a, %last) : f32[B, 4]
    yield %0
  } else(%a = %x: f32[B, 4, 1]) {
    yield %a
  } : f32[*]
  %ps = shape(%p) : i64[?]
  %pr = shape(%ps) : i64[1]
  %rank = reduce_prod(%pr) {keep_dims = false} : i64[]
  %two = constant i64[] (2)
  %is = equal(%rank, %two) : bool[]
  %not = logical_not(%is) : bool[]
  %q = branch(%not) then(%a = %p: f32[*]) {
    %first = constant i64[1] (0)
    %0 = squeeze(%a, %first) : f32[*]
    yield %0
  } else(%a = %p: f32[*]) {
    %0 = tanh(%a) : f32[*]
    yield %0
  } : f32[*]
  yield "q" = %q
})",
              R"(graph @g (%x: f32[B, 4, 1], %y: f32[1, 4]) {
  %last = constant i64[1] (-1)
  %p = squeeze(%x, %last) : f32[B, 4]
  %q = tanh(%p) : f32[B, 4]
  yield "q" = %q
})");
}

TEST(Shapes, SlicesThatEndWhereTheirAxisEnds) {
  expect_pass(kShapes,
              R"(graph @g (%x: f32[T, 4]) {
  %zero = constant i64[1] (0)
  %t = shape(%x) {end = 1} : i64[1]
  %y = slice(%x, %zero, %t, %zero) : f32[?, 4]
  yield "y" = %y
})",
              R"(graph @g (%x: f32[T, 4]) {
  yield "y" = %x
})");
}

TEST(Shapes, InsideRegions) {
  expect_pass(kShapes,
              R"(graph @g (%x: f32[T, B, 4], %go: bool[]) {
  %s = shape(%x) : i64[3]
  %y = scan invariant(%si = %s: i64[3]) scanned(%xi = %x[0]: f32[B, 4]) stacked([0]) {
    %one = constant i64[] (1)
    %b = gather(%si, %one) : i64[]
    %axes = constant i64[1] (0)
    %b1 = unsqueeze(%b, %axes) : i64[1]
    %rest = constant i64[1] (2)
    %target = concat(%b1, %rest, %rest) {axis = 0} : i64[3]
    %0 = reshape(%xi, %target) : f32[?, ?, ?]
    yield %0
  } : f32[T, ?, ?, ?]
  %z = branch(%go) then(%a = %x: f32[T, B, 4], %k = %s: i64[3]) {
    %0 = fill(%k) {value = f32[1] (0)} : f32[?, ?, ?]
    yield %0
  } else(%a = %x: f32[T, B, 4], %k = %s: i64[3]) {
    yield %a
  } : f32[?, ?, ?]
  yield "y" = %y, "z" = %z
})",
              R"(graph @g (%x: f32[T, B, 4], %go: bool[]) {
  %y = scan scanned(%xi = %x[0]: f32[B, 4]) stacked([0]) {
    %target = dims() {dims = [B, 2, 2]} : i64[3]
    %0 = reshape(%xi, %target) : f32[B, 2, 2]
    yield %0
  } : f32[T, B, 2, 2]
  %z = branch(%go) then(%a = %x: f32[T, B, 4]) {
    %k = dims() {dims = [T, B, 4]} : i64[3]
    %0 = fill(%k) {value = f32[1] (0)} : f32[T, B, 4]
    yield %0
  } else(%a = %x: f32[T, B, 4]) {
    yield %a
  } : f32[T, B, 4]
  yield "y" = %y, "z" = %z
})");
}

// A branch on the state's own shape: PyTorch's squeeze of an axis that it does not know the extent
// of. The state keeps its shape because of the side that is taken because of its shape.
std::string squeezing(const std::string& axis) {
  return R"(graph @g (%h: f32[B, 1, 4], %n: i64[]) {
  %true = constant bool[] (true)
  %last = loop trips(%n) while(%true) iteration(%i) state(%a = %h: f32[*]) {
    %axes = constant i64[1] (1)
    %shape = shape(%a) : i64[?]
    %extent = gather(%shape, %axes) : i64[1]
    %one = constant i64[1] ()" +
         axis + R"()
    %is_one = equal(%extent, %one) : bool[1]
    %t = tanh(%a) : f32[*]
    %squeezed = branch(%is_one) then(%u = %t: f32[*]) {
      yield %u
    } else(%v = %t: f32[*]) {
      %z = constant i64[1] (0)
      %w = unsqueeze(%v, %z) : f32[*]
      yield %w
    } : f32[*]
    %go = constant bool[] (true)
    yield %go, %squeezed
  } : f32[*]
  yield "last" = %last
}
)";
}

TEST(Shapes, StatesWhoseShapeFollowsFromItself) {
  expect_pass({"simplify_shapes", "dce"}, squeezing("1"),
              R"(graph @g (%h: f32[B, 1, 4], %n: i64[]) {
  %true = constant bool[] (true)
  %last = loop trips(%n) while(%true) iteration(%i) state(%a = %h: f32[B, 1, 4]) {
    %t = tanh(%a) : f32[B, 1, 4]
    %go = constant bool[] (true)
    yield %go, %t
  } : f32[B, 1, 4]
  yield "last" = %last
}
)");
}

TEST(Shapes, StatesWhoseShapeChangesStay) { expect_unchanged("simplify_shapes", squeezing("3")); }

}  // namespace
}  // namespace refrain
