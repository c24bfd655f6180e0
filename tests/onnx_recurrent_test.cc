// RNN, LSTM and GRU from ONNX against scalar loops, over all attributes.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "ir/control.h"
#include "support/compare.h"
#include "support/random.h"
#include "support/recurrent_model.h"
#include "support/recurrent_oracle.h"

namespace refrain {
namespace {

using testing::plain_layer;
using testing::Random;
using testing::random_reals;
using testing::RecurrentLayer;
using testing::Spelling;
using testing::tensor_of;
using Model = testing::RecurrentModel;

RecurrentLayer random_layer(const std::string& op, Random& random) {
  const auto coin = [&] { return random.integer(0, 1) == 1; };
  const auto size = [&] {
    return std::vector<int64_t>{1, 2, 3, 5, 7}[static_cast<size_t>(random.integer(0, 4))];
  };
  RecurrentLayer layer =
      plain_layer(op, random, size(), size(), size(), size(), random.integer(1, 2));
  const int64_t D = layer.directions(), g = layer.gates(), N = layer.batch, H = layer.hidden;
  if (D == 1 && coin()) layer.reverse = {true};
  layer.batch_first = coin();
  if (coin()) {
    const std::vector<std::string> all = {
        "Relu",        "Tanh", "Sigmoid",  "Affine",  "LeakyRelu", "ScaledTanh", "ThresholdedRelu",
        "HardSigmoid", "Elu",  "Softsign", "Softplus"};
    for (auto& function : layer.activations) {
      function = {all[static_cast<size_t>(random.integer(0, 10))], random_reals(random, 1, 0.9)[0],
                  random_reals(random, 1, 0.9)[0]};
    }
  }
  if (coin()) layer.clip = static_cast<float>(random.uniform(0.05, 1));
  layer.input_forget = op == "LSTM" && coin();
  layer.linear_before_reset = op == "GRU" && coin();
  if (coin()) layer.b = random_reals(random, D * 2 * g * H);
  if (op == "LSTM" && coin()) layer.p = random_reals(random, D * 3 * H);
  if (coin()) layer.h0 = random_reals(random, D * N * H);
  if (op == "LSTM" && coin()) layer.c0 = random_reals(random, D * N * H);
  if (coin()) {
    for (int64_t n = 0; n < N; ++n) layer.lengths.push_back(random.integer(0, layer.steps));
  }
  return layer;
}

void expect_same(const RecurrentLayer& layer, const Spelling& spelling) {
  const Model model = write(layer, spelling);
  const testing::RecurrentResult expected = testing::evaluate(layer);
  const int64_t T = layer.steps, N = layer.batch, H = layer.hidden, D = layer.directions();
  const bool bf = layer.batch_first;
  const auto state = bf ? std::vector{N, D, H} : std::vector{D, N, H};
  std::vector<Tensor> outputs;
  const auto want = [&](bool wanted, const std::vector<double>& values,
                        std::vector<int64_t> extents) {
    if (wanted) outputs.push_back(tensor_of(spelling.element, std::move(extents), values));
  };
  want(spelling.want_y, expected.y, bf ? std::vector{N, T, D, H} : std::vector{T, D, N, H});
  want(spelling.want_h, expected.h, state);
  want(layer.op == "LSTM" && spelling.want_c, expected.c, state);

  const double tolerance = spelling.element == ElementType::f64 ? 1e-12 : 2e-5;
  for (const bool optimized : {false, true}) {
    SCOPED_TRACE(optimized ? "optimized" : "as imported");
    const auto graph = optimized ? model.import_optimized() : model.import();
    const std::vector<RuntimeValue> found = model.run(*graph);
    ASSERT_EQ(found.size(), outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      EXPECT_TRUE(testing::close(*found[i].tensor, outputs[i], tolerance, tolerance))
          << "output " << graph->output_names()[i];
    }
  }
}

class Recurrent : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Ops, Recurrent, ::testing::Values("RNN", "LSTM", "GRU"),
                         [](const auto& op) { return std::string(op.param); });

TEST_P(Recurrent, AgreesWithScalarLoopsOverAllAttributes) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const RecurrentLayer layer = random_layer(GetParam(), random);
    Spelling spelling;
    spelling.opset = std::vector{layer.batch_first ? 14 : 7, 14, 22}[seed % 3];
    spelling.constant_weights = random.integer(0, 1) == 1;
    spelling.shapes = static_cast<Spelling::Shapes>(random.integer(0, 3));
    // Where the file does not say the hidden size, R's shape must.
    const bool r_known = spelling.constant_weights || spelling.shapes <= Spelling::Shapes::symbols;
    spelling.hidden_size = !r_known || random.integer(0, 1) == 1;
    spelling.want_y = random.integer(0, 2) > 0;
    spelling.want_c = random.integer(0, 2) > 0;
    spelling.want_h = !spelling.want_y || random.integer(0, 2) > 0;
    expect_same(layer, spelling);
    if (HasFailure()) return;
  }
}

TEST_P(Recurrent, RunsInSinglePrecision) {
  Random random(5);
  RecurrentLayer layer = plain_layer(GetParam(), random, 7, 3, 5, 4, 2);
  Spelling spelling;
  spelling.element = ElementType::f32;
  expect_same(layer, spelling);
}

TEST_P(Recurrent, RunsAnEmptyBatchAndNoSteps) {
  Random random(6);
  expect_same(plain_layer(GetParam(), random, 3, 0, 2, 3), {});
  expect_same(plain_layer(GetParam(), random, 0, 2, 2, 3), {});
}

TEST_P(Recurrent, OneModelRunsAnyTimeAndBatch) {
  Random random(7);
  RecurrentLayer layer = plain_layer(GetParam(), random, 3, 2, 5, 4, 2);
  Spelling spelling;
  spelling.shapes = Spelling::Shapes::symbols;
  const auto graph = write(layer, spelling).import();
  for (const auto& [T, N] : {std::pair<int64_t, int64_t>{3, 2}, {1, 1}, {6, 5}}) {
    layer.steps = T;
    layer.batch = N;
    layer.x = random_reals(random, T * N * layer.inputs);
    const auto found = write(layer, spelling).run(*graph);
    EXPECT_TRUE(testing::close(
        *found[0].tensor, tensor_of(ElementType::f64, {T, 2, N, 4}, testing::evaluate(layer).y),
        1e-12, 1e-12));
  }
}

TEST_P(Recurrent, DefaultActivationsAreThoseOfTheSpecification) {
  Random random(8);
  for (int64_t D : {1, 2}) {
    const RecurrentLayer layer = plain_layer(GetParam(), random, 3, 2, 2, 3, D);
    Model model = write(layer, {});
    model.node().mutable_attribute()->RemoveLast();  // activations
    EXPECT_TRUE(testing::close(
        *model.run(*model.import())[0].tensor,
        tensor_of(ElementType::f64, {3, D, 2, 3}, testing::evaluate(layer).y), 1e-12, 1e-12));
  }
}

TEST(RecurrentActivations, NamesAreCaseInsensitiveAndParametersHaveDefaults) {
  Random random(9);
  RecurrentLayer layer = plain_layer("LSTM", random, 4, 2, 3, 3, 2);
  layer.activations = {
      {"HardSigmoid", 0.2, 0.5}, {"LeakyRelu", 0.01}, {"Elu", 1}, {"Sigmoid"}, {"Softplus"},
      {"ThresholdedRelu", 1}};
  Model model = write(layer, {});
  auto& attributes = *model.node().mutable_attribute();
  while (attributes.rbegin()->name() != "hidden_size" &&
         attributes.rbegin()->name() != "direction") {
    attributes.RemoveLast();
  }
  model.set("activations", std::vector<std::string>{"HARDSIGMOID", "leakyrelu", "elu", "sigmoid",
                                                    "SoftPlus", "thresholdedRELU"});
  EXPECT_TRUE(testing::close(*model.run(*model.import())[0].tensor,
                             tensor_of(ElementType::f64, {4, 2, 2, 3}, testing::evaluate(layer).y),
                             1e-6, 1e-6));
}

TEST(RecurrentActivations, ParametersGoInOrderToTheFunctionsThatTakeThem) {
  Random random(10);
  RecurrentLayer layer = plain_layer("LSTM", random, 4, 2, 3, 3);
  layer.activations = {{"Sigmoid"}, {"ScaledTanh", 0.5, 0.25}, {"HardSigmoid", 0.125, 0.5}};
  Model model = write(layer, {});
  auto& attributes = *model.node().mutable_attribute();
  attributes.RemoveLast();
  attributes.RemoveLast();
  // The second alpha is HardSigmoid's; its beta, for which no value is left, is the default.
  model.set("activation_alpha", std::vector<float>{0.5F, 0.125F});
  model.set("activation_beta", std::vector<float>{0.25F});
  EXPECT_TRUE(testing::close(*model.run(*model.import())[0].tensor,
                             tensor_of(ElementType::f64, {4, 1, 2, 3}, testing::evaluate(layer).y),
                             1e-12, 1e-12));
}

TEST(RecurrentActivations, RnnMayWriteOutBothDefaults) {
  Random random(11);
  const RecurrentLayer layer = plain_layer("RNN", random, 3, 2, 2, 3);
  Model model = write(layer, {});
  model.node().mutable_attribute()->RemoveLast();
  model.set("activations", std::vector<std::string>{"Tanh", "Tanh"});
  EXPECT_TRUE(testing::close(*model.run(*model.import())[0].tensor,
                             tensor_of(ElementType::f64, {3, 1, 2, 3}, testing::evaluate(layer).y),
                             1e-12, 1e-12));
}

std::map<Op, int> count_ops(const Region& region) {
  std::map<Op, int> result;
  for (const Node* node = region.first(); node; node = node->next()) ++result[node->op()];
  return result;
}

// The body holds what belongs to one step and no more.
TEST(RecurrentForm, BodyOfAnLstmIsTheTextbooks) {
  Random random(12);
  RecurrentLayer layer = plain_layer("LSTM", random, 4, 2, 3, 5);
  layer.b = random_reals(random, 40);
  Spelling spelling;
  spelling.shapes = Spelling::Shapes::symbols;
  const auto graph = write(layer, spelling).import();
  auto outside = count_ops(graph->body());
  EXPECT_EQ(outside[Op::scan], 1);
  EXPECT_EQ(outside[Op::matmul], 0);
  for (const Node* node = graph->body().first(); node; node = node->next()) {
    if (node->op() != Op::scan) continue;
    auto body = count_ops(node->region());
    body.erase(Op::constant);  // sizes of the split
    EXPECT_EQ(body, (std::map<Op, int>{{Op::matmul, 2},
                                       {Op::add, 3},
                                       {Op::split, 1},
                                       {Op::sigmoid, 3},
                                       {Op::tanh, 2},
                                       {Op::mul, 3},
                                       {Op::yield, 1}}));
    const ScanView view(*node);
    EXPECT_EQ(to_string(view.final_state(0)->type()), "f64[N, 5]");
    EXPECT_EQ(to_string(view.stacked_result(0)->type()), "f64[T, N, 5]");
  }
}

TEST(RecurrentForm, OutputsThatNobodyWantsAreNotStacked) {
  Random random(13);
  Spelling spelling;
  spelling.want_y = false;
  const auto graph = write(plain_layer("GRU", random, 4, 2, 3, 5, 2), spelling).import();
  int scans = 0;
  for (const Node* node = graph->body().first(); node; node = node->next()) {
    if (node->op() != Op::scan) continue;
    ++scans;
    EXPECT_EQ(ScanView(*node).stacked(), 0U);
  }
  EXPECT_EQ(scans, 2);
}

}  // namespace
}  // namespace refrain
