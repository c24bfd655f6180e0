// Recurrent layers whose files or data are wrong: the errors that they give.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "frontend/onnx/import.h"
#include "support/random.h"
#include "support/recurrent_model.h"
#include "support/recurrent_oracle.h"

namespace refrain {
namespace {

using ::testing::HasSubstr;
using testing::plain_layer;
using testing::Random;
using testing::random_reals;
using testing::RecurrentLayer;
using testing::Spelling;
using Model = testing::RecurrentModel;

// What a file says, and the message that it must give.
struct WrongCase {
  const char* name;
  const char* op;
  std::function<void(RecurrentLayer&)> change_layer;
  std::function<void(Model&)> change_model;
  std::vector<std::string> message;
};

class RecurrentError : public ::testing::TestWithParam<WrongCase> {};

TEST_P(RecurrentError, NamesNodeExpectedAndFound) {
  Random random(14);
  const WrongCase& wrong = GetParam();
  RecurrentLayer layer = plain_layer(wrong.op, random, 4, 2, 3, 5);
  const int64_t g = layer.gates();
  layer.b = random_reals(random, 2 * g * 5);
  layer.h0 = random_reals(random, 10);
  if (layer.op == "LSTM") {
    layer.c0 = random_reals(random, 10);
    layer.p = random_reals(random, 15);
  }
  if (wrong.change_layer) wrong.change_layer(layer);
  Model model = write(layer, {});
  if (wrong.change_model) wrong.change_model(model);
  try {
    model.import();
    FAIL() << "imported";
  } catch (const Error& error) {
    EXPECT_EQ(error.node(), "layer");
    for (const std::string& part : wrong.message) EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

void set_int(Model& model, const std::string& name, int64_t value) {
  model.attribute(name).set_i(value);
}

INSTANTIATE_TEST_SUITE_P(
    Files, RecurrentError,
    ::testing::Values(
        WrongCase{"HiddenSizeOfAnother",
                  "LSTM",
                  {},
                  [](Model& m) { set_int(m, "hidden_size", 6); },
                  {"input W", "expected f64[1, 24, 3]", "found f64[1, 20, 3]"}},
        WrongCase{"HiddenSizeZero",
                  "GRU",
                  {},
                  [](Model& m) { set_int(m, "hidden_size", 0); },
                  {"hidden size out of range", "found 0"}},
        WrongCase{"HiddenSizeNegative",
                  "RNN",
                  {},
                  [](Model& m) { set_int(m, "hidden_size", -5); },
                  {"hidden size out of range", "found -5"}},
        WrongCase{"HiddenSizeAbsurd",
                  "LSTM",
                  {},
                  [](Model& m) { set_int(m, "hidden_size", int64_t{1} << 61); },
                  {"hidden size out of range", "expected 1 to 2147483647"}},
        WrongCase{"WeightsOfTwoDirections",
                  "RNN",
                  {},
                  [](Model& m) { m.set("direction", std::string("bidirectional")); },
                  {"activations", "expected 2", "found 1"}},
        WrongCase{"Direction",
                  "RNN",
                  {},
                  [](Model& m) { m.set("direction", std::string("sideways")); },
                  {"direction", "bidirectional", "sideways"}},
        WrongCase{"Layout",
                  "RNN",
                  {},
                  [](Model& m) { m.set("layout", int64_t{2}); },
                  {"layout", "expected 0 or 1", "found 2"}},
        WrongCase{
            "ClipZero", "GRU", {}, [](Model& m) { m.set("clip", 0.0F); }, {"clip", "more than 0"}},
        WrongCase{"ClipNan", "GRU", {}, [](Model& m) { m.set("clip", NAN); }, {"clip", "nan"}},
        WrongCase{"Activation",
                  "RNN",
                  [](RecurrentLayer& l) { l.activations = {{"Swish"}}; },
                  {},
                  {"unknown activation function", "Swish"}},
        WrongCase{"TooFewActivations",
                  "LSTM",
                  [](RecurrentLayer& l) { l.activations.pop_back(); },
                  {},
                  {"activations", "expected 3", "found 2"}},
        WrongCase{"AlphaMissing",
                  "RNN",
                  [](RecurrentLayer& l) { l.activations = {{"Affine"}}; },
                  [](Model& m) { m.node().mutable_attribute()->RemoveLast(); },
                  {"Affine", "activation_beta"}},
        WrongCase{"AlphaLeftOver",
                  "LSTM",
                  {},
                  [](Model& m) { m.set("activation_alpha", std::vector<float>{0.5F}); },
                  {"activation_alpha has more values", "expected 0", "found 1"}},
        WrongCase{"InputSize",
                  "GRU",
                  [](RecurrentLayer& l) { l.w.resize(15 * 2); },
                  [](Model& m) {
                    auto& w = *m.proto.mutable_graph()->mutable_initializer(0);
                    w.set_dims(2, 2);
                    w.mutable_raw_data()->resize(15 * 2 * 8);
                  },
                  {"input W", "[1, 15, 3]", "[1, 15, 2]"}},
        WrongCase{"RecurrentSize",
                  "GRU",
                  {},
                  [](Model& m) {
                    auto& r = *m.proto.mutable_graph()->mutable_initializer(1);
                    r.set_dims(2, 4);
                    r.mutable_raw_data()->resize(15 * 4 * 8);
                  },
                  {"input R", "[1, 15, 5]", "[1, 15, 4]"}},
        WrongCase{"BiasSize",
                  "RNN",
                  {},
                  [](Model& m) {
                    auto& b = *m.proto.mutable_graph()->mutable_initializer(2);
                    b.set_dims(1, 5);
                    b.mutable_raw_data()->resize(5 * 8);
                  },
                  {"input B", "[1, 10]", "[1, 5]"}},
        WrongCase{"PeepholeRank",
                  "LSTM",
                  {},
                  [](Model& m) {
                    auto& p = *m.proto.mutable_graph()->mutable_initializer(3);
                    p.clear_dims();
                    p.add_dims(15);
                  },
                  {"input P", "[1, 15]", "[15]"}},
        WrongCase{"BatchOfInitialState",
                  "GRU",
                  {},
                  [](Model& m) {
                    m.proto.mutable_graph()
                        ->mutable_input(1)
                        ->mutable_type()
                        ->mutable_tensor_type()
                        ->mutable_shape()
                        ->mutable_dim(1)
                        ->set_dim_value(3);
                  },
                  {"input initial_h", "[1, 2, 5]", "[1, 3, 5]"}},
        WrongCase{"TypeOfLengths",
                  "RNN",
                  {},
                  [](Model& m) { m.node().set_input(4, "X"); },
                  {"input sequence_lens", "i32[2]", "f64[4, 2, 3]"}},
        WrongCase{"WeightsMissing", "RNN", {}, [](Model& m) { m.node().set_input(1, ""); }, {}},
        WrongCase{"TooManyInputs",
                  "RNN",
                  {},
                  [](Model& m) { m.node().add_input("X"); },
                  {"too many inputs", "expected 6", "found 7"}}),
    [](const auto& wrong) { return std::string(wrong.param.name); });

TEST(RecurrentErrorAtImport, HiddenSizeThatNothingTells) {
  Random random(15);
  Spelling spelling;
  spelling.constant_weights = false;
  spelling.shapes = Spelling::Shapes::unknown_extents;
  spelling.hidden_size = false;
  const Model model = write(plain_layer("LSTM", random, 4, 2, 3, 5), spelling);
  EXPECT_THROW(model.import(), Error);
}

// Layout came with opset 14; before that the attribute means nothing that Refrain knows.
TEST(RecurrentErrorAtImport, LayoutBeforeItsOpset) {
  Random random(16);
  RecurrentLayer layer = plain_layer("LSTM", random, 4, 2, 3, 5);
  layer.batch_first = true;
  Spelling spelling;
  spelling.opset = 13;
  EXPECT_THROW(write(layer, spelling).import(), onnx_import::UnsupportedError);
}

// What the file does not say is checked when the graph runs.
TEST(RecurrentErrorAtRun, DataThatDoesNotFit) {
  Random random(17);
  RecurrentLayer layer = plain_layer("LSTM", random, 4, 2, 3, 5);
  layer.b = random_reals(random, 40);
  layer.p = random_reals(random, 15);
  layer.h0 = random_reals(random, 10);
  layer.c0 = random_reals(random, 10);
  layer.lengths = {4, 2};
  for (const auto shapes : {Spelling::Shapes::unknown_extents, Spelling::Shapes::unknown_rank}) {
    Spelling spelling;
    spelling.constant_weights = false;
    spelling.shapes = shapes;
    const Model model = write(layer, spelling);
    const auto graph = model.import(), optimized = model.import_optimized();
    // X, W, R, B, sequence_lens, initial_h, initial_c, P: one of them of another shape each time.
    const std::vector<std::vector<int64_t>> wrong = {{4, 2, 4}, {1, 16, 3}, {1, 20, 4}, {1, 20},
                                                     {3},       {1, 1, 5},  {1, 1, 5},  {2, 15}};
    for (size_t i = 0; i < wrong.size(); ++i) {
      SCOPED_TRACE("input " + std::to_string(i));
      std::vector<RuntimeValue> values;
      for (const Tensor& tensor : model.inputs) values.emplace_back(tensor.clone());
      values[i] = Tensor(values[i].tensor->type(), wrong[i]);
      EXPECT_THROW(reference::run(*graph, values), Error);
      EXPECT_THROW(reference::run(*optimized, values), Error) << "optimized";
    }
  }
}

TEST(RecurrentErrorAtRun, LengthsOutOfRange) {
  Random random(18);
  for (int64_t length : {-1, 5}) {
    RecurrentLayer layer = plain_layer("GRU", random, 4, 2, 3, 5);
    layer.lengths = {4, length};
    const Model model = write(layer, {});
    EXPECT_THROW(model.run(*model.import()), Error);
  }
}

}  // namespace
}  // namespace refrain
