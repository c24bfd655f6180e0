// What `refrain bench` times against computes what the model says; what has no exact rival is
// recognised as such.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "frontend/driver/onednn_layer.h"
#include "frontend/driver/onnxruntime.h"
#include "frontend/driver/timing.h"
#include "ir/text.h"
#include "support/compare.h"
#include "support/process.h"
#include "support/recurrent_model.h"

namespace refrain {
namespace {

using testing::close;
using ::testing::HasSubstr;
using testing::Random;
using testing::RecurrentLayer;
using testing::RecurrentModel;
using testing::Spelling;

struct Found {
  std::unique_ptr<OnednnLayer> layer;
  std::string why;
};

std::vector<RuntimeValue> inputs_of(const RecurrentModel& model) {
  std::vector<RuntimeValue> inputs;
  for (const Tensor& input : model.inputs) inputs.emplace_back(input.clone());
  return inputs;
}

Found find(const RecurrentModel& model) {
  Found found;
  found.layer = OnednnLayer::find(model.import(), inputs_of(model), 1, {}, &found.why);
  return found;
}

// The layer's Y is what the reference backend gives for the same model.
void expect_rival(const RecurrentLayer& layer, const Spelling& spelling) {
  const RecurrentModel model = write(layer, spelling);
  const Found found = find(model);
  ASSERT_TRUE(found.layer) << found.why;
  const std::vector<RuntimeValue> expected = model.run(*model.import());
  for (int run = 0; run < 2; ++run) {
    found.layer->run();
    const Tensor y = found.layer->y().clone().reshaped({layer.steps, 1, layer.batch, layer.hidden});
    EXPECT_TRUE(close(y, *expected[0].tensor, 1e-4, 2e-5));
  }
}

RecurrentLayer plain(const std::string& op, Random& random) {
  return testing::plain_layer(op, random, 6, 3, 5, 8);
}

TEST(OnednnLayer, FindsEveryCellThatOnednnHas) {
  Random random(1);
  for (const Spelling::Shapes shapes : {Spelling::Shapes::constant, Spelling::Shapes::symbols}) {
    for (const std::string op : {"RNN", "LSTM", "GRU"}) {
      for (int variant = 0; variant < 8; ++variant) {
        SCOPED_TRACE(op + " variant " + std::to_string(variant));
        RecurrentLayer layer = plain(op, random);
        if (variant & 1) layer.b = testing::random_reals(random, 2 * layer.gates() * layer.hidden);
        if (variant & 2) {
          layer.h0 = testing::random_reals(random, layer.batch * layer.hidden);
          if (op == "LSTM") layer.c0 = testing::random_reals(random, layer.batch * layer.hidden);
        }
        layer.reverse = {(variant & 4) != 0};
        Spelling spelling;
        spelling.element = ElementType::f32;
        spelling.shapes = shapes;
        expect_rival(layer, spelling);
        if (op == "GRU") {
          layer.linear_before_reset = true;
          expect_rival(layer, spelling);
        }
        if (op == "RNN") {
          layer.activations = {{"Relu"}};
          expect_rival(layer, spelling);
        }
      }
    }
  }
}

TEST(OnednnLayer, SaysWhatHasNone) {
  Random random(2);
  Spelling spelling;
  spelling.element = ElementType::f32;
  const auto why = [&](const std::string& op, const auto& change) {
    RecurrentLayer layer = plain(op, random);
    change(layer);
    return find(write(layer, spelling)).why;
  };
  const std::string other_cell = "a cell, activation or attribute that oneDNN lacks";
  EXPECT_THAT(why("LSTM", [](RecurrentLayer& layer) { layer.clip = 1; }), HasSubstr(other_cell));
  EXPECT_THAT(why("LSTM", [](RecurrentLayer& layer) { layer.input_forget = true; }),
              HasSubstr(other_cell));
  EXPECT_THAT(why("LSTM",
                  [&](RecurrentLayer& layer) {
                    layer.p = testing::random_reals(random, 3 * layer.hidden);
                  }),
              HasSubstr(other_cell));
  EXPECT_THAT(why("GRU",
                  [](RecurrentLayer& layer) {
                    layer.activations = {{"Sigmoid"}, {"Softsign"}};
                  }),
              HasSubstr(other_cell));
  EXPECT_THAT(why("LSTM",
                  [](RecurrentLayer& layer) {
                    layer.activations = {{"Tanh"}, {"Sigmoid"}, {"Tanh"}};
                  }),
              HasSubstr(other_cell));
  EXPECT_THAT(why("RNN",
                  [](RecurrentLayer& layer) {
                    layer.lengths = {6, 2, 3};
                  }),
              HasSubstr("different lengths"));
  EXPECT_THAT(why("RNN",
                  [&](RecurrentLayer& layer) {
                    layer = testing::plain_layer("RNN", random, 6, 3, 5, 8, 2);
                    layer.reverse = {false, true};
                  }),
              HasSubstr("more than one layer or direction"));
  EXPECT_THAT(find(write(plain("GRU", random), Spelling())).why, HasSubstr("only float32"));
  const auto text_why = [](const std::string& text) {
    std::string reason;
    const RuntimeValue x(Random(1).tensor(ElementType::f32, {2, 2}));
    EXPECT_FALSE(OnednnLayer::find(parse(text), {&x, 1}, 1, {}, &reason));
    return reason;
  };
  EXPECT_THAT(text_why("graph @g (%x: f32[2, 2]) {\n  yield \"x\" = %x\n}\n"),
              HasSubstr("no recurrent layer"));
  EXPECT_THAT(
      text_why("graph @g (%x: f32[2, 2]) {\n"
               "  %z = tanh(%x) : f32[2, 2]\n"
               "  %k = constant f32[2] (0, 0)\n"
               "  %f, %y = scan state(%s = %k: f32[2]) scanned(%e = %z[0]: f32[2]) stacked([0]) {\n"
               "    %n = add(%s, %e) : f32[2]\n"
               "    yield %n, %n\n"
               "  } : f32[2], f32[2, 2]\n"
               "  yield \"y\" = %y\n}\n"),
      HasSubstr("op tanh beside the layer"));
}

TEST(OnnxRuntime, SaysWhatIsWrongWithThePath) {
  const Graph graph;
  const auto error = [&](const std::string& library) -> std::string {
    try {
      OnnxRuntimeSession session(library, "model.onnx", graph, {}, 1);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error("/no/such/library.so"), HasSubstr("can't load ONNX Runtime"));
  EXPECT_THAT(error("libm.so.6"), HasSubstr("has no OrtGetApiBase"));
}

// Runs where the environment names the library.
TEST(OnnxRuntime, GivesWhatTheReferenceGives) {
  if (!std::getenv("REFRAIN_ONNXRUNTIME")) GTEST_SKIP() << "REFRAIN_ONNXRUNTIME is not set";
  Random random(3);
  testing::TemporaryFolder folder;
  for (const std::string op : {"RNN", "LSTM", "GRU"}) {
    SCOPED_TRACE(op);
    Spelling spelling;
    spelling.element = ElementType::f32;
    const RecurrentModel model = write(plain(op, random), spelling);
    const std::string path = folder / (op + ".onnx");
    ASSERT_TRUE(std::ofstream(path, std::ios::binary) << model.proto.SerializeAsString());
    const std::unique_ptr<Graph> graph = model.import();
    const std::vector<RuntimeValue> inputs = inputs_of(model);
    OnnxRuntimeSession session("", path, *graph, inputs, 1);
    const std::vector<RuntimeValue> expected = model.run(*graph);
    for (int run = 0; run < 2; ++run) {
      session.run();
      const Tensor& y = *expected[0].tensor;
      EXPECT_TRUE(
          close(session.output(graph->output_names()[0], y.type(), y.extents()), y, 1e-4, 2e-5));
      EXPECT_THROW(session.output("nobody", y.type(), y.extents()), Error);
      EXPECT_THROW(session.output(graph->output_names()[0], y.type(), {1}), Error);
    }
    std::ofstream(path, std::ios::binary) << "no model";
    EXPECT_THROW(OnnxRuntimeSession("", path, *graph, inputs, 1), Error);
  }
}

TEST(Timing, TakesTurnsAndCountsEveryProgram) {
  std::vector<int> order;
  const auto sleeper = [&](int id, int us) {
    return [&order, id, us] {
      if (order.empty() || order.back() != id) order.push_back(id);
      std::this_thread::sleep_for(std::chrono::microseconds(us));
    };
  };
  const std::function<void()> programs[] = {sleeper(0, 100), sleeper(1, 1000), sleeper(2, 60'000)};
  const std::vector<Timing> timings = time_in_turns(programs, 0.1);
  ASSERT_EQ(timings.size(), 3u);
  EXPECT_GE(timings[0].min_us, 100);
  EXPECT_GE(timings[1].min_us, 1000);
  EXPECT_GE(timings[2].min_us, 60'000);
  for (const Timing& timing : timings) {
    EXPECT_GE(timing.median_us, timing.min_us);
    EXPECT_GE(timing.runs, 3u);
  }
  // Several rounds, not one program after the other.
  EXPECT_GT(std::count(order.begin(), order.end(), 0), 5);
  EXPECT_GT(std::count(order.begin(), order.end(), 1), 5);
}

}  // namespace
}  // namespace refrain
