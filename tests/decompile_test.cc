// Graphs as equations: what cells of known and unknown kinds look like, and that all models can be
// written.
#include "frontend/decompile/decompile.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "frontend/decompile/writer.h"
#include "frontend/driver/model.h"
#include "ir/text.h"

namespace refrain::decompile {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

Decompiled of_model(const std::string& name) {
  const std::string path =
      std::string(REFRAIN_SOURCE_DIR) + "/tests/models/" + name + "/model.onnx";
  const std::unique_ptr<Graph> graph = load_model(path).graph;
  optimize(*graph);
  return decompile(*graph, "model.safetensors");
}

Decompiled of_text(const std::string& text) { return decompile(*parse(text), "w.safetensors"); }

TEST(Decompile, AnLstmHasItsGates) {
  const Decompiled lstm = of_model("lstm_op9");
  EXPECT_TRUE(lstm.complete);
  EXPECT_EQ(lstm.text, R"(model torch_jit
weights "model.safetensors"
input x: f32[T=9, B=2, 6]

cell lstm_cell(x, h[10], c[10]):
  o = sigmoid(W_o·x + b_o + U_o·h)
  f = sigmoid(W_f·x + b_f + U_f·h)
  i = sigmoid(W_i·x + b_i + U_i·h)
  g = tanh(W_g·x + b_g + U_g·h)
  c = f*c + i*g
  h = o*tanh(c)

(y, h, c) = scan lstm_cell over x
output y
# h: in the model f32[1, 2, 10]
output h
# c: in the model f32[1, 2, 10]
output c
)");
  ASSERT_EQ(lstm.weights.size(), 12u);
  EXPECT_EQ(lstm.weights[0].name, "lstm_cell.W_o");
  EXPECT_EQ(lstm.weights[0].tensor->extents(), (std::vector<int64_t>{10, 6}));
  EXPECT_EQ(lstm.weights[1].tensor->extents(), (std::vector<int64_t>{10}));
}

// Whatever way a model was written or exported, the equations are those of its cell.
TEST(Decompile, CellsAreTheSameFromLoopsScansAndTraces) {
  for (const char* form : {"scan_op13", "loop_op11", "unrolled_op9"}) {
    const Decompiled mgu = of_model(std::string("cell_mgu_") + form);
    EXPECT_TRUE(mgu.complete) << form;
    EXPECT_THAT(mgu.cells, ElementsAre(R"(cell mgu_cell(x, h[10]):
  f = sigmoid(W_f·x + b_f + U_f·h)
  n = tanh(W_n·x + b_n + U_n·(f*h))
  h = (1 - f)*h + f*n
)")) << form;
  }
}

TEST(Decompile, OtherCells) {
  EXPECT_THAT(of_model("gru_op11").cells, ElementsAre(R"(cell gru_cell(x, h[10]):
  z = sigmoid(W_z·x + b_z + U_z·h)
  r = sigmoid(W_r·x + b_r + U_r·h)
  n = tanh(W_n·x + b_n + r*(b_n_2 + U_n·h))
  h = (1 - z)*n + z*h
)"));
  EXPECT_THAT(of_model("cell_peephole_scan_op13").cells,
              ElementsAre(R"(cell lstm_cell(x, h[10], c[10]):
  f = sigmoid(W_f·x + b_f + U_f·h + p_f*c)
  i = sigmoid(W_i·x + b_i + U_i·h + p_i*c)
  g = tanh(W_g·x + b_g + U_g·h)
  c = f*c + i*g
  o = sigmoid(W_o·x + b_o + U_o·h + p_o*c)
  h = o*tanh(c)
)"));
  EXPECT_THAT(of_model("cell_indrnn_scan_op15").cells, ElementsAre(R"(cell rnn_cell(x, h[10]):
  h = relu(W·x + b + p*h)
)"));
}

TEST(Decompile, LayersDirectionsAndStatesOfLayers) {
  const Decompiled model = of_model("bilstm2_op13");
  EXPECT_TRUE(model.complete);
  EXPECT_EQ(model.cells.size(), 1u);  // four scans
  EXPECT_THAT(model.text, HasSubstr("= scan lstm_cell over x reverse with weights \"lstm_cell_2\"\n"
                                    "v = [y_t, y_t_2]\n"));
  EXPECT_THAT(model.text, HasSubstr("# h: in the model f32[4, B, 10]\noutput h_0 = h_T\n"));
  const Decompiled charlm = of_model("charlm_op9");
  EXPECT_TRUE(charlm.complete);
  EXPECT_THAT(charlm.text, HasSubstr("input tokens: i64[B, T]\n"));
  EXPECT_THAT(charlm.text, HasSubstr("input h0_1: f32[B, 20]\n"));
  EXPECT_THAT(charlm.text, HasSubstr("param W_scores: f32[30, 20]\n"));
}

// States that read each other's old values, in every order.
TEST(Decompile, OldValuesOfStatesAreKept) {
  const Decompiled swap = of_text(R"(graph @swap (%x: f32[T, B, 2]) {
  %z = constant f32[1, 2] splat(0)
  %a_n, %b_n, %y = scan state(%a = %z: f32[1, 2], %b = %z: f32[1, 2]) scanned(%e = %x[0]: f32[B, 2]) stacked([0]) {
    %n = tanh(%e) : f32[B, 2]
    %p = add(%b, %b) : f32[1, 2]
    yield %p, %a, %n
  } : f32[1, 2], f32[1, 2], f32[T, B, 2]
  yield "y" = %y
}
)");
  EXPECT_THAT(swap.cells, ElementsAre(R"(cell recurrent_cell(x, a[2], b[2]):
  a' = b + b
  O: y = tanh(x)
  b = a
  a = a'
)"));
}

// Each is what the one before it was; the first is what the last one was.
TEST(Decompile, StatesThatArePassedOn) {
  const std::string ring = R"(graph @ring (%x: f32[T, B, 2], %a0: f32[B, 2], %b0: f32[B, 2]) {
  %a_n, %b_n, %c_n, %y = scan state(%a = %a0: f32[B, 2], %b = %b0: f32[B, 2], %c = %b0: f32[B, 2]) scanned(%e = %x[0]: f32[B, 2]) stacked([0]) {
    %n = add(%e, %c) : f32[B, 2]
    yield %c, %a, %b, %n
  } : f32[B, 2], f32[B, 2], f32[B, 2], f32[T, B, 2]
  yield "y" = %y
}
)";
  EXPECT_THAT(of_text(ring).cells, ElementsAre(R"(cell recurrent_cell(x, a[2], b[2], c[2]):
  a' = c
  O: y = x + c
  c = b
  b = a
  a = a'
)"));
  std::string line = ring;
  line.replace(line.find("yield %c"), 8, "yield %e");
  EXPECT_THAT(of_text(line).cells, ElementsAre(R"(cell recurrent_cell(x, a[2], b[2], c[2]):
  O: y = x + c
  c = b
  b = a
  a = x
)"));
}

// A state that is the sequence as it is, which has a name in the model.
TEST(Decompile, StatesThatAreTheSequence) {
  const Decompiled model = of_text(R"(graph @last (%x: f32[T, B, 2], %h0: f32[B, 2]) {
  %v = tanh(%x) : f32[T, B, 2]
  %w = mul(%v, %v) : f32[T, B, 2]
  %h_n, %y = scan state(%h = %h0: f32[B, 2]) scanned(%e = %v[0]: f32[B, 2]) stacked([0]) {
    yield %e, %h
  } : f32[B, 2], f32[T, B, 2]
  yield "y" = %y, "w" = %w
}
)");
  EXPECT_THAT(model.text, HasSubstr("cell rnn_cell(x, h[2]):\n  O: h\n  h = x\n"));
  EXPECT_THAT(model.text, HasSubstr("y = scan rnn_cell over v from h0\n"));
}

// One feature beside several is a scalar, of which no part is taken.
TEST(Decompile, OneFeatureBesideSeveral) {
  const Decompiled model = of_text(R"(graph @dot (%x: f32[T, B, 4], %s: f32[T, B, 1]) {
  %w = constant f32[4, 1] (1, 2, 3, 4)
  %n = constant f32[1, 2] (1, 2)
  %p = matmul(%x, %w) : f32[T, B, 1]
  %y = add(%p, %x) : f32[T, B, 4]
  %begin = constant i64[1] (1)
  %end = constant i64[1] (3)
  %axis = constant i64[1] (2)
  %c = slice(%y, %begin, %end, %axis) : f32[T, B, 2]
  %m = mul(%s, %c) : f32[T, B, 2]
  %q = reduce_mean(%s, %axis) : f32[T, B, 1]
  %z = matmul(%q, %n) : f32[T, B, 2]
  yield "m" = %m, "z" = %z
}
)");
  EXPECT_TRUE(model.complete);
  EXPECT_THAT(model.text, HasSubstr("m = s[0]*(w_m·x + x[1:3])\n"));
  EXPECT_THAT(model.text, HasSubstr("z = W_z·[mean(s)]\n"));
}

// Only their number of steps, or a value that is the same at all of them.
TEST(Decompile, CellsThatReadNothingOfTheirSequence) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[T, B, 2], %h0: f32[B, 2]) {
  %h_n, %y, %z = scan state(%h = %h0: f32[B, 2]) scanned(%e = %x[0]: f32[B, 2]) stacked([0], [0]) {
    %t = tanh(%h) : f32[B, 2]
    %c = constant f32[1, 2] (1, 2)
    yield %t, %t, %c
  } : f32[B, 2], f32[T, B, 2], f32[T, 1, 2]
  %w = add(%y, %z) : f32[T, B, 2]
  yield "w" = %w
}
)");
  EXPECT_TRUE(model.complete) << model.text;
  EXPECT_THAT(model.cells, ElementsAre(R"(cell rnn_cell(x, h[2]):
  h = tanh(h)
  O: h
  O: y = b
)"));
  EXPECT_THAT(model.text, HasSubstr(" = scan rnn_cell over x from h0\n"));
}

// The mean of another sequence is the same at every step: it is given.
TEST(Decompile, WhatHasNoTimeIsNoSequence) {
  const Decompiled model =
      of_text(R"(graph @m (%x: f32[T, B, 2], %m: f32[S, B, 2], %h0: f32[B, 2]) {
  %axis = constant i64[1] (0)
  %mean = reduce_mean(%m, %axis) {keep_dims = false} : f32[B, 2]
  %both = mul(%x, %mean) : f32[T, B, 2]
  %more = sub(%both, %mean) : f32[T, B, 2]
  %h_n = scan state(%h = %h0: f32[B, 2]) scanned(%e = %more[0]: f32[B, 2]) {
    %s = add(%e, %h) : f32[B, 2]
    %n = tanh(%s) : f32[B, 2]
    yield %n
  } : f32[B, 2]
  yield "h" = %h_n
}
)");
  EXPECT_TRUE(model.complete) << model.text;
  EXPECT_THAT(model.cells, ElementsAre(R"(cell rnn_cell(x, h[2]) given v:
  h = tanh(x*v - v + h)
)"));
  EXPECT_THAT(model.text, HasSubstr("v = mean(m, over = time)\n"));
  EXPECT_THAT(model.text, HasSubstr(" = scan rnn_cell over x from h0 given v\n"));
}

TEST(Decompile, ConstantsBesideFeatures) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[T, B, 2], %h0: f32[B, 4]) {
  %h_n = scan state(%h = %h0: f32[B, 4]) scanned(%e = %x[0]: f32[B, 2]) {
    %d = dims() {dims = [B, 2]} : i64[2]
    %c = constant f32[2] (1, 2)
    %mask = constant bool[4] (true, false, false, true)
    %wide = expand(%c, %d) : f32[B, 2]
    %both = concat(%e, %wide) {axis = 1} : f32[B, 4]
    %s = selu(%h) : f32[B, 4]
    %n = where(%mask, %both, %s) : f32[B, 4]
    yield %n
  } : f32[B, 4]
  yield "h" = %h_n
}
)");
  EXPECT_TRUE(model.complete) << model.text;
  EXPECT_THAT(model.cells, ElementsAre(R"(cell recurrent_cell(x, h[4]):
  h = where(b_h > 0.5, [x, b_h_2], selu(h))
)"));
}

TEST(Decompile, OutputsReadOldValues) {
  EXPECT_THAT(of_text(R"(graph @late (%x: f32[T, B, 2], %h0: f32[B, 2]) {
  %h_n, %y = scan state(%h = %h0: f32[B, 2]) scanned(%e = %x[0]: f32[B, 2]) stacked([0]) {
    %s = add(%e, %h) : f32[B, 2]
    %n = tanh(%s) : f32[B, 2]
    %m = mul(%n, %h) : f32[B, 2]
    yield %n, %m
  } : f32[B, 2], f32[T, B, 2]
  yield "y" = %y
}
)")
                  .cells,
              ElementsAre(R"(cell rnn_cell(x, h[2]):
  h' = tanh(x + h)
  O: y = h'*h
  h = h'
)"));
}

TEST(Decompile, NamesEndInTheirPrimes) {
  Names names;
  EXPECT_EQ(names.take("h'"), "h'");
  EXPECT_EQ(names.take("h'"), "h_2'");
  EXPECT_EQ(names.take("h'"), "h_3'");
}

TEST(Decompile, Gelu) {
  const std::string gelu = R"(graph @m (%x: f32[T, B, 2]) {
  %y = gelu(%x) {approximate = true} : f32[T, B, 2]
  yield "y" = %y
}
)";
  EXPECT_FALSE(of_text(gelu).complete);
  std::string exact = gelu;
  exact.replace(exact.find("true"), 4, "false");
  EXPECT_THAT(of_text(exact).text, HasSubstr("y = gelu(x)\n"));
}

TEST(Decompile, WhatHasNoWordsIsAComment) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[T, B, 2]) {
  %k = constant i64[] (0)
  %s = cum_sum(%x, %k) : f32[T, B, 2]
  yield "y" = %s
}
)");
  EXPECT_FALSE(model.complete);
  EXPECT_THAT(model.text, HasSubstr("# f32[T, B, 2] = cum_sum(f32[T, B, 2], i64[])\n"));
  EXPECT_THAT(model.text, HasSubstr("# The language has no words"));
}

TEST(Decompile, TypesThatTheLanguageLacks) {
  EXPECT_FALSE(of_text(R"(graph @m (%x: u8[T, B]) {
  %y = add(%x, %x) : u8[T, B]
  yield "y" = %y
}
)")
                   .complete);
  const Decompiled rounded = of_text(R"(graph @m (%x: f32[T, B, 2]) {
  %h = cast(%x) {to = f16} : f16[T, B, 2]
  %y = cast(%h) {to = f32} : f32[T, B, 2]
  yield "y" = %y
}
)");
  EXPECT_FALSE(rounded.complete);
  EXPECT_THAT(rounded.text, HasSubstr("# f16[T, B, 2] = cast(f32[T, B, 2])\n"));
}

// Constants, infinity, sequences of tensors.
TEST(Decompile, WhatIsNoValueOfTheLanguage) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[T, B, 2], %s: seq<f32[*]>) {
  %c = constant f32[2] (1, 2)
  %far = constant f32[] (inf)
  %a = equal(%x, %far) : bool[T, B, 2]
  yield "s" = %s, "c" = %c, "a" = %a
}
)");
  EXPECT_FALSE(model.complete);
  EXPECT_THAT(model.text, HasSubstr("# output s: seq<f32[*]>\n"));
  EXPECT_THAT(model.text, HasSubstr("# output c: a constant, f32[2]\n"));
  EXPECT_THAT(model.text, HasSubstr("# bool[T, B, 2] = equal(f32[T, B, 2], f32[])\n"));
}

TEST(Decompile, StepsAndMeansOfSequences) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[T, B, 2]) {
  %a = constant i64[1] (0)
  %b = constant i64[1] (-1)
  %e = constant i64[1] (9223372036854775807)
  %l = slice(%x, %b, %e, %a) : f32[?, B, 2]
  %s = squeeze(%l, %a) : f32[B, 2]
  %m = reduce_mean(%x, %a) {keep_dims = false} : f32[B, 2]
  %y = add(%s, %m) : f32[B, 2]
  yield "y" = %y
}
)");
  EXPECT_TRUE(model.complete);
  EXPECT_THAT(model.text, HasSubstr("y = last(x) + mean(x, over = time)\n"));
}

TEST(Decompile, ConvolutionsAndWindows) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[B, 2, T]) {
  %w = constant f32[3, 2, 5] splat(0.5)
  %b = constant f32[3] (1, 2, 3)
  %a = constant i64[2] (1, 0)
  %axis = constant i64[1] (2)
  %z = constant f32[] (0)
  %p = pad(%x, %a, %z, %axis) {mode = "edge"} : f32[B, 2, ?]
  %c = conv(%p, %w, %b) {strides = [2], pads = [1, 1]} : f32[B, 3, ?]
  %r = relu(%c) : f32[B, 3, ?]
  %m = max_pool(%r) {kernel = [3], strides = [2]} : f32[B, 3, ?]
  %f = constant f32[3, 1, 3] (-1, 2, -1, -1, 2, -1, -1, 2, -1)
  %y = conv(%m, %f) {pads = [2, 0], groups = 3} : f32[B, 3, ?]
  yield "y" = %y
}
)");
  EXPECT_TRUE(model.complete);
  EXPECT_THAT(model.text, HasSubstr("# x: in the model f32[B, 2, T]\ninput x: f32[B, T, 2]\n"));
  EXPECT_THAT(model.text, HasSubstr("conv1d(pad(x, 1, 0, mode = \"edge\"), 3, 5, stride = 2, "
                                    "padding = 1, weights = \"conv\")"));
  EXPECT_THAT(model.text, HasSubstr("max_pool1d(relu("));
  EXPECT_THAT(model.text, HasSubstr(", filter = (-1, 2, -1), causal = true)"));
  ASSERT_EQ(model.weights.size(), 2u);
  EXPECT_EQ(model.weights[0].name, "conv.weight");
  EXPECT_EQ(model.weights[1].name, "conv.bias");
}

// A state that is a matrix: a selective state space.
TEST(Decompile, MatricesOfFeatures) {
  for (const char* form :
       {"cell_selective_loop_op16", "cell_selective_scan_op13", "cell_selective_unrolled_op13"}) {
    const Decompiled model = of_model(form);
    EXPECT_TRUE(model.complete) << form;
    EXPECT_THAT(model.cells, ElementsAre(R"(cell recurrent_cell(x, h[8, 4]):
  v = softplus(W_v·x + b_v)
  h = exp(transpose(v*A_h))*h + outer(v*x, W_h·x)
  O: y = sum(h*W_y·x) + p_y*x
)")) << form;
  }
  EXPECT_THAT(of_model("way_selective_scan_loop_op13").text,
              HasSubstr("h = exp(transpose(v*A_h))*h + outer(v*x, b_h + W_h·x)\n"));
}

// A loop that reads its sequence forward and writes backward, over a part of it.
TEST(Decompile, PartsOfSequencesAndTurnedOnes) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[T, B, 2]) {
  %d = dims() {dims = [B, 2]} : i64[2]
  %z = fill(%d) {value = f32[] (0)} : f32[B, 2]
  %zero = constant i64[1] (0)
  %one = constant i64[1] (1)
  %end = constant i64[1] (9223372036854775807)
  %tail = slice(%x, %one, %end, %zero) : f32[?, B, 2]
  %hn, %y = scan state(%h = %z: f32[B, 2]) scanned(%e = %tail[0]: f32[B, 2]) stacked([0 reverse]) {
    %s = add(%h, %e) : f32[B, 2]
    yield %s, %s
  } : f32[B, 2], f32[?, B, 2]
  yield "y" = %y
}
)");
  EXPECT_TRUE(model.complete) << model.text;
  EXPECT_THAT(model.text, HasSubstr("v = x[1:, ..]\n"));
  EXPECT_THAT(model.text, HasSubstr("cell recurrent_cell(x, h[2]):\n  h = h + x\n"));
  EXPECT_THAT(model.text, HasSubstr("= reverse(y_t)\n"));
}

// The language has no choice between models: both are there.
TEST(Decompile, ScansInsideOfBranches) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[T, B, 2], %back: bool[]) {
  %y = branch(%back) then(%u = %x: f32[T, B, 2]) {
    %d = dims() {dims = [B, 2]} : i64[2]
    %z = fill(%d) {value = f32[] (0)} : f32[B, 2]
    %hn, %s = scan state(%h = %z: f32[B, 2]) scanned(%e = %u[0 reverse]: f32[B, 2]) stacked([0 reverse]) {
      %n = add(%h, %e) : f32[B, 2]
      yield %n, %n
    } : f32[B, 2], f32[T, B, 2]
    yield %s
  } else(%v = %x: f32[T, B, 2]) {
    %t = tanh(%v) : f32[T, B, 2]
    yield %t
  } : f32[T, B, 2]
  yield "y" = %y
}
)");
  EXPECT_FALSE(model.complete);
  EXPECT_THAT(model.text, HasSubstr("# if back:\n"));
  EXPECT_THAT(model.text, HasSubstr("cell recurrent_cell(x, h[2]):\n  h = h + x\n"));
  EXPECT_THAT(model.text, HasSubstr("scan recurrent_cell over x reverse\n"));
  EXPECT_THAT(model.text, HasSubstr("# otherwise:\ny = tanh(x)\n"));
  EXPECT_EQ(model.cells.size(), 1u);
}

TEST(Decompile, DecodersFeedBackTheirTokens) {
  const std::string choice = R"(graph @m (%h0: f32[B, 2]) {
  %length = constant i64[] (7)
  %d = dims() {dims = [B]} : i64[1]
  %first = fill(%d) {value = i64[1] (3)} : i64[B]
  %none = fill(%d) {value = bool[1] (false)} : bool[B]
  %hn, %tn, %en, %text, %scores = scan trips(%length) state(%h = %h0: f32[B, 2], %t = %first: i64[B], %e = %none: bool[B]) stacked([0], [0]) {
    %table = constant f32[5, 2] (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    %w = constant f32[2, 5] (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    %x = gather(%table, %t) : f32[B, 2]
    %s = add(%h, %x) : f32[B, 2]
    %n = tanh(%s) : f32[B, 2]
    %y = matmul(%n, %w) : f32[B, 5]
    %best = arg_max(%y) {axis = -1, keep_dims = false} : i64[B]
    %end = constant i64[] (4)
    %next = where(%e, %end, %best) : i64[B]
    %is = equal(%next, %end) : bool[B]
    %over = logical_or(%e, %is) : bool[B]
    yield %n, %next, %over, %next, %y
  } : f32[B, 2], i64[B], bool[B], i64[7, B], f32[7, B, 5]
  yield "text" = %text, "scores" = %scores
}
)";
  const Decompiled model = of_text(choice);
  EXPECT_TRUE(model.complete) << model.text;
  EXPECT_THAT(model.cells, ElementsAre(R"(cell rnn_cell(token, h[2]):
  h = tanh(h + embedding(token, 5, 2, weights = "rnn_cell.embed"))
  y = U·h
  O: y
  O: y
)"));
  EXPECT_THAT(model.text,
              HasSubstr("(text, scores) = decode rnn_cell start 3 until 4 length 7 from h0\n"));
  // Of a token that comes out behind its loop too there is no word.
  std::string read = choice;
  read.replace(read.find("\"scores\" = %scores"), 0, "\"last\" = %tn, ");
  EXPECT_FALSE(of_text(read).complete);
}

// What runs over no sequence is there as a cell too.
TEST(Decompile, LoopsWithoutASequence) {
  const Decompiled model = of_text(R"(graph @m (%x: f32[B, 2]) {
  %n = constant i64[] (7)
  %hn, %y = scan trips(%n) state(%h = %x: f32[B, 2]) stacked([0]) {
    %t = tanh(%h) : f32[B, 2]
    yield %t, %t
  } : f32[B, 2], f32[7, B, 2]
  yield "y" = %y
}
)");
  EXPECT_FALSE(model.complete);
  EXPECT_THAT(model.cells, ElementsAre("cell rnn_cell(h[2]):\n  h = tanh(h)\n"));
}

// One equation a thousand terms deep would be nothing to read, and recursion to nowhere.
TEST(Decompile, LongChainsAreCutIntoEquations) {
  std::string text = R"(graph @chain (%x: f32[T, B, 2], %h0: f32[B, 2]) {
  %hn, %y = scan state(%h = %h0: f32[B, 2]) scanned(%e = %x[0]: f32[B, 2]) stacked([0]) {
    %a0 = add(%e, %h) : f32[B, 2]
)";
  constexpr int kNodes = 20000;
  for (int i = 1; i < kNodes; ++i) {
    text += fmt::format("    %a{} = tanh(%a{}) : f32[B, 2]\n", i, i - 1);
  }
  text += fmt::format("    yield %a{0}, %a{0}\n", kNodes - 1) +
          "  } : f32[B, 2], f32[T, B, 2]\n  yield \"y\" = %y\n}\n";
  const Decompiled model = of_text(text);
  EXPECT_TRUE(model.complete);
  for (size_t begin = 0; begin < model.text.size();) {
    const size_t end = model.text.find('\n', begin);
    ASSERT_LT(end - begin, 1000u);
    begin = end + 1;
  }
}

// Sums of a sum with itself would be a text of 2^40 terms.
TEST(Decompile, WhatIsReadTwiceHasAnEquation) {
  for (const char* type : {"f32", "i64"}) {
    const std::string t = type;
    std::string text = "graph @m (%x: " + t + "[T, B]) {\n  %z = constant " + t +
                       "[1] (0)\n  %a0 = add(%x, %x) : " + t + "[T, B]\n";
    constexpr int kSums = 60;
    for (int i = 1; i < kSums; ++i)
      text += fmt::format("  %a{0} = add(%a{1}, %a{1}) : {2}[T, B]\n", i, i - 1, t);
    text += fmt::format(
        "  %d = dims() {{dims = [B]}} : i64[1]\n  %s = fill(%d) {{value = {1}[1] (0)}} : {1}[B]\n"
        "  %hn, %y = scan state(%h = %s: {1}[B]) scanned(%e = %a{0}[0]: {1}[B]) stacked([0]) {{\n"
        "    %n = add(%h, %e) : {1}[B]\n    yield %n, %n\n  }} : {1}[B], {1}[T, B]\n"
        "  yield \"y\" = %y\n}}\n",
        kSums - 1, t);
    EXPECT_LT(of_text(text).text.size(), 10000u) << type;
  }
}

TEST(Decompile, EveryModelCanBeWritten) {
  size_t models = 0, complete = 0, scans = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(REFRAIN_SOURCE_DIR) + "/tests/models")) {
    if (!std::filesystem::exists(entry.path() / "model.onnx")) continue;
    const std::string name = entry.path().filename().string();
    const Decompiled model = of_model(name);
    ++models;
    complete += model.complete;
    scans += model.cells.size();
    std::set<std::string> names;
    for (const NamedTensor& weight : model.weights)
      EXPECT_TRUE(names.insert(weight.name).second) << name << " " << weight.name;
    EXPECT_THAT(model.text, Not(HasSubstr("()"))) << name;
    EXPECT_THAT(model.text, Not(HasSubstr(" = \n"))) << name;
  }
  EXPECT_GE(models, 100u);
  EXPECT_GE(complete, 97u);
  EXPECT_GE(scans, models);
}

}  // namespace
}  // namespace refrain::decompile
