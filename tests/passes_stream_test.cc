// make_stream: graphs over whole sequences as graphs over blocks, in text and in numbers.
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/stream.h"
#include "support/compare.h"
#include "support/prepared.h"
#include "support/stream_run.h"

namespace refrain {
namespace {

using passes::make_stream;
using passes::StreamForm;
using passes::StreamOptions;
using ::testing::HasSubstr;
using testing::Random;

std::string axis(const std::optional<size_t>& axis) { return axis ? std::to_string(*axis) : "-"; }

// The graph, and what the form says of it.
std::string text(const StreamForm& form) {
  std::string text = print(*form.graph);
  text += "time " + (form.time ? to_string(*form.time) : "-") + ", batch " +
          (form.batch ? to_string(*form.batch) : "-") + "\n";
  for (const passes::StreamState& state : form.states) {
    text += state.name + ": " + form.graph->input(state.input)->name() + " = " +
            form.graph->output_names()[state.output] +
            (state.initial ? ", from " + std::to_string(state.initial->view().as_doubles().at(0))
                           : "") +
            "\n";
  }
  for (const auto& [ports, name] : {std::pair(form.inputs, "in"), std::pair(form.outputs, "out")}) {
    text += name;
    for (const passes::StreamPort& port : ports)
      text += " " + axis(port.time_axis) + "/" + axis(port.batch_axis);
    text += "\n";
  }
  return text;
}

// Runs a graph over sequences of 1 to 9 steps at once, and its stream in blocks of 1, 2 and 7.
// Elements of `$f64[2, 3]` are random. `ahead` zeros follow the sequence.
void expect_same(const std::string& source, const StreamOptions& options = {}) {
  Random random(7);
  const auto graph = parse(testing::with_constants(source, random));
  const StreamForm form = make_stream(*graph, options);
  for (const int64_t steps : {1, 2, 3, 5, 9}) {
    std::vector<RuntimeValue> inputs, longer;
    for (size_t i = 0; i < graph->input_count(); ++i) {
      const ValueType& type = graph->input(i)->type();
      std::vector<int64_t> extents;
      for (const Dim dim : type.shape.dims()) {
        extents.push_back(dim.is_constant() ? dim.extent() : dim == *form.time ? steps : 2);
      }
      inputs.emplace_back(random.tensor(type.element, extents));
      longer.push_back(inputs.back());
      if (!form.inputs[i].time_axis || options.look_ahead == 0) continue;
      extents[*form.inputs[i].time_axis] = options.look_ahead;
      longer.back() = testing::join(
          {inputs.back().tensor, std::make_shared<const Tensor>(Tensor(type.element, extents))},
          *form.inputs[i].time_axis);
    }
    const std::vector<RuntimeValue> expected = reference::run(*graph, inputs);
    for (const int64_t block : {1, 2, 7}) {
      const std::vector<TensorPtr> actual =
          testing::run_in_blocks(form, longer, expected.size(), block, options.look_ahead);
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_TRUE(testing::close(*actual[i], *expected[i].tensor, 1e-12, 1e-13))
            << graph->output_names()[i] << ", " << steps << " steps in blocks of " << block
            << " of\n"
            << text(form);
      }
    }
  }
}

void expect_stream(const std::string& before, const std::string& after,
                   const StreamOptions& options = {}) {
  const auto graph = parse(before);
  EXPECT_EQ(text(make_stream(*graph, options)), after);
  EXPECT_EQ(print(*graph), print(*parse(before)));
}

std::string refusal(const std::string& source, const StreamOptions& options = {}) {
  Random random(7);
  const auto graph = parse(testing::with_constants(source, random));
  try {
    return "no error but\n" + text(make_stream(*graph, options));
  } catch (const Error& error) {
    return error.what();
  }
}

// A sum over time of what `scanned` is; `before` makes it, `after` makes something of %y.
std::string sum(const std::string& before, const std::string& scanned = "%x",
                const std::string& after = "", const std::string& result = "%y") {
  return "graph @g (%x: f64[T, B, 3]) {\n" + before +
         "  %e = dims() {dims = [B, 3]} : i64[2]\n"
         "  %h = fill(%e) {value = f64[1] (0)} : f64[B, 3]\n"
         "  %s, %y = scan state(%a = %h: f64[B, 3]) scanned(%xi = " +
         scanned +
         "[0]: f64[B, 3]) stacked([0]) {\n"
         "    %t = tanh(%a) : f64[B, 3]\n"
         "    %n = add(%t, %xi) : f64[B, 3]\n"
         "    yield %n, %n\n"
         "  } : f64[B, 3], f64[T, B, 3]\n" +
         after + "  yield \"r\" = " + result + "\n}";
}

// A graph over x: f64[B, 3, T].
std::string wide(const std::string& body, const std::string& result = "%y") {
  return "graph @g (%x: f64[B, 3, T]) {\n" + body + "  yield \"r\" = " + result + "\n}";
}

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
  const std::string axes = "  %a = constant i64[2] (1, 2)\n";
  for (const char* op : {"reduce_sum", "reduce_max", "reduce_min", "reduce_prod"}) {
    expect_same(wide(axes + "  %y = " + op + "(%x, %a) {keep_dims = false} : f64[B]\n"));
    expect_same(wide(std::string("  %y = ") + op + "(%x) : f64[1, 1, 1]\n"));
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

TEST(Stream, WhatReadsTheFutureIsRefused) {
  const auto future = [](const std::string& what) {
    return HasSubstr("the future is read: " + what);
  };
  const std::string x = "%x", z = "%z";
  EXPECT_THAT(refusal(sum("  %z = softmax(%x) {axis = 0} : f64[T, B, 3]\n", z)),
              future("it needs all steps at once"));
  EXPECT_THAT(refusal(sum("  %i = constant i64[1] (0)\n"
                          "  %z = reduce_mean(%x, %i) {keep_dims = false} : f64[B, 3]\n",
                          x, "", z)),
              future("it averages over all steps"));
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
