// hoist: text before and after, and the same numbers.
#include <gtest/gtest.h>

#include "support/pass_run.h"

namespace refrain {
namespace {

using testing::expect_pass;
using testing::expect_same_results;
using testing::expect_unchanged;
using testing::Random;
using testing::run_pass;

// Runs hoist and dce on the text and compares with the graph as it was.
void expect_same_numbers(const std::string& text,
                         const std::vector<std::vector<int64_t>>& extents) {
  const auto expected = parse(text), actual = parse(text);
  run_pass(*actual, "hoist", {});
  EXPECT_NE(print(*actual), print(*expected)) << "nothing was hoisted";
  run_pass(*actual, "dce", {});
  Random source;
  std::vector<RuntimeValue> inputs;
  for (size_t i = 0; i < extents.size(); ++i) {
    const ElementType type = expected->input(i)->type().element;
    inputs.push_back(std::make_shared<const Tensor>(is_integer(type)
                                                        ? source.tensor(type, extents[i], 0, 3)
                                                        : source.tensor(type, extents[i])));
  }
  expect_same_results(*actual, *expected, inputs, 1e-14, 1e-14);
}

// --- the cells ---

constexpr const char* kLstm =
    R"(graph @g (%x: f64[T, B, 3], %w: f64[3, 8], %r: f64[2, 8], %b: f64[8], %h0: f64[B, 2], %c0: f64[B, 2]) {
  %hn, %cn, %y = scan invariant(%wi = %w: f64[3, 8], %ri = %r: f64[2, 8], %bi = %b: f64[8]) state(%h = %h0: f64[B, 2], %c = %c0: f64[B, 2]) scanned(%xt = %x[0]: f64[B, 3]) stacked([0]) {
    %xw = matmul(%xt, %wi) : f64[B, 8]
    %xb = add(%xw, %bi) : f64[B, 8]
    %i, %o, %f, %g = split(%xb) {axis = -1} : f64[B, 2], f64[B, 2], f64[B, 2], f64[B, 2]
    %hr = matmul(%h, %ri) : f64[B, 8]
    %hi, %ho, %hf, %hg = split(%hr) {axis = -1} : f64[B, 2], f64[B, 2], f64[B, 2], f64[B, 2]
    %si = add(%i, %hi) : f64[B, 2]
    %so = add(%o, %ho) : f64[B, 2]
    %sf = add(%f, %hf) : f64[B, 2]
    %sg = add(%g, %hg) : f64[B, 2]
    %0 = sigmoid(%si) : f64[B, 2]
    %1 = sigmoid(%so) : f64[B, 2]
    %2 = sigmoid(%sf) : f64[B, 2]
    %3 = tanh(%sg) : f64[B, 2]
    %4 = mul(%0, %3) : f64[B, 2]
    %5 = mul(%2, %c) : f64[B, 2]
    %6 = add(%5, %4) : f64[B, 2]
    %7 = tanh(%6) : f64[B, 2]
    %8 = mul(%1, %7) : f64[B, 2]
    yield %8, %6, %8
  } : f64[B, 2], f64[B, 2], f64[T, B, 2]
  yield "hn" = %hn, "cn" = %cn, "y" = %y
})";

// The product and its bias leave as one; the parts are read from it inside.
TEST(Hoist, TheInputProductOfAnLstmLeavesWithItsBias) {
  expect_pass(
      {"hoist", "dce"}, kLstm,
      R"(graph @g (%x: f64[T, B, 3], %w: f64[3, 8], %r: f64[2, 8], %b: f64[8], %h0: f64[B, 2], %c0: f64[B, 2]) {
  %xw = matmul(%x, %w) : f64[T, B, 8]
  %xb = add(%xw, %b) : f64[T, B, 8]
  %hn, %cn, %y = scan invariant(%ri = %r: f64[2, 8]) state(%h = %h0: f64[B, 2], %c = %c0: f64[B, 2]) scanned(%xb.1 = %xb[0]: f64[B, 8]) stacked([0]) {
    %i, %o, %f, %g = split(%xb.1) {axis = -1} : f64[B, 2], f64[B, 2], f64[B, 2], f64[B, 2]
    %hr = matmul(%h, %ri) : f64[B, 8]
    %hi, %ho, %hf, %hg = split(%hr) {axis = -1} : f64[B, 2], f64[B, 2], f64[B, 2], f64[B, 2]
    %si = add(%i, %hi) : f64[B, 2]
    %so = add(%o, %ho) : f64[B, 2]
    %sf = add(%f, %hf) : f64[B, 2]
    %sg = add(%g, %hg) : f64[B, 2]
    %0 = sigmoid(%si) : f64[B, 2]
    %1 = sigmoid(%so) : f64[B, 2]
    %2 = sigmoid(%sf) : f64[B, 2]
    %3 = tanh(%sg) : f64[B, 2]
    %4 = mul(%0, %3) : f64[B, 2]
    %5 = mul(%2, %c) : f64[B, 2]
    %6 = add(%5, %4) : f64[B, 2]
    %7 = tanh(%6) : f64[B, 2]
    %8 = mul(%1, %7) : f64[B, 2]
    yield %8, %6, %8
  } : f64[B, 2], f64[B, 2], f64[T, B, 2]
  yield "hn" = %hn, "cn" = %cn, "y" = %y
})");
  expect_same_numbers(kLstm, {{5, 4, 3}, {3, 8}, {2, 8}, {8}, {4, 2}, {4, 2}});
  expect_same_numbers(kLstm, {{0, 4, 3}, {3, 8}, {2, 8}, {8}, {4, 2}, {4, 2}});
}

// --- what leaves and what stays ---

// `body` makes %a (f64[2, 4]) for `%n = %h·%wi + %a` of a scan with one forward slice %xt
// (f64[2, 4]), one backward %zt (f64[2, 4]), indices %it (i64[2]) and an invariant %wi (f64[4, 4]).
std::string scan_of(const std::string& body, const std::string& steps = "T") {
  std::string text =
      R"(graph @g (%x: f64[T, 2, 4], %z: f64[T, 2, 4], %i: i64[T, 2], %w: f64[4, 4], %h0: f64[2, 4]) {
  %hn, %y = scan invariant(%wi = %w: f64[4, 4]) state(%h = %h0: f64[2, 4]) scanned(%xt = %x[0]: f64[2, 4], %zt = %z[0 reverse]: f64[2, 4], %it = %i[0]: i64[2]) stacked([1]) {
)" + body +
      R"(
    %hw = matmul(%h, %wi) : f64[2, 4]
    %n = add(%hw, %a) : f64[2, 4]
    yield %n, %n
  } : f64[2, 4], f64[2, T, 4]
  yield "hn" = %hn, "y" = %y
})";
  for (size_t at = 0; (at = text.find("[T", at)) != std::string::npos; at += 2)
    text.replace(at, 2, "[" + steps);
  for (size_t at = 0; (at = text.find("2, T,", at)) != std::string::npos; at += 2)
    text.replace(at, 5, "2, " + steps + ",");
  return text;
}

// All of the body but the state's product and the sum leaves.
void expect_emptied(const std::string& body) {
  const auto graph = parse(scan_of(body));
  run_pass(*graph, "hoist", {});
  const Node* scan = graph->body().last()->previous();
  ASSERT_EQ(scan->op(), Op::scan);
  EXPECT_EQ(scan->region().size(), 3u) << print(*graph);
  expect_same_numbers(scan_of(body), {{5, 2, 4}, {5, 2, 4}, {5, 2}, {4, 4}, {2, 4}});
  expect_same_numbers(scan_of(body), {{0, 2, 4}, {0, 2, 4}, {0, 2}, {4, 4}, {2, 4}});
}

void expect_kept(const std::string& body) { expect_unchanged("hoist", scan_of(body)); }

TEST(Hoist, ElementWiseOpsAlign) {
  expect_emptied("%a = tanh(%xt) : f64[2, 4]");
  expect_emptied("%c = constant f64[4] (1, 2, 3, 4)\n %a = mul(%c, %xt) : f64[2, 4]");
  expect_emptied(
      "%k = constant i64[1] (1)\n %r = reduce_max(%xt, %k) {keep_dims = false} : f64[2]\n"
      "%c = constant f64[4, 2] (1, 2, 3, 4, 5, 6, 7, 8)\n %b = mul(%c, %r) : f64[4, 2]\n"
      "%a = transpose(%b) {perm = [1, 0]} : f64[2, 4]");
  // Slices of different rank.
  expect_emptied(
      "%k = constant i64[1] (0)\n %r = reduce_mean(%xt, %k) {keep_dims = false} : f64[4]\n"
      "%a = sub(%xt, %r) : f64[2, 4]");
  expect_emptied(
      "%c = constant f64[] (0)\n %p = greater(%xt, %c) : bool[2, 4]\n"
      "%m = neg(%xt) : f64[2, 4]\n %a = where(%p, %m, %xt) : f64[2, 4]");
}

TEST(Hoist, ProductsFromEitherSide) {
  expect_emptied("%a = matmul(%xt, %wi) : f64[2, 4]");
  expect_emptied(
      "%v = transpose(%xt) {perm = [1, 0]} : f64[4, 2]\n %p = matmul(%wi, %v) : f64[4, 2]\n"
      "%a = transpose(%p) {perm = [1, 0]} : f64[2, 4]");
  // Vectors: x·W, W·x, and by one another.
  const std::string vector =
      "%k = constant i64[1] (0)\n %v = reduce_sum(%xt, %k) {keep_dims = false} : f64[4]\n";
  expect_emptied(vector + "%q = matmul(%v, %wi) : f64[4]\n %a = add(%xt, %q) : f64[2, 4]");
  expect_emptied(vector + "%q = matmul(%wi, %v) : f64[4]\n %a = add(%xt, %q) : f64[2, 4]");
  expect_emptied(vector + "%q = matmul(%v, %v) : f64[]\n %a = add(%xt, %q) : f64[2, 4]");
  expect_emptied(vector +
                 "%q = matmul(%xt, %v) : f64[2]\n %m = constant i64[1] (-1)\n"
                 "%u = unsqueeze(%q, %m) : f64[2, 1]\n %a = add(%xt, %u) : f64[2, 4]");
}

TEST(Hoist, ProductsWithBatchAxes) {
  const std::string batched = "%k = constant i64[1] (0)\n %u = unsqueeze(%wi, %k) : f64[1, 4, 4]\n";
  const std::string back = "%s = squeeze(%p, %k) : f64[2, 4]\n %a = tanh(%s) : f64[2, 4]";
  expect_emptied(batched + "%p = matmul(%xt, %u) : f64[1, 2, 4]\n" + back);
  expect_emptied(batched +
                 "%v = reduce_sum(%xt, %k) {keep_dims = false} : f64[4]\n"
                 "%q = matmul(%v, %u) : f64[1, 4]\n %a = mul(%xt, %q) : f64[2, 4]");
  expect_emptied(batched +
                 "%v = reduce_sum(%xt, %k) {keep_dims = false} : f64[4]\n"
                 "%q = matmul(%u, %v) : f64[1, 4]\n %a = mul(%xt, %q) : f64[2, 4]");
  expect_emptied(batched +
                 "%t = transpose(%xt) {perm = [1, 0]} : f64[4, 2]\n"
                 "%q = matmul(%u, %t) : f64[1, 4, 2]\n"
                 "%p = transpose(%q) {perm = [0, 2, 1]} : f64[1, 2, 4]\n" +
                 back);
  expect_emptied(
      "%k = constant i64[1] (0)\n %u = unsqueeze(%xt, %k) : f64[1, 2, 4]\n"
      "%t = transpose(%xt) {perm = [1, 0]} : f64[4, 2]\n"
      "%q = matmul(%u, %t) : f64[1, 2, 2]\n %p = matmul(%q, %xt) : f64[1, 2, 4]\n" +
      back);
}

TEST(Hoist, EinsumsGetALetterForTime) {
  expect_emptied("%a = einsum(%xt, %wi) {equation = \"ab,bc->ac\"} : f64[2, 4]");
  expect_emptied("%a = einsum(%wi, %xt, %xt) {equation = \"ij, bj, bi -> bi\"} : f64[2, 4]");
  expect_kept("%a = einsum(%xt, %wi) {equation = \"...b,bc\"} : f64[2, 4]");
}

TEST(Hoist, AxesMoveByOne) {
  expect_emptied("%a = softmax(%xt) {axis = 0} : f64[2, 4]");
  expect_emptied("%a = log_softmax(%xt) : f64[2, 4]");
  expect_emptied("%k = constant i64[] (-1)\n %a = cum_sum(%xt, %k) : f64[2, 4]");
  expect_emptied("%s = reduce_sum(%xt) : f64[1, 1]\n %a = mul(%xt, %s) : f64[2, 4]");
  expect_emptied(
      "%k = constant i64[1] (3)\n %v, %j = top_k(%xt, %k) : f64[2, 3], i64[2, 3]\n"
      "%e = cast(%j) {to = f64} : f64[2, 3]\n %p = concat(%v, %e) {axis = -1} : f64[2, 6]\n"
      "%b = constant i64[1] (1)\n %d = constant i64[1] (5)\n %s = slice(%p, %b, %d, %b) : f64[2, "
      "4]\n"
      "%a = exp(%s) : f64[2, 4]");
  expect_emptied(
      "%j = arg_max(%xt) {axis = 1} : i64[2, 1]\n %e = cast(%j) {to = f64} : f64[2, 1]\n"
      "%a = mul(%e, %xt) : f64[2, 4]");
  expect_emptied(
      "%l, %r = split(%xt) {axis = 1} : f64[2, 2], f64[2, 2]\n"
      "%p = concat(%r, %l) {axis = 1} : f64[2, 4]\n %a = tanh(%p) : f64[2, 4]");
  expect_emptied("%e = tanh(%xt) : f64[2, 4]\n %a = trilu(%e) : f64[2, 4]");
}

TEST(Hoist, ReshapesKeepTime) {
  expect_emptied(
      "%o = constant i64[1] (-1)\n %f = reshape(%xt, %o) : f64[8]\n %e = tanh(%f) : f64[8]\n"
      "%s = softmax(%e) : f64[8]\n %m = constant i64[2] (2, 4)\n"
      "%g = reshape(%s, %m) : f64[2, 4]\n %a = exp(%g) : f64[2, 4]");
  expect_emptied(
      "%o = constant i64[3] (0, 2, -1)\n %f = reshape(%xt, %o) : f64[2, 2, 2]\n"
      "%s = softmax(%f) : f64[2, 2, 2]\n %d = dims() {dims = [2, 4]} : i64[2]\n"
      "%g = reshape(%s, %d) : f64[2, 4]\n %a = exp(%g) : f64[2, 4]");
  expect_emptied(
      "%k = constant i64[1] (1)\n %r = reduce_max(%xt, %k) : f64[2, 1]\n"
      "%o = constant i64[2] (1, 4)\n %e = expand(%r, %o) : f64[2, 4]\n %a = mul(%e, %e) : f64[2, "
      "4]");
}

TEST(Hoist, Gathers) {
  expect_emptied("%a = gather(%wi, %it) : f64[2, 4]");
  expect_emptied(
      "%g = gather(%wi, %it) {axis = 1} : f64[4, 2]\n"
      "%a = transpose(%g) {perm = [1, 0]} : f64[2, 4]");
  expect_emptied(
      "%j = constant i64[4] (3, 0, 1, 2)\n %g = gather(%xt, %j) {axis = 1} : f64[2, 4]\n"
      "%a = tanh(%g) : f64[2, 4]");
  expect_emptied(
      "%d = constant i64[] (4)\n %v = constant f64[2] (0, 1)\n"
      "%a = one_hot(%it, %d, %v) : f64[2, 4]");
}

TEST(Hoist, WhatDependsOnStateStays) {
  expect_kept("%a = matmul(%h, %wi) : f64[2, 4]");
  expect_kept("%a = mul(%h, %xt) : f64[2, 4]");
}

// Over all steps they would take T times the room of the state that adds them up.
TEST(Hoist, OuterProductsOfSlicesStay) {
  expect_kept(
      "%k = constant i64[1] (2)\n %u = unsqueeze(%xt, %k) : f64[2, 4, 1]\n"
      "%j = constant i64[1] (1)\n %v = unsqueeze(%xt, %j) : f64[2, 1, 4]\n"
      "%o = mul(%u, %v) : f64[2, 4, 4]\n"
      "%a = reduce_sum(%o, %j) {keep_dims = false} : f64[2, 4]");
}

// A step of a selective state space: decays of all channels and states of the steps of each
// channel.
TEST(Hoist, BroadcastsThatMakeMuchMoreStay) {
  const auto body = [](const std::string& states) {
    return "%k = constant i64[1] (2)\n %u = unsqueeze(%xt, %k) : f64[2, 4, 1]\n"
           "%c = constant f64[4, " +
           states +
           "] splat(-0.5)\n"
           "%o = mul(%u, %c) : f64[2, 4, " +
           states +
           "]\n"
           "%e = exp(%o) : f64[2, 4, " +
           states +
           "]\n"
           "%a = reduce_sum(%e, %k) {keep_dims = false} : f64[2, 4]";
  };
  expect_kept(body("5"));
  expect_emptied(body("4"));
}

// What is not known of an argument of a body that never runs may contradict its operand.
// exp(delta * A) is as large as the state: it is computed in the loop. What is no larger than the
// slices leaves, also before a product with a constant that only the output depends on.
constexpr const char* kSelective =
    R"(graph @g (%delta: f64[T, 3], %x: f64[T, 3], %b: f64[T, 4], %c: f64[T, 4], %a: f64[3, 4], %h0: f64[3, 4]) {
  %hn, %y = scan invariant(%ai = %a: f64[3, 4]) state(%h = %h0: f64[3, 4]) scanned(%dt = %delta[0]: f64[3], %xt = %x[0]: f64[3], %bt = %b[0]: f64[4], %ct = %c[0]: f64[4]) stacked([0]) {
    %last = constant i64[1] (-1)
    %d1 = unsqueeze(%dt, %last) : f64[3, 1]
    %da = mul(%d1, %ai) : f64[3, 4]
    %e = exp(%da) : f64[3, 4]
    %eh = mul(%e, %h) : f64[3, 4]
    %dx = mul(%dt, %xt) : f64[3]
    %dx1 = unsqueeze(%dx, %last) : f64[3, 1]
    %dxb = mul(%dx1, %bt) : f64[3, 4]
    %n = add(%eh, %dxb) : f64[3, 4]
    %hc = mul(%n, %ct) : f64[3, 4]
    %y = reduce_sum(%hc, %last) {keep_dims = false} : f64[3]
    yield %n, %y
  } : f64[3, 4], f64[T, 3]
  yield "hn" = %hn, "y" = %y
})";

TEST(Hoist, ElementWiseBodiesKeepWhatIsAsLargeAsTheirStates) {
  expect_pass(
      {"hoist", "dce"}, kSelective,
      R"(graph @g (%delta: f64[T, 3], %x: f64[T, 3], %b: f64[T, 4], %c: f64[T, 4], %a: f64[3, 4], %h0: f64[3, 4]) {
  %dx = mul(%delta, %x) : f64[T, 3]
  %hn, %y = scan invariant(%ai = %a: f64[3, 4]) state(%h = %h0: f64[3, 4]) scanned(%dt = %delta[0]: f64[3], %bt = %b[0]: f64[4], %ct = %c[0]: f64[4], %dx.1 = %dx[0]: f64[3]) stacked([0]) {
    %last = constant i64[1] (-1)
    %d1 = unsqueeze(%dt, %last) : f64[3, 1]
    %da = mul(%d1, %ai) : f64[3, 4]
    %e = exp(%da) : f64[3, 4]
    %eh = mul(%e, %h) : f64[3, 4]
    %dx1 = unsqueeze(%dx.1, %last) : f64[3, 1]
    %dxb = mul(%dx1, %bt) : f64[3, 4]
    %n = add(%eh, %dxb) : f64[3, 4]
    %hc = mul(%n, %ct) : f64[3, 4]
    %y.1 = reduce_sum(%hc, %last) {keep_dims = false} : f64[3]
    yield %n, %y.1
  } : f64[3, 4], f64[T, 3]
  yield "hn" = %hn, "y" = %y
})");
  expect_same_numbers(kSelective, {{5, 3}, {5, 3}, {5, 4}, {5, 4}, {3, 4}, {3, 4}});
}

// Beside a product with weights, which no loop keeps in registers, it leaves.
TEST(Hoist, OtherBodiesDoNot) {
  std::string text = kSelective;
  const std::string sum = "%n = add(%eh, %dxb) : f64[3, 4]";
  text.replace(text.find(sum), sum.size(),
               "%w = constant f64[4, 4] (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)\n"
               "%q = matmul(%eh, %w) : f64[3, 4]\n %n = add(%q, %dxb) : f64[3, 4]");
  const auto graph = parse(text);
  run_pass(*graph, "hoist", {});
  EXPECT_NE(print(*graph).find("f64[T, 3, 4]"), std::string::npos) << print(*graph);
}

TEST(Hoist, BodiesThatDoNotFitAreLeftAlone) {
  expect_unchanged("hoist", R"(graph @g (%x: f64[T, 2, 5], %h0: f64[2, 3]) {
  %hn = scan state(%h = %h0: f64[2, 3]) scanned(%xt = %x[0]: f64[?, ?]) {
    %e = exp(%xt) : f64[?, ?]
    %w = constant f64[4, 3] splat(0.5)
    %p = matmul(%e, %w) : f64[?, 3]
    %u = transpose(%p) {perm = [1, 0]} : f64[3, ?]
    %m = matmul(%h, %u) : f64[2, ?]
    %s = reduce_sum(%m) : f64[1, 1]
    %n = mul(%h, %s) : f64[2, 3]
    yield %n
  } : f64[2, 3]
  yield "hn" = %hn
})");
}

TEST(Hoist, SlicesInAnotherFormStay) {
  expect_kept(
      "%l, %r = split(%xt) {axis = 1} : f64[2, 2], f64[2, 2]\n"
      "%hl, %hr = split(%h) {axis = 1} : f64[2, 2], f64[2, 2]\n"
      "%p = mul(%l, %hr) : f64[2, 2]\n %q = mul(%r, %hl) : f64[2, 2]\n"
      "%a = concat(%p, %q) {axis = 1} : f64[2, 4]");
  expect_kept(
      "%v = transpose(%xt) {perm = [1, 0]} : f64[4, 2]\n %p = matmul(%h, %v) : f64[2, 2]\n"
      "%a = matmul(%p, %h) : f64[2, 4]");
}

TEST(Hoist, DirectionsDoNotMix) {
  expect_kept("%a = add(%xt, %zt) : f64[2, 4]");
  expect_pass({"hoist", "dce"},
              R"(graph @g (%x: f64[T, 4], %h0: f64[4]) {
  %hn = scan state(%h = %h0: f64[4]) scanned(%xt = %x[0]: f64[4], %zt = %x[0 reverse]: f64[4]) {
    %a = tanh(%xt) : f64[4]
    %b = exp(%zt) : f64[4]
    %c = mul(%a, %b) : f64[4]
    %n = add(%h, %c) : f64[4]
    yield %n
  } : f64[4]
  yield "hn" = %hn
})",
              R"(graph @g (%x: f64[T, 4], %h0: f64[4]) {
  %a = tanh(%x) : f64[T, 4]
  %b = exp(%x) : f64[T, 4]
  %hn = scan state(%h = %h0: f64[4]) scanned(%a.1 = %a[0]: f64[4], %b.1 = %b[0 reverse]: f64[4]) {
    %c = mul(%a.1, %b.1) : f64[4]
    %n = add(%h, %c) : f64[4]
    yield %n
  } : f64[4]
  yield "hn" = %hn
})");
}

TEST(Hoist, TimeIsMovedToTheFront) {
  const std::string text = R"(graph @g (%x: f64[B, T, 3], %w: f64[3, 4], %h0: f64[B, 4]) {
  %hn, %y = scan invariant(%wi = %w: f64[3, 4]) state(%h = %h0: f64[B, 4]) scanned(%xt = %x[-2 reverse]: f64[B, 3]) stacked([1 reverse]) {
    %p = matmul(%xt, %wi) : f64[B, 4]
    %s = add(%p, %h) : f64[B, 4]
    %n = tanh(%s) : f64[B, 4]
    yield %n, %n
  } : f64[B, 4], f64[B, T, 4]
  yield "hn" = %hn, "y" = %y
})";
  expect_pass({"hoist", "dce"}, text,
              R"(graph @g (%x: f64[B, T, 3], %w: f64[3, 4], %h0: f64[B, 4]) {
  %0 = transpose(%x) {perm = [1, 0, 2]} : f64[T, B, 3]
  %p = matmul(%0, %w) : f64[T, B, 4]
  %hn, %y = scan state(%h = %h0: f64[B, 4]) scanned(%p.1 = %p[0 reverse]: f64[B, 4]) stacked([1 reverse]) {
    %s = add(%p.1, %h) : f64[B, 4]
    %n = tanh(%s) : f64[B, 4]
    yield %n, %n
  } : f64[B, 4], f64[B, T, 4]
  yield "hn" = %hn, "y" = %y
})");
  expect_same_numbers(text, {{2, 5, 3}, {3, 4}, {2, 4}});
}

// --- invariants ---

TEST(Hoist, WhatIsTheSameInEveryStepRunsOnce) {
  expect_pass({"hoist", "dce"},
              R"(graph @g (%x: f64[T, 4], %w: f64[4, 4], %h0: f64[4]) {
  %hn = scan invariant(%wi = %w: f64[4, 4]) state(%h = %h0: f64[4]) scanned(%xt = %x[0]: f64[4]) {
    %v = transpose(%wi) {perm = [1, 0]} : f64[4, 4]
    %e = exp(%v) : f64[4, 4]
    %p = matmul(%h, %e) : f64[4]
    %n = add(%p, %xt) : f64[4]
    yield %n
  } : f64[4]
  yield "hn" = %hn
})",
              R"(graph @g (%x: f64[T, 4], %w: f64[4, 4], %h0: f64[4]) {
  %v = transpose(%w) {perm = [1, 0]} : f64[4, 4]
  %e = exp(%v) : f64[4, 4]
  %hn = scan invariant(%e.1 = %e: f64[4, 4]) state(%h = %h0: f64[4]) scanned(%xt = %x[0]: f64[4]) {
    %p = matmul(%h, %e.1) : f64[4]
    %n = add(%p, %xt) : f64[4]
    yield %n
  } : f64[4]
  yield "hn" = %hn
})");
}

// An index out of range is an error only where the body runs.
TEST(Hoist, WhatMayFailStaysWhereItMightNotRun) {
  const std::string body = "%j = constant i64[2] splat(1)\n %a = gather(%wi, %j) : f64[2, 4]";
  expect_kept(body);
  const auto graph = parse(scan_of(body, "5"));
  run_pass(*graph, "hoist", {});
  EXPECT_EQ(graph->body().last()->previous()->region().size(), 3u) << print(*graph);
}

TEST(Hoist, InvariantsLeaveLoops) {
  expect_pass({"hoist", "dce"},
              R"(graph @g (%n: i64[], %go: bool[], %w: f64[4], %i: i64[4], %h0: f64[4]) {
  %hn = loop trips(%n) while(%go) iteration(%t) invariant(%wi = %w: f64[4], %ii = %i: i64[4]) state(%h = %h0: f64[4]) {
    %e = exp(%wi) : f64[4]
    %g = gather(%e, %ii) : f64[4]
    %f = cast(%t) {to = f64} : f64[]
    %m = mul(%g, %f) : f64[4]
    %s = add(%h, %m) : f64[4]
    %next = constant bool[] (true)
    yield %next, %s
  } : f64[4]
  yield "hn" = %hn
})",
              R"(graph @g (%n: i64[], %go: bool[], %w: f64[4], %i: i64[4], %h0: f64[4]) {
  %e = exp(%w) : f64[4]
  %hn = loop trips(%n) while(%go) iteration(%t) invariant(%ii = %i: i64[4], %e.1 = %e: f64[4]) state(%h = %h0: f64[4]) {
    %g = gather(%e.1, %ii) : f64[4]
    %f = cast(%t) {to = f64} : f64[]
    %m = mul(%g, %f) : f64[4]
    %s = add(%h, %m) : f64[4]
    %next = constant bool[] (true)
    yield %next, %s
  } : f64[4]
  yield "hn" = %hn
})");
}

TEST(Hoist, FromInnerScansOutOfOuterOnes) {
  const std::string text = R"(graph @g (%x: f64[S, T, 4], %w: f64[4, 4], %h0: f64[4]) {
  %hn = scan invariant(%w1 = %w: f64[4, 4]) state(%h1 = %h0: f64[4]) scanned(%xs = %x[0]: f64[T, 4]) {
    %in = scan invariant(%w2 = %w1: f64[4, 4]) state(%h2 = %h1: f64[4]) scanned(%xt = %xs[0]: f64[4]) {
      %p = matmul(%xt, %w2) : f64[4]
      %n = add(%p, %h2) : f64[4]
      yield %n
    } : f64[4]
    yield %in
  } : f64[4]
  yield "hn" = %hn
})";
  expect_pass({"hoist", "dce"}, text, R"(graph @g (%x: f64[S, T, 4], %w: f64[4, 4], %h0: f64[4]) {
  %p = matmul(%x, %w) : f64[S, T, 4]
  %hn = scan state(%h1 = %h0: f64[4]) scanned(%p.1 = %p[0]: f64[T, 4]) {
    %in = scan state(%h2 = %h1: f64[4]) scanned(%p.2 = %p.1[0]: f64[4]) {
      %n = add(%p.2, %h2) : f64[4]
      yield %n
    } : f64[4]
    yield %in
  } : f64[4]
  yield "hn" = %hn
})");
  expect_same_numbers(text, {{3, 5, 4}, {4, 4}, {4}});
}

// Sequences of different lengths: what is computed beyond their ends is never looked at.
TEST(Hoist, ScansWithLengths) {
  const std::string text =
      R"(graph @g (%x: f64[T, 3, 2], %w: f64[2, 4], %h0: f64[3, 4], %l: i64[3]) {
  %hn, %y = scan lengths(%l) invariant(%wi = %w: f64[2, 4]) state(%h = %h0: f64[3, 4]) scanned(%xt = %x[0 reverse]: f64[3, 2]) stacked([0 reverse]) {
    %p = matmul(%xt, %wi) : f64[3, 4]
    %s = add(%p, %h) : f64[3, 4]
    %n = tanh(%s) : f64[3, 4]
    yield %n, %n
  } : f64[3, 4], f64[T, 3, 4]
  yield "hn" = %hn, "y" = %y
})";
  expect_same_numbers(text, {{5, 3, 2}, {2, 4}, {3, 4}, {3}});
}

// A body of 20,000 steps of element-wise work on the slice: time must not grow with its square.
TEST(Hoist, LongChains) {
  std::string text =
      "graph @g (%x: f32[T, 2], %h0: f32[2]) {\n %hn = scan state(%h = %h0: f32[2]) "
      "scanned(%v0 = %x[0]: f32[2]) {\n";
  constexpr int kNodes = 20000;
  for (int i = 0; i < kNodes; ++i) {
    text += "%v" + std::to_string(i + 1) + " = neg(%v" + std::to_string(i) + ") : f32[2]\n";
  }
  text += "%n = add(%h, %v" + std::to_string(kNodes) + ") : f32[2]\n yield %n\n} : f32[2]\n" +
          "yield \"hn\" = %hn\n}";
  const auto graph = parse(text);
  run_pass(*graph, "hoist", {});
  EXPECT_EQ(graph->body().last()->previous()->region().size(), 2u);
}

}  // namespace
}  // namespace refrain
