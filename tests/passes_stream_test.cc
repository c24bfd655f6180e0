// make_stream: graphs over whole sequences as graphs over blocks, in text and in numbers.
#include <gmock/gmock.h>

#include <string>

#include "support/stream_text.h"

namespace refrain {
namespace {

using passes::make_stream;
using passes::StreamForm;
using testing::expect_same;
using testing::expect_stream;
using ::testing::HasSubstr;
using testing::sum;
using testing::text;
using testing::wide;

TEST(Stream, AStateThatStartsWithZerosIsAnInput) {
  expect_stream(sum(""), R"(graph @g (%x: f64[T, B, 3], %s.a: f64[B, 3]) {
  %s, %y = scan state(%a = %s.a: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) stacked([0]) {
    %t = tanh(%a) : f64[B, 3]
    %n = add(%t, %xi) : f64[B, 3]
    yield %n, %n
  } : f64[B, 3], f64[T, B, 3]
  yield "r" = %y, "s.a.next" = %s
}
time T, batch B
s.a: s.a = s.a.next
in 0/1 -/0
out 0/1 -/0
)");
  expect_same(sum(""));
}

TEST(Stream, TheModelsOwnStatesStayTheirs) {
  const std::string layers = R"(graph @g (%x: f64[T, B, 3], %h0: f64[2, B, 3]) {
  %zero = constant i64[1] (0)
  %ones = constant i64[2] (1, 1)
  %h1, %h2 = split(%h0, %ones) : f64[1, B, 3], f64[1, B, 3]
  %a0 = squeeze(%h1, %zero) : f64[B, 3]
  %b0 = squeeze(%h2, %zero) : f64[B, 3]
  %s, %y = scan state(%a = %a0: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) stacked([0]) {
    %n = add(%a, %xi) : f64[B, 3]
    yield %n, %n
  } : f64[B, 3], f64[T, B, 3]
  %u, %z = scan state(%b = %b0: f64[B, 3]) scanned(%yi = %y[0]: f64[B, 3]) stacked([0]) {
    %n = sub(%b, %yi) : f64[B, 3]
    yield %n, %n
  } : f64[B, 3], f64[T, B, 3]
  %s1 = unsqueeze(%s, %zero) : f64[1, B, 3]
  %u1 = unsqueeze(%u, %zero) : f64[1, B, 3]
  %hn = concat(%FIRST, %SECOND) {axis = 0} : f64[2, B, 3]
  yield "z" = %z, "hn" = %hn
})";
  const auto in_order = [&](const std::string& first, const std::string& second) {
    std::string source = layers;
    source.replace(source.find("FIRST"), 5, first);
    source.replace(source.find("SECOND"), 6, second);
    return source;
  };
  const StreamForm form = make_stream(*parse(in_order("s1", "u1")));
  EXPECT_THAT(text(form), HasSubstr("h0: h0 = hn\n"));
  EXPECT_EQ(form.graph->input_count(), 2u);
  EXPECT_EQ(form.graph->output_count(), 2u);
  expect_same(in_order("s1", "u1"));
  // What it ends as in another order than it starts with is not what it goes on with.
  EXPECT_THAT(text(make_stream(*parse(in_order("u1", "s1")))), HasSubstr("h0: h0 = h0.next\n"));
  expect_same(in_order("u1", "s1"));
}

TEST(Stream, AnInputThatOnlyStartsAStateGetsAnOutput) {
  const std::string source = R"(graph @g (%x: f64[T, B, 3], %h0: f64[1, B, 3]) {
  %zero = constant i64[1] (0)
  %h = squeeze(%h0, %zero) : f64[B, 3]
  %s, %y = scan state(%a = %h: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) stacked([0]) {
    %n = add(%a, %xi) : f64[B, 3]
    yield %n, %n
  } : f64[B, 3], f64[T, B, 3]
  yield "y" = %y
})";
  expect_stream(source, R"(graph @g (%x: f64[T, B, 3], %h0: f64[1, B, 3]) {
  %zero = constant i64[1] (0)
  %h = squeeze(%h0, %zero) : f64[B, 3]
  %s, %y = scan state(%a = %h: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) stacked([0]) {
    %n = add(%a, %xi) : f64[B, 3]
    yield %n, %n
  } : f64[B, 3], f64[T, B, 3]
  %0 = dims() {dims = [1, B, 3]} : i64[3]
  %1 = reshape(%s, %0) : f64[1, B, 3]
  yield "y" = %y, "h0.next" = %1
}
time T, batch B
h0: h0 = h0.next
in 0/1 -/1
out 0/1 -/1
)");
  expect_same(source);
}

// A final state that is an output already, in whatever form, is one output.
TEST(Stream, AnOutputServesAsState) {
  const std::string source = sum("", "%x",
                                 "  %zero = constant i64[1] (0)\n"
                                 "  %hn = unsqueeze(%s, %zero) : f64[1, B, 3]\n",
                                 "%hn");
  expect_stream(source, R"(graph @g (%x: f64[T, B, 3], %s.a: f64[1, B, 3]) {
  %0 = dims() {dims = [B, 3]} : i64[2]
  %1 = reshape(%s.a, %0) : f64[B, 3]
  %s = scan state(%a = %1: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) {
    %t = tanh(%a) : f64[B, 3]
    %n = add(%t, %xi) : f64[B, 3]
    yield %n
  } : f64[B, 3]
  %zero = constant i64[1] (0)
  %hn = unsqueeze(%s, %zero) : f64[1, B, 3]
  yield "r" = %hn
}
time T, batch B
s.a: s.a = r
in 0/1 -/1
out -/1
)");
  expect_same(source);
}

TEST(Stream, StatesStartAsTheModelSays) {
  const std::string source = R"(graph @g (%x: f64[T, B, 3]) {
  %one = constant f64[3] (0.5, 1, 2)
  %e = dims() {dims = [B, 3]} : i64[2]
  %h = expand(%one, %e) : f64[B, 3]
  %s = scan state(%a = %h: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) {
    %n = mul(%a, %xi) : f64[B, 3]
    yield %n
  } : f64[B, 3]
  yield "s" = %s
})";
  EXPECT_THAT(text(make_stream(*parse(source))), HasSubstr("s.a: s.a = s, from 0.500000\n"));
  expect_same(source);
}

TEST(Stream, TheLastStepIsTheValueSoFar) {
  const std::string gather = "  %i = constant i64[] (-1)\n  %g = gather(%y, %i) : f64[B, 3]\n";
  EXPECT_THAT(text(make_stream(*parse(sum("", "%x", gather, "%g")))), HasSubstr("out -/0"));
  expect_same(sum("", "%x", gather, "%g"));
  const std::string slice =
      "  %b = constant i64[1] (-1)\n  %f = constant i64[1] (9223372036854775807)\n"
      "  %z = constant i64[1] (0)\n  %l = slice(%y, %b, %f, %z) : f64[1, B, 3]\n"
      "  %q = squeeze(%l, %z) : f64[B, 3]\n  %r = tanh(%q) : f64[B, 3]\n";
  expect_same(sum("", "%x", slice, "%r"));
}

TEST(Stream, ACausalConvolutionKeepsItsLastInputs) {
  const std::string source = wide(
      "  %w = $f64[4, 3, 3]\n"
      "  %y = conv(%x, %w) {dilations = [2], pads = [4, 0]} : f64[B, 4, T]\n");
  expect_same(source);
  expect_stream(wide("  %w = constant f64[1, 3, 2] splat(1)\n"
                     "  %y = conv(%x, %w) {pads = [1, 0]} : f64[B, 1, T]\n"),
                R"(graph @g (%x: f64[B, 3, T], %y.steps: f64[B, 3, 1]) {
  %w = constant f64[1, 3, 2] splat(1)
  %0 = concat(%y.steps, %x) {axis = 2} : f64[B, 3, ?]
  %1 = constant i64[1] (-1)
  %2 = constant i64[1] (9223372036854775807)
  %3 = constant i64[1] (2)
  %4 = slice(%0, %1, %2, %3) : f64[B, 3, 1]
  %y = conv(%0, %w) {pads = [0, 0]} : f64[B, 1, T]
  yield "r" = %y, "y.steps.next" = %4
}
time T, batch B
y.steps: y.steps = y.steps.next
in 2/0 -/0
out 2/0 -/0
)");
}

TEST(Stream, PaddingMayBeAnOpOfItsOwn) {
  const std::string padded =
      "  %p = constant i64[6] (0, 0, 2, 0, 0, 0)\n"
      "  %c = constant f64[] (0.25)\n"
      "  %q = pad(%x, %p, %c) : f64[B, 3, ?]\n";
  expect_same(wide(padded + "  %r = relu(%q) : f64[B, 3, ?]\n"
                            "  %w = $f64[4, 3, 3]\n"
                            "  %y = conv(%r, %w) : f64[B, 4, ?]\n"));
  // Also along another axis.
  expect_same(
      wide("  %p = constant i64[6] (0, 1, 2, 0, 1, 0)\n"
           "  %q = pad(%x, %p) : f64[B, 5, ?]\n"
           "  %w = $f64[4, 5, 3]\n"
           "  %y = conv(%q, %w) : f64[B, 4, ?]\n"));
  // Padding on both sides, and what it gives too much cut off behind.
  const std::string cut =
      "  %b = constant i64[1] (0)\n  %f = constant i64[1] (-2)\n  %a = constant i64[1] (2)\n"
      "  %y = slice(%v, %b, %f, %a) : f64[B, 4, ?]\n";
  expect_same(
      wide("  %w = $f64[4, 3, 3]\n"
           "  %u = conv(%x, %w) {pads = [2, 2]} : f64[B, 4, ?]\n"
           "  %v = tanh(%u) : f64[B, 4, ?]\n" +
           cut));
  const std::string behind =
      "  %p = constant i64[6] (0, 0, 2, 0, 0, 2)\n  %q = pad(%x, %p) : f64[B, 3, ?]\n"
      "  %w = $f64[4, 3, 3]\n  %v = conv(%q, %w) : f64[B, 4, ?]\n";
  expect_same(wide(behind + cut));
}

// y[t] = x[t] - x[t - 1], and an output that is the input of the step before.
TEST(Stream, StepsBefore) {
  const std::string shifted = R"(  %e = constant f64[1, 3, 1] (1, 2, 3)
  %d = dims() {dims = [B, 3, 1]} : i64[3]
  %c = expand(%e, %d) : f64[B, 3, 1]
  %q = concat(%c, %x) {axis = 2} : f64[B, 3, ?]
  %b = constant i64[1] (0)
  %f = constant i64[1] (-1)
  %a = constant i64[1] (2)
  %z = slice(%q, %b, %f, %a) : f64[B, 3, T]
)";
  expect_same(wide(shifted + "  %y = sub(%x, %z) : f64[B, 3, T]\n"));
  expect_same(wide(shifted + "  %k = constant f64[] (0)\n  %y = add(%z, %k) : f64[B, 3, T]\n"));
}

TEST(Stream, PoolingOfStepsBefore) {
  expect_same(
      wide("  %n = neg(%x) : f64[B, 3, T]\n"
           "  %y = max_pool(%n) {kernel = [3], pads = [2, 0]} : f64[B, 3, T]\n"));
  expect_same(
      wide("  %y = average_pool(%x) {kernel = [4], pads = [3, 0], "
           "count_include_pad = true} : f64[B, 3, T]\n"));
}

TEST(Stream, RunningSums) {
  const std::string axis = "  %a = constant i64[] (2)\n";
  expect_same(wide(axis + "  %y = cum_sum(%x, %a) : f64[B, 3, T]\n"));
  expect_same(wide(axis + "  %y = cum_sum(%x, %a) {exclusive = true} : f64[B, 3, T]\n"));
  for (const char* op : {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_mean"}) {
    expect_same(sum("  %i = constant i64[2] (0, 2)\n", "%x",
                    std::string("  %z = ") + op + "(%y, %i) {keep_dims = false} : f64[B]\n", "%z"));
    expect_same(sum("", "%x", std::string("  %z = ") + op + "(%y) : f64[1, 1, 1]\n", "%z"));
  }
}

TEST(Stream, StepsAreNumberedOn) {
  const std::string source =
      sum("  %n = dims() {dims = [T], keep_dims = false} : i64[]\n"
          "  %zero = constant i64[] (0)\n  %one = constant i64[] (1)\n"
          "  %i = range(%zero, %n, %one) : i64[T]\n"
          "  %f = cast(%i) {to = f64} : f64[T]\n"
          "  %ax = constant i64[2] (1, 2)\n  %u = unsqueeze(%f, %ax) : f64[T, 1, 1]\n"
          "  %z = mul(%x, %u) : f64[T, B, 3]\n",
          "%z");
  EXPECT_THAT(text(make_stream(*parse(source))), HasSubstr("batch -\n"));
  expect_same(source);
}

// Each step by itself: another loop over another axis, a branch, gathers, products, softmax.
TEST(Stream, WhatTreatsEachStepByItself) {
  expect_same(
      sum("  %sm = softmax(%x) : f64[T, B, 3]\n"
          "  %w = $f64[3, 3]\n"
          "  %m = matmul(%sm, %w) : f64[T, B, 3]\n"
          "  %z = einsum(%m, %w) {equation = \"tbi,ij->tbj\"} : f64[T, B, 3]\n",
          "%z"));
  expect_same(
      sum("  %d = dims() {dims = [T, B]} : i64[2]\n"
          "  %st = fill(%d) {value = f64[1] (0)} : f64[T, B]\n"
          "  %o, %z = scan state(%b = %st: f64[T, B]) scanned(%f = %x[2]: f64[T, B]) "
          "stacked([2]) {\n"
          "    %n = add(%b, %f) : f64[T, B]\n"
          "    yield %n, %n\n"
          "  } : f64[T, B], f64[T, B, 3]\n",
          "%z"));
  expect_same(
      sum("  %to = constant i64[4] (0, 0, 3, 1)\n"
          "  %r = reshape(%x, %to) : f64[T, B, 3, 1]\n"
          "  %tr = transpose(%r) {perm = [1, 0, 3, 2]} : f64[B, T, 1, 3]\n"
          "  %ax = constant i64[1] (2)\n"
          "  %sq = squeeze(%tr, %ax) : f64[B, T, 3]\n"
          "  %z = transpose(%sq) {perm = [1, 0, 2]} : f64[T, B, 3]\n",
          "%z"));
}

TEST(Stream, ACountedLoopIsAScanToo) {
  expect_same(R"(graph @g (%x: f64[T, B, 3]) {
  %n = dims() {dims = [T], keep_dims = false} : i64[]
  %h = constant f64[2] splat(1)
  %s = scan trips(%n) state(%a = %h: f64[2]) {
    %t = constant f64[] (0.5)
    %n2 = mul(%a, %t) : f64[2]
    yield %n2
  } : f64[2]
  %y = relu(%x) : f64[T, B, 3]
  yield "s" = %s, "y" = %y
})");
}

}  // namespace
}  // namespace refrain
