// oneDNN's recurrent primitives in prepared graphs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/prepared.h"

namespace refrain {
namespace {

using testing::check;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Random;
using testing::with_constants;

std::string steps_of(const std::string& text, const PrepareOptions& options) {
  Random random(1);
  const auto graph = parse(with_constants(text, random));
  return PreparedGraph(*graph, options).describe();
}

// Compares every choice with the reference backend; returns the steps with oneDNN forced.
std::string forced(const std::string& text) {
  check(text);
  return steps_of(text, {.kernels = KernelChoice::onednn});
}

struct Layer {
  int64_t steps = 5, rows = 3, input = 4, hidden = 6;
  int gates = 1;
  bool cell_state = false, zero_states = false;
  bool hidden_bias = false;
  std::string read = "0", write = "0";  // the scan's slots
  std::string head, outputs = R"("y" = %y, "h" = %hT)";
  // Reads %xt [B, gates * H], %h, %c, %bh; defines %hn, %cn.
  std::string body;
  std::string yield;  // empty: %hn, (%cn,) %hn
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// The product with x, and its bias, before the loop, as passes leave it. In a body, `S` stands for
// the type of a state, `G` for that of all gates.
std::string graph_of(const Layer& layer) {
  const std::string b = std::to_string(layer.rows), h = std::to_string(layer.hidden),
                    t = std::to_string(layer.steps), i = std::to_string(layer.input),
                    gh = std::to_string(layer.gates * layer.hidden);
  const std::string s = "f32[" + b + ", " + h + "]", g = "f32[" + b + ", " + gh + "]";
  const std::string y = "f32[" + t + ", " + b + ", " + h + "]";
  const std::string all = "f32[" + t + ", " + b + ", " + gh + "]";
  std::string text = "graph @g (%x: f32[" + t + ", " + b + ", " + i + "]";
  if (!layer.zero_states) text += ", %h0: S" + std::string(layer.cell_state ? ", %c0: S" : "");
  text += ", %n: i64[" + b + "]) {\n";
  if (layer.zero_states) {
    text += "  %h0 = constant S splat(0)\n";
    if (layer.cell_state) text += "  %c0 = constant S splat(0)\n";
  }
  text += "  %w = $f32[" + i + ", " + gh + "]\n  %b = $f32[" + gh +
          "]\n  %px = matmul(%x, %w) : " + all + "\n  %pb = add(%px, %b) : " + all + "\n  %hT, " +
          (layer.cell_state ? "%cT, " : "") + "%y = scan " + layer.head + " state(%h = %h0: S" +
          (layer.cell_state ? ", %c = %c0: S" : "") + ") scanned(%xt = %pb[" + layer.read +
          "]: G) stacked([" + layer.write + "]) {\n" + layer.body + "\n    yield " +
          (!layer.yield.empty() ? layer.yield
           : layer.cell_state   ? "%hn, %cn, %hn"
                                : "%hn, %hn") +
          "\n  } : S, " + (layer.cell_state ? "S, " : "") + y + "\n  yield " + layer.outputs +
          "\n}";
  text = replaced(replaced(text, "S", s), "G", g);
  return replaced(replaced(text, "f32[GH]", "f32[" + gh + "]"), "#", h);
}

Layer lstm() {
  Layer layer;
  layer.gates = 4;
  layer.cell_state = true;
  layer.outputs = R"("y" = %y, "h" = %hT, "c" = %cT)";
  layer.body = R"(
    %r = $f32[#, ##]
    %ph = matmul(%h, %r) : G
    %p = add(%ph, %xt) : G
    %i, %o, %f, %g = split(%p) {axis = 1} : S, S, S, S
    %si = sigmoid(%i) : S
    %so = sigmoid(%o) : S
    %sf = sigmoid(%f) : S
    %tg = tanh(%g) : S
    %fc = mul(%sf, %c) : S
    %ig = mul(%si, %tg) : S
    %cn = add(%fc, %ig) : S
    %tc = tanh(%cn) : S
    %hn = mul(%so, %tc) : S)";
  return layer;
}

Layer gru(bool reset_after, bool blend = false) {
  Layer layer;
  layer.gates = 3;
  layer.body = reset_after ? R"(
    %r = $f32[#, ##]
    %bh = $f32[#]
    %ph = matmul(%h, %r) : G
    %pz, %pr, %pn = split(%ph) {axis = 1} : S, S, S
    %xz, %xr, %xn = split(%xt) {axis = 1} : S, S, S
    %az = add(%pz, %xz) : S
    %ar = add(%pr, %xr) : S
    %z = sigmoid(%az) : S
    %sr = sigmoid(%ar) : S
    %bn = add(%pn, %bh) : S
    %rn = mul(%sr, %bn) : S
    %an = add(%rn, %xn) : S
    %n1 = tanh(%an) : S)"
                           : R"(
    %r = $f32[#, @2]
    %rn = $f32[#, #]
    %ph = matmul(%h, %r) : D
    %pz, %pr = split(%ph) {axis = 1} : S, S
    %xz, %xr, %xn = split(%xt) {axis = 1} : S, S, S
    %az = add(%pz, %xz) : S
    %ar = add(%pr, %xr) : S
    %z = sigmoid(%az) : S
    %sr = sigmoid(%ar) : S
    %rh = mul(%sr, %h) : S
    %pn = matmul(%rh, %rn) : S
    %an = add(%pn, %xn) : S
    %n1 = tanh(%an) : S)";
  layer.body += blend ? R"(
    %d = sub(%h, %n1) : S
    %zd = mul(%z, %d) : S
    %hn = add(%n1, %zd) : S)"
                      : R"(
    %one = constant f32[] (1)
    %iz = sub(%one, %z) : S
    %u = mul(%iz, %n1) : S
    %v = mul(%z, %h) : S
    %hn = add(%u, %v) : S)";
  return layer;
}

Layer rnn(const std::string& activation) {
  Layer layer;
  layer.body = "\n    %r = $f32[#, #]\n    %ph = matmul(%h, %r) : S\n    %p = add(%ph, %xt) : S\n" +
               ("    %hn = " + activation) + "(%p) : S";
  return layer;
}

std::string text_of(Layer layer) {
  const std::string two = std::to_string(2 * layer.hidden),
                    all = std::to_string(layer.gates * layer.hidden);
  layer.body = replaced(replaced(layer.body, "##", all), "@2", two);
  layer.body =
      replaced(layer.body, ": D", ": f32[" + std::to_string(layer.rows) + ", " + two + "]");
  return graph_of(layer);
}

TEST(ExecutableOnednn, RunsEveryCellThatItHas) {
  EXPECT_THAT(forced(text_of(lstm())), HasSubstr("onednn lstm, 5 steps, 3 rows: 4 -> 6 units"));
  for (const bool blend : {false, true}) {
    EXPECT_THAT(forced(text_of(gru(false, blend))), HasSubstr("onednn gru, 5 steps"));
    EXPECT_THAT(forced(text_of(gru(true, blend))), HasSubstr("onednn gru, reset after, 5 steps"));
  }
  EXPECT_THAT(forced(text_of(rnn("tanh"))), HasSubstr("onednn rnn, tanh, 5 steps"));
  EXPECT_THAT(forced(text_of(rnn("relu"))), HasSubstr("onednn rnn, relu, 5 steps"));
}

TEST(ExecutableOnednn, TakesTheProductWithXAlong) {
  EXPECT_THAT(forced(text_of(lstm())), HasSubstr("\n1 steps"));
}

TEST(ExecutableOnednn, RunsBackward) {
  for (Layer layer : {lstm(), gru(false), gru(true), rnn("tanh")}) {
    layer.read = layer.write = "0 reverse";
    EXPECT_THAT(forced(text_of(layer)), HasSubstr("rows, backward"));
    layer.write = "0";
    EXPECT_THAT(forced(text_of(layer)), Not(HasSubstr("onednn lstm")));
    EXPECT_THAT(forced(text_of(layer)), HasSubstr("highway loop"));
  }
}

TEST(ExecutableOnednn, StatesMayBeConstantsAndStepsUnread) {
  for (Layer layer : {lstm(), gru(false), gru(true), rnn("relu")}) {
    layer.zero_states = true;
    EXPECT_THAT(forced(text_of(layer)), HasSubstr("onednn "));
    layer.outputs = R"("h" = %hT)";
    const std::string steps = forced(text_of(layer));
    EXPECT_THAT(steps, HasSubstr("onednn "));
    EXPECT_THAT(steps, Not(HasSubstr("highway")));
  }
}

TEST(ExecutableOnednn, ProductWithXInTheLoop) {
  Layer layer = rnn("tanh");
  layer.input = layer.hidden;  // %x has the extents of %pb
  layer.body = replaced(layer.body, "%p = add(%ph, %xt) : S",
                        "%w2 = $f32[#, #]\n    %b2 = $f32[#]\n    %q = matmul(%xt, %w2) : S\n"
                        "    %p0 = add(%ph, %q) : S\n    %p = add(%p0, %b2) : S");
  const std::string text = replaced(text_of(layer), "%xt = %pb", "%xt = %x");
  EXPECT_THAT(forced(text), HasSubstr("onednn rnn, tanh, 5 steps, 3 rows: 6 -> 6 units"));
}

TEST(ExecutableOnednn, OtherCellsAreOurs) {
  const auto other = [](const Layer& layer, const std::string& from, const std::string& to) {
    Layer changed = layer;
    changed.body = replaced(layer.body, from, to);
    EXPECT_NE(changed.body, layer.body);
    const std::string steps = forced(text_of(changed));
    EXPECT_THAT(steps, HasSubstr("highway loop, 5 steps")) << changed.body;
    // What feeds it is a product by itself, and so oneDNN's.
    EXPECT_THAT(steps, HasSubstr("onednn")) << changed.body;
    EXPECT_THAT(steps, Not(HasSubstr("units\n"))) << changed.body;
  };
  other(lstm(), "%tg = tanh", "%tg = sigmoid");
  other(lstm(), "%tc = tanh", "%tc = relu");
  other(lstm(), "%so = sigmoid(%o)",  // a peephole
        "%k = $f32[#]\n    %pk = mul(%c, %k) : S\n    %ok = add(%o, %pk) : S\n"
        "    %so = sigmoid(%ok)");
  other(lstm(), "%sf = sigmoid(%f) : S",  // coupled gates
        "%one = constant f32[] (1)\n    %sf = sub(%one, %si) : S");
  other(gru(true), "%an = add(%rn, %xn)", "%an = add(%rn, %rn)");
  other(gru(true), "mul(%iz, %n1)", "mul(%z, %n1)");
  other(gru(false), "%n1 = tanh", "%n1 = relu");
  other(gru(false), "matmul(%rh, %rn)", "matmul(%h, %rn)");
  other(rnn("tanh"), "= tanh", "= sigmoid");
}

TEST(ExecutableOnednn, LengthsAndOtherOutputsAreOurs) {
  Layer layer = lstm();
  layer.head = "lengths(%n) batch_axis(0)";
  EXPECT_THAT(forced(text_of(layer)), HasSubstr("highway loop"));
  layer = lstm();
  layer.yield = "%hn, %cn, %cn";
  EXPECT_THAT(forced(text_of(layer)), HasSubstr("highway loop"));
  layer.yield = "%cn, %hn, %hn";
  EXPECT_THAT(forced(text_of(layer)), HasSubstr("highway loop"));
}

TEST(ExecutableOnednn, OneStepIsOurs) {
  Layer layer = lstm();
  layer.steps = 1;
  EXPECT_THAT(forced(text_of(layer)), HasSubstr("highway"));
}

TEST(ExecutableOnednn, AutomaticChoiceSaysWhatItMeasured) {
  Layer layer = rnn("tanh");
  layer.rows = 8;
  layer.hidden = 64;
  layer.steps = 4;
  const std::string text = text_of(layer);
  Random random(1);
  const auto graph = parse(with_constants(text, random));
  PreparedGraph prepared(*graph, {});
  EXPECT_THAT(prepared.describe(), HasSubstr("steps took our loop"));
  const std::vector<Tensor> inputs = testing::random_inputs(*graph, random);
  std::vector<RuntimeValue> values;
  for (const Tensor& input : inputs) values.emplace_back(input.clone());
  const std::vector<RuntimeValue> expected = reference::run(*graph, values);
  const std::vector<Tensor> actual = testing::run(prepared, inputs);
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_TRUE(testing::close(actual[i], *expected[i].tensor, 1e-4, 2e-6)) << prepared.describe();
  }
  EXPECT_THAT(steps_of(text, {.kernels = KernelChoice::highway}), Not(HasSubstr("took")));
  EXPECT_THAT(steps_of(text, {.threads = 2}), HasSubstr("highway loop"));
  EXPECT_THAT(steps_of(text, {.threads = 2}), Not(HasSubstr("took")));
  layer.rows = 7;
  EXPECT_THAT(steps_of(text_of(layer), {}), Not(HasSubstr("took")));
  layer.rows = 8;
  layer.hidden = 63;
  EXPECT_THAT(steps_of(text_of(layer), {}), Not(HasSubstr("took")));
}

}  // namespace
}  // namespace refrain
