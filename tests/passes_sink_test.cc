// sink: text before and after, and the same numbers.
#include <gtest/gtest.h>

#include "support/pass_run.h"

namespace refrain {
namespace {

using testing::expect_pass;
using testing::expect_same_results;
using testing::expect_unchanged;
using testing::Random;
using testing::run_pass;

void expect_same_numbers(const std::string& text,
                         const std::vector<std::vector<int64_t>>& extents) {
  const auto expected = parse(text), actual = parse(text);
  run_pass(*actual, "sink", {});
  EXPECT_NE(print(*actual), print(*expected)) << "nothing sank";
  run_pass(*actual, "dce", {});
  Random source;
  std::vector<RuntimeValue> inputs;
  for (size_t i = 0; i < extents.size(); ++i) {
    inputs.push_back(std::make_shared<const Tensor>(
        source.tensor(expected->input(i)->type().element, extents[i])));
  }
  expect_same_results(*actual, *expected, inputs, 1e-14, 1e-14);
}

// y_t = softmax(h_t·W + b), with h stacked anyway.
TEST(Sink, AClassifierReadsTheStackedStates) {
  const std::string text =
      R"(graph @g (%x: f64[T, B, 4], %w: f64[4, 3], %b: f64[3], %h0: f64[B, 4]) {
  %hn, %hs, %y = scan invariant(%wi = %w: f64[4, 3], %bi = %b: f64[3]) state(%h = %h0: f64[B, 4]) scanned(%xt = %x[0]: f64[B, 4]) stacked([0], [0]) {
    %s = add(%h, %xt) : f64[B, 4]
    %n = tanh(%s) : f64[B, 4]
    %p = matmul(%n, %wi) : f64[B, 3]
    %q = add(%p, %bi) : f64[B, 3]
    %c = softmax(%q) : f64[B, 3]
    yield %n, %n, %c
  } : f64[B, 4], f64[T, B, 4], f64[T, B, 3]
  yield "hn" = %hn, "hs" = %hs, "y" = %y
})";
  expect_pass({"sink", "dce"}, text,
              R"(graph @g (%x: f64[T, B, 4], %w: f64[4, 3], %b: f64[3], %h0: f64[B, 4]) {
  %hn, %hs = scan state(%h = %h0: f64[B, 4]) scanned(%xt = %x[0]: f64[B, 4]) stacked([0]) {
    %s = add(%h, %xt) : f64[B, 4]
    %n = tanh(%s) : f64[B, 4]
    yield %n, %n
  } : f64[B, 4], f64[T, B, 4]
  %p = matmul(%hs, %w) : f64[T, B, 3]
  %q = add(%p, %b) : f64[T, B, 3]
  %c = softmax(%q) : f64[T, B, 3]
  yield "hn" = %hn, "hs" = %hs, "y" = %c
})");
  expect_same_numbers(text, {{5, 2, 4}, {4, 3}, {3}, {2, 4}});
  expect_same_numbers(text, {{0, 2, 4}, {4, 3}, {3}, {2, 4}});
}

// The state is not stacked yet; the output is, backward, along another axis.
TEST(Sink, StacksWhatTheProductReads) {
  const std::string text = R"(graph @g (%x: f64[T, B, 4], %w: f64[3, 4], %h0: f64[B, 4]) {
  %hn, %y = scan invariant(%wi = %w: f64[3, 4]) state(%h = %h0: f64[B, 4]) scanned(%xt = %x[0 reverse]: f64[B, 4]) stacked([-1 reverse]) {
    %s = add(%h, %xt) : f64[B, 4]
    %n = tanh(%s) : f64[B, 4]
    %v = transpose(%n) {perm = [1, 0]} : f64[4, B]
    %p = matmul(%wi, %v) : f64[3, B]
    %m = mul(%p, %p) : f64[3, B]
    yield %n, %m
  } : f64[B, 4], f64[3, B, T]
  yield "hn" = %hn, "y" = %y
})";
  expect_pass({"sink", "dce"}, text,
              R"(graph @g (%x: f64[T, B, 4], %w: f64[3, 4], %h0: f64[B, 4]) {
  %hn, %0 = scan state(%h = %h0: f64[B, 4]) scanned(%xt = %x[0 reverse]: f64[B, 4]) stacked([0 reverse]) {
    %s = add(%h, %xt) : f64[B, 4]
    %n = tanh(%s) : f64[B, 4]
    %v = transpose(%n) {perm = [1, 0]} : f64[4, B]
    yield %n, %v
  } : f64[B, 4], f64[T, 4, B]
  %p = matmul(%w, %0) : f64[T, 3, B]
  %m = mul(%p, %p) : f64[T, 3, B]
  %y = transpose(%m) {perm = [1, 2, 0]} : f64[3, B, T]
  yield "hn" = %hn, "y" = %y
})");
  expect_same_numbers(text, {{5, 2, 4}, {3, 4}, {2, 4}});
}

// What follows the product meets other values of the step, of the input and of the state before.
TEST(Sink, OtherOperandsAreStackedToo) {
  const std::string text = R"(graph @g (%x: f64[B, T, 4], %w: f64[4, 4], %h0: f64[B, 4]) {
  %hn, %y, %z = scan invariant(%wi = %w: f64[4, 4]) state(%h = %h0: f64[B, 4]) scanned(%xt = %x[1]: f64[B, 4]) stacked([1], [0]) {
    %s = add(%h, %xt) : f64[B, 4]
    %n = tanh(%s) : f64[B, 4]
    %p = matmul(%n, %wi) : f64[B, 4]
    %q = add(%p, %h) : f64[B, 4]
    %l, %r = split(%q) {axis = -1} : f64[B, 2], f64[B, 2]
    %m = sub(%q, %xt) : f64[B, 4]
    yield %n, %m, %r
  } : f64[B, 4], f64[B, T, 4], f64[T, B, 2]
  yield "hn" = %hn, "y" = %y, "z" = %z
})";
  expect_pass({"sink", "dce"}, text,
              R"(graph @g (%x: f64[B, T, 4], %w: f64[4, 4], %h0: f64[B, 4]) {
  %hn, %0, %1 = scan state(%h = %h0: f64[B, 4]) scanned(%xt = %x[1]: f64[B, 4]) stacked([0], [0]) {
    %s = add(%h, %xt) : f64[B, 4]
    %n = tanh(%s) : f64[B, 4]
    yield %n, %h, %n
  } : f64[B, 4], f64[T, B, 4], f64[T, B, 4]
  %p = matmul(%1, %w) : f64[T, B, 4]
  %q = add(%p, %0) : f64[T, B, 4]
  %l, %r = split(%q) {axis = -1} : f64[T, B, 2], f64[T, B, 2]
  %2 = transpose(%x) {perm = [1, 0, 2]} : f64[T, B, 4]
  %m = sub(%q, %2) : f64[T, B, 4]
  %y = transpose(%m) {perm = [1, 0, 2]} : f64[B, T, 4]
  yield "hn" = %hn, "y" = %y, "z" = %r
})");
  expect_same_numbers(text, {{2, 5, 4}, {4, 4}, {2, 4}});
}

// A stacked result that only scanned operands go into needs no loop.
TEST(Sink, WhatIsScannedIsNotStackedAgain) {
  const std::string text = R"(graph @g (%x: f64[T, 4], %h0: f64[4]) {
  %hn, %y, %z = scan state(%h = %h0: f64[4]) scanned(%xt = %x[0]: f64[4]) stacked([1], [0 reverse]) {
    %n = add(%h, %xt) : f64[4]
    %e = exp(%xt) : f64[4]
    yield %n, %e, %e
  } : f64[4], f64[4, T], f64[T, 4]
  yield "hn" = %hn, "y" = %y, "z" = %z
})";
  expect_pass({"sink", "dce"}, text, R"(graph @g (%x: f64[T, 4], %h0: f64[4]) {
  %hn, %z = scan state(%h = %h0: f64[4]) scanned(%xt = %x[0]: f64[4]) stacked([0 reverse]) {
    %n = add(%h, %xt) : f64[4]
    %e = exp(%xt) : f64[4]
    yield %n, %e
  } : f64[4], f64[T, 4]
  %e.1 = exp(%x) : f64[T, 4]
  %y = transpose(%e.1) {perm = [1, 0]} : f64[4, T]
  yield "hn" = %hn, "y" = %y, "z" = %z
})");
  expect_same_numbers(text, {{5, 4}, {4}});
}

TEST(Sink, AScanWithoutResultsIsGone) {
  expect_pass({"sink"}, R"(graph @g (%x: f64[T, 4]) {
  %y = scan scanned(%xt = %x[0]: f64[4]) stacked([0]) {
    %e = exp(%xt) : f64[4]
    yield %e
  } : f64[T, 4]
  yield "y" = %y
})",
              R"(graph @g (%x: f64[T, 4]) {
  %e = exp(%x) : f64[T, 4]
  yield "y" = %e
})");
}

// A layer's normalisation reads the state, which is stacked in the place of the result.
TEST(Sink, NormalisedOutputs) {
  const std::string text = R"(graph @g (%x: f64[T, B, 4], %h0: f64[B, 4]) {
  %hn, %y = scan state(%h = %h0: f64[B, 4]) scanned(%xt = %x[0]: f64[B, 4]) stacked([0]) {
    %n = add(%h, %xt) : f64[B, 4]
    %k = constant i64[1] (1)
    %m = reduce_mean(%n, %k) : f64[B, 1]
    %d = sub(%n, %m) : f64[B, 4]
    yield %n, %d
  } : f64[B, 4], f64[T, B, 4]
  yield "hn" = %hn, "y" = %y
})";
  expect_pass({"sink", "dce"}, text, R"(graph @g (%x: f64[T, B, 4], %h0: f64[B, 4]) {
  %hn, %0 = scan state(%h = %h0: f64[B, 4]) scanned(%xt = %x[0]: f64[B, 4]) stacked([0]) {
    %n = add(%h, %xt) : f64[B, 4]
    yield %n, %n
  } : f64[B, 4], f64[T, B, 4]
  %1 = constant i64[1] (2)
  %m = reduce_mean(%0, %1) : f64[T, B, 1]
  %d = sub(%0, %m) : f64[T, B, 4]
  yield "hn" = %hn, "y" = %d
})");
  expect_same_numbers(text, {{5, 2, 4}, {2, 4}});
}

// A scan of a state %h, a slice %xt and matrix %wi whose body yields %n, %y.
std::string scan_of(const std::string& body, const std::string& lengths = "",
                    const std::string& slots = "[0]") {
  return "graph @g (%x: f64[T, 2, 4], %w: f64[4, 4], %h0: f64[2, 4], %l: i64[2]) {\n"
         "%hn, %ys = scan " +
         lengths +
         "invariant(%wi = %w: f64[4, 4]) state(%h = %h0: f64[2, 4]) "
         "scanned(%xt = %x[0]: f64[2, 4]) stacked(" +
         slots + ") {\n" + body +
         "\n yield %n, %y\n} : f64[2, 4], f64[T, 2, 4]\n"
         "yield \"hn\" = %hn, \"ys\" = %ys\n}";
}

TEST(Sink, WhatTheLoopNeedsStays) {
  expect_unchanged("sink", scan_of("%y = matmul(%h, %wi) : f64[2, 4]\n"
                                   "%n = tanh(%y) : f64[2, 4]"));
}

TEST(Sink, ElementWiseOpsAloneStay) {
  expect_unchanged("sink", scan_of("%n = add(%h, %xt) : f64[2, 4]\n"
                                   "%y = tanh(%n) : f64[2, 4]"));
}

// It would stack all products of elements in the place of their sums.
TEST(Sink, AReductionOfMoreThanIsStackedStays) {
  expect_unchanged("sink", scan_of("%n = add(%h, %xt) : f64[2, 4]\n"
                                   "%k = constant i64[1] (1)\n"
                                   "%u = unsqueeze(%n, %k) : f64[2, 1, 4]\n"
                                   "%o = mul(%u, %wi) : f64[2, 4, 4]\n"
                                   "%y = reduce_sum(%o, %k) {keep_dims = false} : f64[2, 4]"));
}

// Where a loop keeps its state in registers, a sum over it needs no copy of it for each step; one
// of a state that is stacked anyway reads that.
TEST(Sink, SumsOverStatesOfElementWiseBodiesStay) {
  const auto text = [](const std::string& slots, const std::string& more, const std::string& type) {
    return "graph @g (%x: f64[T, 20, 4], %h0: f64[20, 4]) {\n  %hn, " + more +
           "%y = scan state(%h = %h0: f64[20, 4]) scanned(%xt = %x[0]: f64[20, 4]) stacked(" +
           slots + R"() {
    %c = constant i64[1] (1)
    %s = mul(%h, %xt) : f64[20, 4]
    %n = tanh(%s) : f64[20, 4]
    %r = reduce_sum(%n, %c) {keep_dims = false} : f64[20]
    yield %n, )" +
           (more.empty() ? "" : "%n, ") + "%r\n  } : f64[20, 4], " + type +
           "f64[T, 20]\n  yield \"hn\" = %hn, " + (more.empty() ? "" : "\"hs\" = %hs, ") +
           "\"y\" = %y\n}";
  };
  expect_unchanged("sink", text("[0]", "", ""));
  expect_same_numbers(text("[0], [0]", "%hs, ", "f64[T, 20, 4], "), {{5, 20, 4}, {20, 4}});
}

TEST(Sink, AProductOfTwoStatesStays) {
  expect_unchanged("sink", scan_of("%n = add(%h, %xt) : f64[2, 4]\n"
                                   "%v = transpose(%n) {perm = [1, 0]} : f64[4, 2]\n"
                                   "%p = matmul(%h, %v) : f64[2, 2]\n"
                                   "%y = matmul(%p, %n) : f64[2, 4]"));
}

// Beyond the end of a sequence the results are zero, and tanh(0·W + 1) would not be.
TEST(Sink, ScansWithLengthsStay) {
  const std::string body =
      "%n = add(%h, %xt) : f64[2, 4]\n %p = matmul(%n, %wi) : f64[2, 4]\n"
      "%y = cos(%p) : f64[2, 4]";
  expect_unchanged("sink", scan_of(body, "lengths(%l) "));
  expect_same_numbers(scan_of(body), {{5, 2, 4}, {4, 4}, {2, 4}, {2}});
}

// The slice of this step and the result of that belong to different times.
TEST(Sink, DirectionsDoNotMix) {
  expect_unchanged("sink", scan_of("%n = add(%h, %xt) : f64[2, 4]\n"
                                   "%p = matmul(%n, %wi) : f64[2, 4]\n"
                                   "%y = add(%p, %xt) : f64[2, 4]",
                                   "", "[0 reverse]"));
  // One state, wanted in both orders.
  expect_unchanged("sink", R"(graph @g (%x: f64[T, 2, 4], %w: f64[4, 4], %h0: f64[2, 4]) {
  %hn, %y, %z = scan invariant(%wi = %w: f64[4, 4]) state(%h = %h0: f64[2, 4]) scanned(%xt = %x[0]: f64[2, 4]) stacked([0], [0 reverse]) {
    %n = add(%h, %xt) : f64[2, 4]
    %p = matmul(%n, %wi) : f64[2, 4]
    %two = constant f64[4, 4] splat(2)
    %q = matmul(%n, %two) : f64[2, 4]
    yield %n, %p, %q
  } : f64[2, 4], f64[T, 2, 4], f64[T, 2, 4]
  yield "hn" = %hn, "y" = %y, "z" = %z
})");
}

// The slice goes into a product whose result is stacked backward: its own time is kept by stacking.
TEST(Sink, ForwardStatesStackBackward) {
  expect_same_numbers(scan_of("%n = add(%h, %xt) : f64[2, 4]\n"
                              "%y = matmul(%n, %wi) : f64[2, 4]",
                              "", "[0 reverse]"),
                      {{5, 2, 4}, {4, 4}, {2, 4}, {2}});
}

// A classifier in a scan inside a scan leaves both.
TEST(Sink, FromInnerScansOutOfOuterOnes) {
  const std::string text = R"(graph @g (%x: f64[S, T, 4], %w: f64[4, 4], %h0: f64[4]) {
  %hn, %y = scan invariant(%w1 = %w: f64[4, 4]) state(%h1 = %h0: f64[4]) scanned(%xs = %x[0]: f64[T, 4]) stacked([0]) {
    %in, %yi = scan invariant(%w2 = %w1: f64[4, 4]) state(%h2 = %h1: f64[4]) scanned(%xt = %xs[0]: f64[4]) stacked([0]) {
      %s = add(%xt, %h2) : f64[4]
      %n = tanh(%s) : f64[4]
      %p = matmul(%n, %w2) : f64[4]
      yield %n, %p
    } : f64[4], f64[T, 4]
    yield %in, %yi
  } : f64[4], f64[S, T, 4]
  yield "hn" = %hn, "y" = %y
})";
  expect_pass({"sink", "dce"}, text, R"(graph @g (%x: f64[S, T, 4], %w: f64[4, 4], %h0: f64[4]) {
  %hn, %0 = scan state(%h1 = %h0: f64[4]) scanned(%xs = %x[0]: f64[T, 4]) stacked([0]) {
    %in, %1 = scan state(%h2 = %h1: f64[4]) scanned(%xt = %xs[0]: f64[4]) stacked([0]) {
      %s = add(%xt, %h2) : f64[4]
      %n = tanh(%s) : f64[4]
      yield %n, %n
    } : f64[4], f64[T, 4]
    yield %in, %1
  } : f64[4], f64[S, T, 4]
  %p = matmul(%0, %w) : f64[S, T, 4]
  yield "hn" = %hn, "y" = %p
})");
  expect_same_numbers(text, {{3, 5, 4}, {4, 4}, {4}});
}

// 20,000 nodes behind a product: time must not grow with their square.
TEST(Sink, LongChains) {
  constexpr int kNodes = 20000;
  std::string body = "%n = add(%h, %xt) : f64[2, 4]\n%v0 = matmul(%n, %wi) : f64[2, 4]\n";
  for (int i = 0; i < kNodes; ++i) {
    body += "%v" + std::to_string(i + 1) + " = neg(%v" + std::to_string(i) + ") : f64[2, 4]\n";
  }
  const auto graph =
      parse(scan_of(body + "%y = exp(%v" + std::to_string(kNodes) + ") : f64[2, 4]"));
  run_pass(*graph, "sink", {});
  EXPECT_EQ(graph->body().size(), static_cast<size_t>(kNodes + 4));
}

}  // namespace
}  // namespace refrain
