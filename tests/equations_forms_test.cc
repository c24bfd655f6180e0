// Cells written as equations end as the executables that ONNX's operators end as: the same steps,
// the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <sstream>

#include "frontend/driver/executable.h"
#include "frontend/driver/model.h"
#include "support/compare.h"
#include "support/equations.h"
#include "support/recurrent_model.h"

namespace refrain {
namespace {

using testing::load_equations;
using testing::named;
using testing::NamedTensors;
using testing::plain_layer;
using testing::Random;
using testing::random_reals;
using testing::RecurrentLayer;
using testing::tensor_of;

// What the steps do, in any order, without places and without copies (the operator's result has an
// axis of directions more).
std::string steps_of(const PreparedGraph& prepared) {
  std::istringstream lines(prepared.describe());
  std::vector<std::string> steps;
  for (std::string line, places; std::getline(lines, line) && std::getline(lines, places);) {
    const std::string step = line.substr(line.find_first_not_of(" 0123456789"));
    if (!step.starts_with("copy ")) steps.push_back(step + "\n");
  }
  std::sort(steps.begin(), steps.end());
  return std::accumulate(steps.begin(), steps.end(), std::string());
}

struct Ran {
  std::string steps;
  Tensor y;
};

Ran optimize_and_run(std::unique_ptr<Graph> graph, const Tensor& x) {
  optimize(*graph);
  std::vector<RuntimeValue> inputs;
  inputs.emplace_back(x.clone());
  ExecutableOptions options;
  options.backend = Backend::highway;  // the same every time
  const Preparation preparation = prepare(*graph, inputs, options);
  EXPECT_TRUE(preparation.program) << preparation.why;
  Ran result{steps_of(*preparation.program->steps()), Tensor(ElementType::f32, {})};
  const Executable executable(std::move(graph), options);
  result.y = executable.run(inputs)[0].tensor->clone();
  return result;
}

// Rows of ONNX's W, R or B, gates in another order: `order[k]` is where the k-th gate stands.
Tensor reordered(const std::vector<double>& rows, size_t offset, int64_t hidden, int64_t columns,
                 const std::vector<size_t>& order) {
  std::vector<double> values;
  const auto size = static_cast<size_t>(hidden * columns);
  for (const size_t gate : order) {
    const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(offset + gate * size);
    values.insert(values.end(), begin, begin + static_cast<std::ptrdiff_t>(size));
  }
  std::vector<int64_t> extents = {hidden * static_cast<int64_t>(order.size())};
  if (columns > 1) extents.push_back(columns);
  return tensor_of(ElementType::f32, extents, values);
}

constexpr int64_t kSteps = 9, kBatch = 3, kInput = 7, kHidden = 16;

RecurrentLayer random_layer(const std::string& op, bool reset_after) {
  Random random(5);
  RecurrentLayer layer = plain_layer(op, random, kSteps, kBatch, kInput, kHidden);
  layer.linear_before_reset = reset_after;
  layer.b = random_reals(random, 2 * layer.gates() * kHidden);
  return layer;
}

// The layer's weights under PyTorch's names.
NamedTensors torch_weights(const RecurrentLayer& layer, const std::string& prefix) {
  const std::vector<size_t> order = layer.op == "LSTM"  ? std::vector<size_t>{0, 2, 3, 1}
                                    : layer.op == "GRU" ? std::vector<size_t>{1, 0, 2}
                                                        : std::vector<size_t>{0};
  const auto half = static_cast<size_t>(layer.gates() * kHidden);
  NamedTensors tensors;
  tensors.push_back(named(prefix + "weight_ih_l0", reordered(layer.w, 0, kHidden, kInput, order)));
  tensors.push_back(named(prefix + "weight_hh_l0", reordered(layer.r, 0, kHidden, kHidden, order)));
  tensors.push_back(named(prefix + "bias_ih_l0", reordered(layer.b, 0, kHidden, 1, order)));
  tensors.push_back(named(prefix + "bias_hh_l0", reordered(layer.b, half, kHidden, 1, order)));
  return tensors;
}

const char* const kHead = "weights \"w.safetensors\"\ninput x: f32[T, N, 7]\n";

void expect_same_as_operator(const RecurrentLayer& layer, const std::string& equations,
                             const NamedTensors& weights) {
  testing::Spelling spelling;
  spelling.element = ElementType::f32;
  spelling.shapes = testing::Spelling::Shapes::symbols;
  spelling.want_h = spelling.want_c = false;
  const testing::RecurrentModel model = write(layer, spelling);
  const Ran expected = optimize_and_run(model.import(), model.inputs[0]);
  const Ran actual = optimize_and_run(load_equations(kHead + equations, weights), model.inputs[0]);
  EXPECT_EQ(actual.steps, expected.steps);
  const Tensor y = expected.y.clone().reshaped(actual.y.extents());
  EXPECT_TRUE(identical(actual.y, y)) << testing::close(actual.y, y, 0, 0).message();
}

TEST(EquationsForms, Lstm) {
  const RecurrentLayer layer = random_layer("LSTM", false);
  expect_same_as_operator(layer, "output y = scan lstm(16) over x", torch_weights(layer, "lstm."));
}

TEST(EquationsForms, Rnn) {
  const RecurrentLayer layer = random_layer("RNN", false);
  expect_same_as_operator(layer, "output y = scan rnn over x", torch_weights(layer, "rnn."));
}

TEST(EquationsForms, GruThatResetsAfterTheProduct) {
  const RecurrentLayer layer = random_layer("GRU", true);
  expect_same_as_operator(layer, "output y = scan gru(16) over x", torch_weights(layer, "gru."));
}

TEST(EquationsForms, GruThatResetsBeforeTheProduct) {
  const RecurrentLayer layer = random_layer("GRU", false);
  const std::string cell = R"(
cell net(x, h[16]):
  param (U_r, U_z, U) = "weight_ih_l0"
  param (V_r, V_z, V) = "weight_hh_l0"
  param (a_r, a_z, a) = "bias_ih_l0"
  param (b_r, b_z, b) = "bias_hh_l0"
  r  = sigmoid(U_r·x + V_r·h + a_r + b_r)
  z  = sigmoid(U_z·x + V_z·h + a_z + b_z)
  h~ = tanh(U·x + V·(r*h) + a + b)
  h  = (1 - z)*h~ + z*h
output y = scan net over x
)";
  expect_same_as_operator(layer, cell, torch_weights(layer, "net."));
}

// One matrix by [h, x], as lectures write it, and two matrices.
TEST(EquationsForms, MatricesSideBySide) {
  Random random(3);
  const std::vector<double> w = random_reals(random, kHidden * kInput),
                            u = random_reals(random, kHidden * kHidden);
  std::vector<double> both;
  for (int64_t row = 0; row < kHidden; ++row) {
    both.insert(both.end(), u.begin() + row * kHidden, u.begin() + (row + 1) * kHidden);
    both.insert(both.end(), w.begin() + row * kInput, w.begin() + (row + 1) * kInput);
  }
  const auto matrix = [](const std::vector<double>& values, int64_t columns) {
    return tensor_of(ElementType::f32, {kHidden, columns}, values);
  };
  const Tensor b = random.tensor(ElementType::f32, {kHidden});
  const Tensor x = random.tensor(ElementType::f32, {kSteps, kBatch, kInput});
  NamedTensors apart, together;
  apart.push_back(named("net.W", matrix(w, kInput)));
  apart.push_back(named("net.U", matrix(u, kHidden)));
  apart.push_back(named("net.b", b.clone()));
  together.push_back(named("net.W", matrix(both, kHidden + kInput)));
  together.push_back(named("net.b", b.clone()));
  const std::string head = std::string(kHead) + "cell net(x, h[16]):\n  h = tanh(";
  const std::string tail = ")\noutput y = scan net over x\n";
  const Ran one = optimize_and_run(load_equations(head + "W·x + U·h + b" + tail, apart), x);
  const Ran two = optimize_and_run(load_equations(head + "W·[h, x] + b" + tail, together), x);
  EXPECT_EQ(one.steps, two.steps);
  EXPECT_TRUE(identical(one.y, two.y)) << testing::close(one.y, two.y, 0, 0).message();
}

}  // namespace
}  // namespace refrain
