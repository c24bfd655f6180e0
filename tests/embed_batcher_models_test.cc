// Which models a Batcher takes: those whose rows are independent once the setup's values and shapes
// are put in.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "frontend/driver/model.h"
#include "support/cases.h"
#include "support/compare.h"
#include "support/embed_models.h"

namespace refrain {
namespace {

using std::chrono::microseconds;
using testing::close;
using testing::error_of;
using ::testing::HasSubstr;
using testing::load_bytes;
using testing::Random;
using testing::tensor_of;
using testing::view_of;

using Values = std::map<std::string, Tensor>;

Inputs views_of(const Values& values) {
  Inputs views;
  for (const auto& [name, value] : values) views.emplace(name, view_of(value));
  return views;
}

// Streams that run different numbers of steps, some joining late, against sessions of their own.
// steps[s] are the inputs of stream s; `alone` is the setup of the sessions.
void expect_like_sessions(const Model& model, const Setup& setup, int64_t max_batch,
                          const std::vector<std::vector<Values>>& steps, const Setup& alone,
                          double atol = 1e-6) {
  Batcher batcher(
      model,
      {.max_batch = max_batch, .max_delay = microseconds(2000), .threads = 2, .setup = setup});
  std::vector<Batcher::Stream> streams;
  std::vector<std::vector<std::future<Outputs>>> futures(steps.size());
  for (size_t s = 0; s < steps.size(); ++s) {
    streams.push_back(batcher.open());
    // Those before it are one step further.
    for (size_t before = 0; before <= s; ++before) {
      const size_t at = futures[before].size();
      if (at < steps[before].size())
        futures[before].push_back(streams[before].submit(views_of(steps[before][at])));
    }
  }
  for (size_t s = 0; s < steps.size(); ++s) {
    for (size_t at = futures[s].size(); at < steps[s].size(); ++at)
      futures[s].push_back(streams[s].submit(views_of(steps[s][at])));
  }
  for (size_t s = 0; s < steps.size(); ++s) {
    Session session(model);
    session.prepare_step(alone);
    for (size_t at = 0; at < steps[s].size(); ++at) {
      const Outputs outputs = futures[s][at].get();
      for (const auto& [name, expected] : session.step(views_of(steps[s][at]))) {
        EXPECT_TRUE(close(tensor_of(outputs.at(name)), tensor_of(expected), 1e-5, atol))
            << name << ", step " << at << " of stream " << s;
      }
    }
    for (const StateInfo& state : session.states()) {
      EXPECT_TRUE(close(tensor_of(streams[s].read_state(state.name)),
                        tensor_of(session.read_state(state.name)), 1e-5, atol))
          << state.name << " of stream " << s;
    }
  }
  batcher.drain();
  EXPECT_LT(batcher.statistics().batches, batcher.statistics().steps);
}

// Random inputs of so many streams.
std::vector<std::vector<Values>> random_steps(size_t streams, const std::vector<std::string>& names,
                                              const std::vector<int64_t>& extents) {
  Random random(7);
  std::vector<std::vector<Values>> steps(streams);
  for (size_t s = 0; s < streams; ++s) {
    for (size_t at = 0; at < 3 + s % 4; ++at) {
      Values& values = steps[s].emplace_back();
      for (const std::string& name : names)
        values.emplace(name, random.tensor(ElementType::f32, extents));
    }
  }
  return steps;
}

// One of two ways mixes the rows.
constexpr const char* kTwoWays = R"(graph @g (%x: f32[B, 3], %s: f32[B, 3], %mode: i64[]) {
  %one = constant i64[] (1)
  %c = equal(%mode, %one) : bool[]
  %d = branch(%c) then(%a = %x: f32[B, 3]) {
    %t = tanh(%a) : f32[B, 3]
    yield %t
  } else(%b = %x: f32[B, 3]) {
    %axes = constant i64[1] (0)
    %m = reduce_mean(%b, %axes) {keep_dims = true} : f32[1, 3]
    %r = add(%b, %m) : f32[B, 3]
    yield %r
  } : f32[B, 3]
  %half = constant f32[] (0.5)
  %kept = mul(%s, %half) : f32[B, 3]
  %n = add(%kept, %d) : f32[B, 3]
  yield "y" = %d, "next" = %n
}
)";

TEST(EmbedBatcherModels, ValuesOfTheSetupDecideWhetherRowsAreMixed) {
  const Model model = load_bytes(kTwoWays, {.states = {{"s", "next"}}});
  const int64_t apart = 1, mixed = 2;
  const refrain::Setup setup{.values = {{"mode", ConstView({}, &apart)}}};
  expect_like_sessions(model, setup, 5, random_steps(7, {"x"}, {1, 3}), setup);
  EXPECT_THAT(error_of([&] {
                Batcher(model, {.setup = {.values = {{"mode", ConstView({}, &mixed)}}}});
              }),
              HasSubstr("can't run as a batch"));
  EXPECT_THAT(error_of([&] { Batcher batcher(model); }), HasSubstr("can't run as a batch"));
}

// The same by the length of a chunk, which is a symbol beside that of the batch.
constexpr const char* kLongOrShort = R"(graph @g (%x: f32[B, N], %s: f32[B, 1]) {
  %shape = shape(%x) : i64[2]
  %last = constant i64[] (1)
  %length = gather(%shape, %last) : i64[]
  %four = constant i64[] (4)
  %c = less(%length, %four) : bool[]
  %axes = constant i64[1] (1)
  %d = branch(%c) then(%a = %x: f32[B, N], %k = %axes: i64[1]) {
    %t = reduce_sum(%a, %k) {keep_dims = true} : f32[B, 1]
    yield %t
  } else(%b = %x: f32[B, N], %j = %axes: i64[1]) {
    %rows = constant i64[1] (0)
    %m = reduce_mean(%b, %rows) {keep_dims = true} : f32[1, N]
    %q = add(%b, %m) : f32[B, N]
    %r = reduce_sum(%q, %j) {keep_dims = true} : f32[B, 1]
    yield %r
  } : f32[B, 1]
  %n = add(%s, %d) : f32[B, 1]
  yield "y" = %d, "next" = %n
}
)";

TEST(EmbedBatcherModels, ShapesOfTheSetupDecideWhetherRowsAreMixed) {
  const Model model = load_bytes(kLongOrShort, {.states = {{"s", "next"}}});
  EXPECT_EQ(model.streaming().batch, "");
  const auto steps = random_steps(7, {"x"}, {1, 3});
  const refrain::Setup alone{.shapes = {{"x", {1, 3}}}};
  expect_like_sessions(model, alone, 4, steps, alone);
  expect_like_sessions(model, {.shapes = {{"x", {1, 3}}, {"s", {1, 1}}}}, 6, steps, alone);
  expect_like_sessions(model, {.symbols = {{"N", 3}}}, 3, steps, alone);
  expect_like_sessions(model, {.symbols = {{"N", 3}, {"B", 1}}}, 3, steps, alone);
  EXPECT_THAT(error_of([&] {
                Batcher(model, {.setup = {.shapes = {{"x", {1, 4}}}}});
              }),
              HasSubstr("with the extents of the setup"));
  EXPECT_THAT(error_of([&] {
                Batcher(model, {.setup = {.shapes = {{"x", {2, 3}}}}});
              }),
              HasSubstr("of one stream"));
  EXPECT_THAT(error_of([&] {
                Batcher(model, {.setup = {.symbols = {{"M", 3}, {"N", 3}}}});
              }),
              HasSubstr("no dimension of an input is called \"M\""));
}

// A value that has rows is that of every stream.
TEST(EmbedBatcherModels, ValuesOfTheSetupMayHaveARow) {
  const Model model = load_bytes(R"(graph @g (%x: f32[B, 3], %who: f32[B, 2], %s: f32[B, 5]) {
  %both = concat(%x, %who) {axis = 1} : f32[B, 5]
  %n = add(%s, %both) : f32[B, 5]
  %y = tanh(%n) : f32[B, 5]
  yield "y" = %y, "next" = %n
}
)",
                                 {.states = {{"s", "next"}}});
  const std::vector<float> who = {0.25f, -0.5f, 1, 2};
  const refrain::Setup setup{.values = {{"who", ConstView({1, 2}, who.data())}}};
  expect_like_sessions(model, setup, 5, random_steps(7, {"x"}, {1, 3}), setup);
  EXPECT_THAT(error_of([&] {
                Batcher(model, {.setup = {.values = {{"who", ConstView({2, 2}, who.data())}}}});
              }),
              HasSubstr("wrong batch of one stream"));
}

// Its rows have no name, and are two.
TEST(EmbedBatcherModels, RowsThatWereTracedAsTwoAreStreams) {
  const Model model = load_bytes(R"(graph @g (%x: f32[2, 3], %s: f32[4, 2, 3]) {
  %n = add(%s, %x) : f32[4, 2, 3]
  %y = tanh(%n) : f32[4, 2, 3]
  yield "y" = %y, "next" = %n
}
)",
                                 {.states = {{"s", "next"}}});
  Batcher batcher(model, {.max_batch = 4});
  EXPECT_EQ(batcher.inputs()[0].text, "f32[1, 3]");
  EXPECT_EQ(batcher.states()[0].text, "f32[4, 1, 3]");
  const refrain::Setup setup{.symbols = {{model.streaming().batch, 1}}};
  expect_like_sessions(model, {}, 4, random_steps(5, {"x"}, {1, 3}), setup);
}

// Silero's VAD at different places of real speech.
TEST(EmbedBatcherModels, SileroStepsThroughSpeech) {
  const std::string folder =
      std::string(REFRAIN_SOURCE_DIR) + "/../shared/cases/silero_vad_16k_op15";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no such case here";
  const Model model = Model::load(folder + "/model.onnx");
  const auto graph = load_model(folder + "/model.onnx").graph;
  std::vector<Tensor> chunks;
  for (;;) {
    const auto values = testing::sequence_step(folder, *graph, chunks.size());
    if (values.empty()) break;
    chunks.push_back(values.at("input").clone());
  }
  ASSERT_GT(chunks.size(), 20u);
  std::vector<std::vector<Values>> steps(11);
  for (size_t s = 0; s < steps.size(); ++s) {
    for (size_t at = 0; at < 4 + s % 3; ++at)
      steps[s].emplace_back().emplace("input", chunks[(3 * s + at) % chunks.size()].clone());
  }
  const int64_t rate = 16000;
  const refrain::Setup setup{.shapes = {{"input", Extents(std::span(chunks[0].extents()))}},
                             .values = {{"sr", ConstView({}, &rate)}}};
  // A spectrogram's sums of 256 terms, which batches take in another order.
  expect_like_sessions(model, setup, 6, steps, setup, 1e-5);
}

}  // namespace
}  // namespace refrain
