// make_stream: what is no stream, what the caller says, what rows and blocks may do.
#include <gmock/gmock.h>

#include <map>
#include <string>

#include "support/stream_text.h"

namespace refrain {
namespace {

using passes::make_stream;
using passes::StreamForm;
using testing::expect_same;
using testing::expect_stream;
using ::testing::HasSubstr;
using testing::refusal;
using testing::sum;
using testing::text;
using testing::wide;

TEST(Stream, WhatReadsTheFutureIsRefused) {
  const auto future = [](const std::string& what) {
    return HasSubstr("the future is read: " + what);
  };
  const std::string x = "%x", z = "%z";
  EXPECT_THAT(refusal(sum("  %z = softmax(%x) {axis = 0} : f64[T, B, 3]\n", z)),
              future("it needs all steps at once"));
  EXPECT_THAT(refusal(sum("", x, "  %z = add(%y, %s) : f64[T, B, 3]\n", z)),
              future("every step needs what the last one gives"));
  EXPECT_THAT(refusal(sum("  %b = constant i64[1] (-1)\n"
                          "  %f = constant i64[1] (-9223372036854775807)\n"
                          "  %a = constant i64[1] (0)\n"
                          "  %z = slice(%x, %b, %f, %a, %b) : f64[T, B, 3]\n",
                          z)),
              future("it turns the steps around"));
  EXPECT_THAT(refusal(sum("  %p = transpose(%x) {perm = [1, 0, 2]} : f64[B, T, 3]\n"
                          "  %q = transpose(%x) {perm = [1, 2, 0]} : f64[B, 3, T]\n"
                          "  %w = matmul(%p, %q) : f64[B, T, T]\n"
                          "  %v = matmul(%w, %p) : f64[B, T, 3]\n"
                          "  %z = transpose(%v) {perm = [1, 0, 2]} : f64[T, B, 3]\n",
                          z)),
              HasSubstr("(matmul): it puts steps together with others"));
  const std::string conv = "  %w = $f64[3, 3, 3]\n  %y = conv(%x, %w) {";
  EXPECT_THAT(refusal(wide(conv + "pads = [1, 1]} : f64[B, 3, T]\n")),
              future("each step needs 1 step after it"));
  EXPECT_THAT(refusal(wide(conv + "auto_pad = \"same_upper\", dilations = [2]} : f64[B, 3, T]\n")),
              future("each step needs 2 steps after it"));
  EXPECT_THAT(refusal(wide(conv + "strides = [2], pads = [2, 0]} : f64[B, 3, ?]\n")),
              HasSubstr("(conv): it takes 2 steps for one of its own"));
  EXPECT_THAT(refusal(wide(conv + "pads = [0, 0]} : f64[B, 3, ?]\n")),
              HasSubstr("its window needs 2 steps before the first result"));
  EXPECT_THAT(
      refusal(wide("  %y = average_pool(%x) {kernel = [3], pads = [2, 0]} : f64[B, 3, T]\n")),
      HasSubstr("it averages over fewer steps at the start"));
  EXPECT_THAT(refusal(wide("  %a = constant i64[] (2)\n"
                           "  %y = cum_sum(%x, %a) {reverse = true} : f64[B, 3, T]\n")),
              future("it adds up from the end"));
}

TEST(Stream, WhatDependsOnTheWholeIsRefused) {
  const std::string x = "%x", z = "%z";
  EXPECT_THAT(
      refusal(sum("", x, "  %i = constant i64[] (0)\n  %z = gather(%y, %i) : f64[B, 3]\n", z)),
      HasSubstr("it reads the first step"));
  EXPECT_THAT(refusal(sum("  %n = dims() {dims = [T], keep_dims = false} : i64[]\n"
                          "  %f = cast(%n) {to = f64} : f64[]\n"
                          "  %z = div(%x, %f) : f64[T, B, 3]\n",
                          z)),
              HasSubstr("(div): it depends on the number of steps"));
  EXPECT_THAT(refusal(sum("  %m = constant i64[2] (-1, 3)\n"
                          "  %q = reshape(%x, %m) : f64[?, 3]\n",
                          x, "", "%q")),
              HasSubstr("a reshape mixes steps with other axes"));
  EXPECT_THAT(refusal(sum("  %p = constant i64[6] (1, 0, 0, 0, 0, 0)\n"
                          "  %q = pad(%x, %p) : f64[?, B, 3]\n",
                          x, "", "%q")),
              HasSubstr("output r has another number of steps than the inputs"));
  EXPECT_THAT(refusal(R"(graph @g (%x: f64[T, B, 3], %n: i64[B]) {
  %e = dims() {dims = [B, 3]} : i64[2]
  %h = fill(%e) {value = f64[1] (0)} : f64[B, 3]
  %s = scan lengths(%n) state(%a = %h: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) {
    %m = add(%a, %xi) : f64[B, 3]
    yield %m
  } : f64[B, 3]
  yield "s" = %s
})"),
              HasSubstr("its sequences end by lengths"));
  EXPECT_THAT(
      refusal(R"(graph @g (%x: f64[T, B, 3], %h: f64[B, 3]) {
  %i = tanh(%h) : f64[B, 3]
  %s = scan state(%a = %i: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) {
    %m = add(%a, %xi) : f64[B, 3]
    yield %m
  } : f64[B, 3]
  yield "s" = %s
})"),
      HasSubstr("state s.a can't go on from block to block: what it starts with is computed"));
  EXPECT_THAT(refusal("graph @g (%x: f64[3]) {\n  %y = tanh(%x) : f64[3]\n  yield \"y\" = %y\n}"),
              HasSubstr("neither a time axis"));
  // Sums over an image.
  EXPECT_THAT(refusal(wide("  %y = reduce_sum(%x) : f64[1, 1, 1]\n")),
              HasSubstr("T: nothing goes along it step by step"));
}

TEST(Stream, DeclaredStates) {
  const std::string step = R"(graph @g (%x: f64[B, 3], %h: f64[B, 3]) {
  %n = add(%x, %h) : f64[B, 3]
  %y = tanh(%n) : f64[B, 3]
  yield "y" = %y, "n" = %n
})";
  expect_stream(step, R"(graph @g (%x: f64[B, 3], %h: f64[B, 3]) {
  %n = add(%x, %h) : f64[B, 3]
  %y = tanh(%n) : f64[B, 3]
  yield "y" = %y, "n" = %n
}
time -, batch B
h: h = n
in -/0 -/0
out -/0 -/0
)",
                {.states = {{"h", "n"}}});
  EXPECT_THAT(refusal(step, {.states = {{"h", "m"}}}), HasSubstr("no such output to be a state"));
  EXPECT_THAT(refusal(step, {.states = {{"h", "n"}, {"h", "y"}}}), HasSubstr("is two states"));
  // What it starts with is computed, but by the caller's word this is right.
  const std::string scan = R"(graph @g (%x: f64[T, B, 3], %h: f64[B, 3]) {
  %i = neg(%h) : f64[B, 3]
  %s, %y = scan state(%a = %i: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) stacked([0]) {
    %m = add(%a, %xi) : f64[B, 3]
    yield %m, %m
  } : f64[B, 3], f64[T, B, 3]
  %n = neg(%s) : f64[B, 3]
  yield "y" = %y, "n" = %n
})";
  EXPECT_THAT(refusal(scan), HasSubstr("what it starts with is computed"));
  expect_same(scan, {.states = {{"h", "n"}}});
}

TEST(Stream, RowsThatMeetAreNoBatch) {
  const auto why = [](const std::string& source) {
    const StreamForm form = make_stream(*parse(source));
    return form.batch ? "batch" : form.why_no_batch;
  };
  EXPECT_EQ(why(sum("")), "batch");
  EXPECT_THAT(why(sum("  %z = softmax(%x) {axis = 1} : f64[T, B, 3]\n", "%z")),
              HasSubstr("B: node \"z\" (softmax): it needs all rows at once"));
  EXPECT_THAT(why(sum("  %n = dims() {dims = [B], keep_dims = false} : i64[]\n"
                      "  %f = cast(%n) {to = f64} : f64[]\n"
                      "  %z = div(%x, %f) : f64[T, B, 3]\n",
                      "%z")),
              HasSubstr("it depends on the number of rows"));
}

TEST(Stream, ATracedBatchIsFreed) {
  expect_stream(R"(graph @g (%x: f64[T, 1, 3]) {
  %h = constant f64[1, 3] splat(0)
  %s, %y = scan state(%a = %h: f64[1, 3]) scanned(%xi = %x[0]: f64[1, 3]) stacked([0]) {
    %n = add(%a, %xi) : f64[1, 3]
    yield %n, %n
  } : f64[1, 3], f64[T, 1, 3]
  %e = constant i64[3] (1, 1, 3)
  %r = reshape(%s, %e) : f64[1, 1, 3]
  yield "y" = %y, "r" = %r
})",
                R"(graph @g (%x: f64[T, B, 3], %s.a: f64[1, B, 3]) {
  %0 = dims() {dims = [B, 3]} : i64[2]
  %1 = reshape(%s.a, %0) : f64[B, 3]
  %s, %y = scan state(%a = %1: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) stacked([0]) {
    %n = add(%a, %xi) : f64[B, 3]
    yield %n, %n
  } : f64[B, 3], f64[T, B, 3]
  %2 = constant i64[3] (1, -1, 3)
  %r = reshape(%s, %2) : f64[1, B, 3]
  yield "y" = %y, "r" = %r
}
time T, batch B
s.a: s.a = r
in 0/1 -/1
out 0/1 -/1
)");
}

TEST(Stream, BlocksWithLookAhead) {
  const std::string source = R"(graph @g (%x: f64[T, B, 3]) {
  %e = dims() {dims = [B, 3]} : i64[2]
  %h = fill(%e) {value = f64[1] (0)} : f64[B, 3]
  %s, %y = scan state(%a = %h: f64[B, 3]) scanned(%xi = %x[0]: f64[B, 3]) stacked([0]) {
    %n = add(%a, %xi) : f64[B, 3]
    yield %n, %n
  } : f64[B, 3], f64[T, B, 3]
  %u, %z = scan state(%b = %h: f64[B, 3]) scanned(%yi = %y[0 reverse]: f64[B, 3]) stacked([0 reverse]) {
    %n = sub(%yi, %b) : f64[B, 3]
    yield %n, %n
  } : f64[B, 3], f64[T, B, 3]
  yield "z" = %z
})";
  expect_stream(source, R"(graph @g (%x: f64[T, B, 3], %s.a: f64[B, 3]) {
  %e = dims() {dims = [B, 3]} : i64[2]
  %h = fill(%e) {value = f64[1] (0)} : f64[B, 3]
  %0 = constant i64[1] (0)
  %1 = constant i64[1] (-2)
  %2 = constant i64[1] (0)
  %x.1 = slice(%x, %0, %1, %2) : f64[?, B, 3]
  %3 = constant i64[1] (-2)
  %4 = constant i64[1] (9223372036854775807)
  %5 = constant i64[1] (0)
  %6 = slice(%x, %3, %4, %5) : f64[?, B, 3]
  %s, %y = scan state(%a = %s.a: f64[B, 3]) scanned(%xi = %x.1[0]: f64[B, 3]) stacked([0]) {
    %n = add(%a, %xi) : f64[B, 3]
    yield %n, %n
  } : f64[B, 3], f64[?, B, 3]
  %s.1, %y.1 = scan state(%a.1 = %s: f64[B, 3]) scanned(%xi.1 = %6[0]: f64[B, 3]) stacked([0]) {
    %n.1 = add(%a.1, %xi.1) : f64[B, 3]
    yield %n.1, %n.1
  } : f64[B, 3], f64[?, B, 3]
  %7 = concat(%y, %y.1) {axis = 0} : f64[T, B, 3]
  %u, %z = scan state(%b = %h: f64[B, 3]) scanned(%yi = %7[0 reverse]: f64[B, 3]) stacked([0 reverse]) {
    %n.2 = sub(%yi, %b) : f64[B, 3]
    yield %n.2, %n.2
  } : f64[B, 3], f64[T, B, 3]
  %8 = constant i64[1] (0)
  %9 = constant i64[1] (-2)
  %10 = constant i64[1] (0)
  %z.1 = slice(%z, %8, %9, %10) : f64[?, B, 3]
  yield "z" = %z.1, "s.a.next" = %s
}
time T, batch B
s.a: s.a = s.a.next
in 0/1 -/0
out 0/1 -/0
)",
                {.look_ahead = 2, .block = 1});
  EXPECT_THAT(refusal(source, {.look_ahead = 2}), HasSubstr("a look-ahead goes with blocks"));
}

// An input that both directions start with: the forward one's half is carried, the other stays.
TEST(Stream, BothDirectionsMayStartWithOneInput) {
  const auto source = [](const std::string& backward_start) {
    return R"(graph @g (%x: f64[T, 3], %h0: f64[2, 3]) {
  %0 = constant i64[] (0)
  %1 = constant i64[] (1)
  %f = gather(%h0, %0) {axis = 0} : f64[3]
  %b = gather(%h0, %1) {axis = 0} : f64[3]
  %s, %y = scan state(%a = %f: f64[3]) scanned(%xi = %x[0]: f64[3]) stacked([0]) {
    %n = sub(%xi, %a) : f64[3]
    yield %n, %n
  } : f64[3], f64[T, 3]
  %u, %z = scan state(%c = )" +
           backward_start + R"(: f64[3]) scanned(%xj = %x[0 reverse]: f64[3]) stacked([0 reverse]) {
    %m = sub(%xj, %c) : f64[3]
    yield %m, %m
  } : f64[3], f64[T, 3]
  yield "y" = %y, "z" = %z
})";
  };
  const StreamForm form = make_stream(*parse(source("%b")), {.look_ahead = 1, .block = 2});
  ASSERT_EQ(form.states.size(), 1u);
  EXPECT_EQ(form.states[0].name, "h0");
  const auto tensor = [](std::vector<int64_t> extents, std::vector<double> values) {
    return std::make_shared<const Tensor>(
        Tensor::of<double>(std::move(extents), std::span<const double>(values)));
  };
  std::map<std::string, TensorPtr> states = {{"h0", tensor({2, 3}, {1, 2, 3, 10, 20, 30})}};
  std::vector<RuntimeValue> inputs(2);
  inputs[0].tensor = tensor({3, 3}, {0, 0, 0, 1, 1, 1, 2, 2, 2});
  inputs[1].tensor = states.at("h0");
  const auto first = testing::run_block(form, inputs, 2, states);
  EXPECT_TRUE(testing::equal(*first[0], *tensor({2, 3}, {-1, -2, -3, 2, 3, 4})));
  EXPECT_TRUE(testing::equal(*first[1], *tensor({2, 3}, {-9, -19, -29, 9, 19, 29})));
  EXPECT_TRUE(testing::equal(*states.at("h0"), *tensor({2, 3}, {2, 3, 4, 10, 20, 30})));
  const auto second = testing::run_block(form, inputs, 2, states);
  EXPECT_TRUE(testing::equal(*second[0], *tensor({2, 3}, {-2, -3, -4, 3, 4, 5})));
  EXPECT_TRUE(testing::equal(*second[1], *first[1]));
  // What is carried on can't be what each block starts with anew.
  EXPECT_THAT(refusal(source("%f"), {.look_ahead = 1, .block = 2}),
              HasSubstr("it starts with input h0, which others read too"));
}

// Windows that read ahead give what they give in the whole run, whose end is padded with zeros.
TEST(Stream, WindowsReadAhead) {
  const std::string body =
      "  %w = $f64[3, 3, 4]\n"
      "  %c = conv(%x, %w) {pads = [1, 2]} : f64[B, 3, T]\n"
      "  %e = dims() {dims = [B, 3]} : i64[2]\n"
      "  %h = fill(%e) {value = f64[1] (0)} : f64[B, 3]\n"
      "  %s, %y = scan state(%a = %h: f64[B, 3]) scanned(%xi = %c[2]: f64[B, 3]) stacked([2]) {\n"
      "    %t = tanh(%a) : f64[B, 3]\n"
      "    %n = add(%t, %xi) : f64[B, 3]\n"
      "    yield %n, %n\n"
      "  } : f64[B, 3], f64[B, 3, T]\n";
  expect_same(wide(body), {.look_ahead = 2, .block = 4});
  expect_same(wide(body, "%s"), {.look_ahead = 5, .block = 4});
  EXPECT_THAT(refusal(wide(body), {.look_ahead = 1, .block = 4}),
              HasSubstr("each step needs 1 step after it"));
}

}  // namespace
}  // namespace refrain
