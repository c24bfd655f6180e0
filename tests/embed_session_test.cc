// Session: sequences and steps against the reference backend, states, forks, buffers, and every
// misuse with its message.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <optional>
#include <set>

#include "frontend/driver/model.h"
#include "frontend/embed/model_impl.h"
#include "support/cases.h"
#include "support/compare.h"
#include "support/embed_models.h"

namespace refrain {
namespace {

using testing::close;
using testing::error_of;
using ::testing::HasSubstr;
using testing::load;
using testing::load_bytes;
using testing::lstm_model;
using testing::Random;
using testing::reference_run;
using testing::step_of;
using testing::tensor_of;
using testing::view_of;

constexpr double kRtol = 1e-5, kAtol = 1e-6;

// A sequence through an LSTM, and what it should give.
struct Sequence {
  Tensor x, h0, c0;
  std::map<std::string, Tensor> expected;

  Sequence(const testing::RecurrentModel& model, int64_t T, int64_t B, int64_t I, int64_t H,
           bool zero_states = false, int64_t D = 1)
      : x(Random(7).tensor(ElementType::f32, {T, B, I})),
        h0(ElementType::f32, {D, B, H}),
        c0(ElementType::f32, {D, B, H}) {
    Random random(8);
    if (!zero_states) {
      h0 = random.tensor(ElementType::f32, {D, B, H});
      c0 = random.tensor(ElementType::f32, {D, B, H});
    }
    std::vector<const Tensor*> inputs = {&x};
    if (model.inputs.size() == 3) inputs = {&x, &h0, &c0};
    expected = reference_run(model, inputs);
  }
};

void fill(const View& to, const Tensor& from) {
  ASSERT_EQ(std::vector<int64_t>(to.extents().begin(), to.extents().end()), from.extents());
  std::memcpy(to.raw(), from.raw(), static_cast<size_t>(from.bytes()));
}

void expect_close(const ConstView& actual, const Tensor& expected) {
  EXPECT_TRUE(close(tensor_of(actual), expected, kRtol, kAtol));
}

TEST(EmbedSession, RunsWholeSequences) {
  const auto onnx = lstm_model(3, 5);
  const Sequence sequence(onnx, 7, 2, 3, 5);
  Session session(load(onnx));
  session.prepare({.symbols = {{"T", 7}, {"B", 2}}});
  EXPECT_TRUE(session.real_time()) << session.real_time().why;
  EXPECT_EQ(session.inputs()[0].text, "f32[7, 2, 3]");
  EXPECT_TRUE(session.states().empty());
  fill(session.input("x"), sequence.x);
  fill(session.input("h0"), sequence.h0);
  fill(session.input("c0"), sequence.c0);
  for (int repeat = 0; repeat < 2; ++repeat) {
    session.run();
    for (const char* name : {"y", "hn", "cn"}) {
      expect_close(session.output(name), sequence.expected.at(name));
    }
  }
  EXPECT_THAT(session.describe(), HasSubstr("loop"));
}

TEST(EmbedSession, RunsOnCopiesOfAnyShape) {
  const auto onnx = lstm_model(3, 5);
  Session session(load(onnx));
  for (const auto& [T, B] : {std::pair{4, 1}, {4, 1}, {2, 3}}) {
    const Sequence sequence(onnx, T, B, 3, 5);
    const Outputs outputs = session.run(
        {{"x", view_of(sequence.x)}, {"h0", view_of(sequence.h0)}, {"c0", view_of(sequence.c0)}});
    EXPECT_EQ(outputs.size(), 3u);
    expect_close(outputs.at("y"), sequence.expected.at("y"));
  }
}

class EmbedSteps : public ::testing::TestWithParam<std::tuple<bool, int64_t, int64_t>> {};

// Steps and blocks of steps give what the whole sequence gives.
TEST_P(EmbedSteps, EqualTheSequence) {
  const auto [given_states, block, B] = GetParam();
  constexpr int64_t T = 6, I = 3, H = 5;
  const auto onnx = lstm_model(I, H, given_states);
  const Sequence sequence(onnx, T, B, I, H);
  Session session(load(onnx));
  session.prepare_step({.symbols = {{"B", B}}, .block = block});
  EXPECT_TRUE(session.real_time()) << session.real_time().why;
  ASSERT_EQ(session.states().size(), 2u);
  ASSERT_EQ(session.inputs().size(), 1u);
  for (int repeat = 0; repeat < 2; ++repeat) {
    if (given_states) {
      session.write_state("h0", view_of(sequence.h0));
      session.write_state("c0", view_of(sequence.c0));
    }
    for (int64_t t = 0; t < T; t += block) {
      fill(session.input("x"), step_of(sequence.x, t, block));
      session.step();
      expect_close(session.output("y"), step_of(sequence.expected.at("y"), t, block));
    }
    expect_close(session.output("hn"), sequence.expected.at("hn"));
    const char* const finals[] = {"hn", "cn"};
    for (size_t i = 0; i < 2; ++i) {
      const StateInfo& state = session.states()[i];
      EXPECT_EQ(state.output, finals[i]);  // hidden ones too are the outputs that they end as
      const View value = session.state(state.name);
      EXPECT_EQ(value.extents().rank(), 3u);
      expect_close(View({1, B, H}, value.data<float>().data()), sequence.expected.at(finals[i]));
    }
    session.reset();
    for (const float h : session.state(session.states()[0].name).data<float>()) EXPECT_EQ(h, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Blocks, EmbedSteps,
                         ::testing::Combine(::testing::Bool(), ::testing::Values(1, 2, 3),
                                            ::testing::Values(1, 4)));

TEST(EmbedSession, BoundMemoryIsUsedInPlace) {
  const auto onnx = lstm_model(3, 5);
  const Sequence sequence(onnx, 6, 1, 3, 5, true);
  Session session(load(onnx));
  session.prepare_step();
  std::vector<float> x(3), y(5);
  session.bind_input("x", {{1, 1, 3}, x.data()});
  session.bind_output("y", {{1, 1, 1, 5}, y.data()});
  EXPECT_EQ(session.output("y").raw(), y.data());
  EXPECT_THAT(error_of([&] { session.input("x"); }), HasSubstr("bound to the caller's memory"));
  for (int64_t t = 0; t < 6; ++t) {
    std::memcpy(x.data(), step_of(sequence.x, t).raw(), 12);
    session.step();
    expect_close(ConstView({1, 1, 1, 5}, y.data()), step_of(sequence.expected.at("y"), t));
  }
  // And back.
  session.bind_input("x", {});
  session.bind_output("y", {});
  session.reset();
  fill(session.input("x"), step_of(sequence.x, 0));
  const float last = y[0];
  session.step();
  EXPECT_EQ(y[0], last);
  expect_close(session.output("y"), step_of(sequence.expected.at("y"), 0));
}

TEST(EmbedSession, ForksGoTheirOwnWay) {
  const auto onnx = lstm_model(3, 5);
  const Sequence sequence(onnx, 6, 1, 3, 5, true);
  Session session(load(onnx));
  session.prepare_step();
  for (int64_t t = 0; t < 3; ++t) session.step({{"x", view_of(step_of(sequence.x, t))}});
  Session fork = session.fork();
  for (int i = 0; i < 5; ++i) session.step();  // elsewhere
  for (int64_t t = 3; t < 6; ++t) fork.step({{"x", view_of(step_of(sequence.x, t))}});
  expect_close(fork.output("y"), step_of(sequence.expected.at("y"), 5));
  expect_close(fork.read_state("c0"), sequence.expected.at("cn"));
  EXPECT_NE(std::memcmp(session.state("h0").raw(), fork.state("h0").raw(), 20), 0);
}

TEST(EmbedSession, SessionsShareTheirWeights) {
  const Model model = load(lstm_model(16, 32));
  Session first(model);
  first.prepare_step();
  const int64_t packed = model.impl()->weights->statistics().packed_bytes;
  EXPECT_GT(packed, 0);
  const Session fork = first.fork();
  Session second(model);
  second.prepare_step();
  EXPECT_EQ(model.impl()->weights->statistics().packed_bytes, packed);
}

TEST(EmbedSession, NonCausalModelsRefuseStepsAndRunInBlocks) {
  const auto onnx = lstm_model(3, 5, false, "bidirectional");
  Session session(load(onnx));
  EXPECT_THAT(error_of([&] { session.prepare_step(); }), HasSubstr("can't be stepped: "));
  // With all of the future ahead it is the sequence.
  constexpr int64_t T = 6;
  const Sequence sequence(onnx, T, 1, 3, 5, true, 2);
  session.prepare_step({.block = 2, .look_ahead = 4});
  EXPECT_EQ(session.inputs()[0].text, "f32[6, 1, 3]");
  fill(session.input("x"), sequence.x);
  session.step();
  expect_close(session.output("y"), step_of(sequence.expected.at("y"), 0, 2));
}

// The forward direction carries its half of the state, the backward one starts each window with the
// half that it was given.
TEST(EmbedSession, BidirectionalLayersWithGivenStatesRunInBlocks) {
  constexpr int64_t T = 6, kUnits = 5;
  const auto onnx = lstm_model(3, kUnits, true, "bidirectional");
  Random random(4);
  const Tensor x = random.tensor(ElementType::f32, {T, 1, 3});
  const Tensor h0 = random.tensor(ElementType::f32, {2, 1, kUnits});
  const Tensor c0 = random.tensor(ElementType::f32, {2, 1, kUnits});
  auto whole = testing::reference_run(onnx, {&x, &h0, &c0});
  Session session(load(onnx));
  session.prepare_step({.block = 2, .look_ahead = 4});
  ASSERT_EQ(session.inputs().size(), 1u);
  ASSERT_EQ(session.states().size(), 2u);
  session.write_state("h0", view_of(h0));
  session.write_state("c0", view_of(c0));
  fill(session.input("x"), x);
  session.step();
  expect_close(session.output("y"), step_of(whole.at("y"), 0, 2));
  const Tensor next = tensor_of(session.read_state("h0"));
  const auto y = session.output("y").data<float>();  // [2, 2, 1, kUnits]
  for (size_t u = 0; u < kUnits; ++u) {
    EXPECT_EQ(next.data<float>()[u], y[2 * kUnits + u]);
    EXPECT_EQ(next.data<float>()[kUnits + u], h0.data<float>()[kUnits + u]);
  }
  // The steps from the third on, with zeros behind the sequence: their first two know all of it
  // that the window shows.
  Tensor window(ElementType::f32, {T, 1, 3});
  std::memcpy(window.raw(), x.data<float>().data() + 6, 12 * sizeof(float));
  const Tensor c = tensor_of(session.read_state("c0"));
  const auto shown = testing::reference_run(onnx, {&window, &next, &c});
  fill(session.input("x"), window);
  session.step();
  expect_close(session.output("y"), step_of(shown.at("y"), 0, 2));
}

TEST(EmbedSession, FixedValuesAreNoInputs) {
  // A branch that an input decides.
  const Model model = load_bytes(R"(graph @g (%x: f32[2], %rate: i64[]) {
  %k = constant i64[] (16000)
  %c = equal(%rate, %k) : bool[]
  %y = branch(%c) then(%a = %x: f32[2]) {
    %s = add(%a, %a) : f32[2]
    yield %s
  } else(%b = %x: f32[2]) {
    %n = neg(%b) : f32[2]
    yield %n
  } : f32[2]
  yield "y" = %y
}
)");
  Session session(model);
  const int64_t rate = 16000;
  session.prepare({.values = {{"rate", ConstView({}, &rate)}}});
  EXPECT_TRUE(session.real_time()) << session.real_time().why;
  ASSERT_EQ(session.inputs().size(), 1u);
  session.input("x").data<float>()[1] = 3;
  session.run();
  EXPECT_EQ(session.output("y").data<float>()[1], 6);
  EXPECT_THAT(error_of([&] { session.input("rate"); }),
              HasSubstr("the session has no input \"rate\": expected \"x\""));
  // Without it, the session runs all the same, but not in real time.
  session.prepare();
  EXPECT_FALSE(session.real_time());
  EXPECT_THAT(session.real_time().why, HasSubstr("\"rate\" decides"));
  session.input("x").data<float>()[1] = 3;
  session.input("rate").data<int64_t>()[0] = 8000;
  session.run();
  EXPECT_EQ(session.output("y").data<float>()[1], -3);
  session.input("rate").data<int64_t>()[0] = 16000;
  session.run();
  EXPECT_EQ(session.output("y").data<float>()[1], 6);
}

TEST(EmbedSession, EveryBackendGivesTheSame) {
  const auto onnx = lstm_model(3, 5);
  const Sequence sequence(onnx, 6, 1, 3, 5, true);
  for (const Kernels kernels : {Kernels::automatic, Kernels::onednn, Kernels::reference}) {
    Session session(load(onnx, {.kernels = kernels}));
    session.prepare_step();
    if (kernels != Kernels::automatic) {
      EXPECT_FALSE(session.real_time());
      EXPECT_FALSE(session.real_time().why.empty());
    }
    for (int64_t t = 0; t < 6; ++t) session.step({{"x", view_of(step_of(sequence.x, t))}});
    expect_close(session.output("y"), step_of(sequence.expected.at("y"), 5));
  }
}

// Misuse: each is refused with a message that helps, before anything is written.
class EmbedMisuse : public ::testing::Test {
 protected:
  EmbedMisuse() : session_(load(lstm_model(3, 5))) { session_.prepare_step(); }
  std::string bind(const ConstView& view) {
    return error_of([&] { session_.bind_input("x", view); });
  }
  Session session_;
  alignas(64) float memory_[64] = {};
};

TEST_F(EmbedMisuse, OutOfTurn) {
  EXPECT_THAT(error_of([&] { session_.run(); }), HasSubstr("run() of a session that is prepared"));
  session_.prepare({.symbols = {{"T", 2}, {"B", 1}}});
  EXPECT_THAT(error_of([&] { session_.step(); }),
              HasSubstr("step() of a session that is prepared"));
  Session fresh(load(lstm_model(3, 5)));
  for (const auto& use : std::vector<std::function<void()>>{
           [&] { fresh.run(); }, [&] { fresh.step(); }, [&] { fresh.input("x"); },
           [&] { fresh.output("y"); }, [&] { fresh.state("h0"); }, [&] { fresh.reset(); },
           [&] { fresh.fork(); }, [&] { fresh.describe(); }, [&] { fresh.real_time(); },
           [&] { fresh.inputs(); }, [&] { fresh.bind_input("x", {}); }, [&] { fresh.step({}); }}) {
    EXPECT_THAT(error_of(use), HasSubstr("not prepared"));
  }
  const Session taken = std::move(fresh);
  EXPECT_THAT(error_of([&] { fresh.step(); }), HasSubstr("moved from"));
  EXPECT_THAT(error_of([&] { fresh.prepare(); }), HasSubstr("moved from"));
}

TEST_F(EmbedMisuse, Names) {
  EXPECT_THAT(error_of([&] { session_.input("X"); }),
              HasSubstr("the session has no input \"X\": expected \"x\""));
  EXPECT_THAT(error_of([&] { session_.output("z"); }),
              HasSubstr("no output \"z\": expected one of \"y\", \"hn\", \"cn\""));
  EXPECT_THAT(error_of([&] { session_.state("s"); }),
              HasSubstr("no state \"s\": expected one of \"h0\", \"c0\""));
  EXPECT_THAT(error_of([&] { session_.bind_output("hn", {}); }), HasSubstr("is a state"));
  EXPECT_THAT(error_of([&] {
                session_.prepare({.symbols = {{"Q", 1}}});
              }),
              HasSubstr("no dimension of an input is called \"Q\": expected one of \"B\", \"T\""));
  EXPECT_THAT(error_of([&] {
                session_.prepare({.shapes = {{"q", {1}}}});
              }),
              HasSubstr("the model has no input \"q\""));
}

TEST_F(EmbedMisuse, Views) {
  EXPECT_THAT(bind({{1, 1, 4}, memory_}),
              HasSubstr("wrong type or shape of input \"x\": expected f32[1, 1, 3], found "
                        "f32[1, 1, 4]"));
  EXPECT_THAT(bind({DataType::f64, {1, 1, 3}, memory_}), HasSubstr("found f64[1, 1, 3]"));
  EXPECT_THAT(bind({DataType::f32, {1, 1, 3}, nullptr}), HasSubstr("null"));
  EXPECT_THAT(bind({DataType::f32, {1, 1, 3}, reinterpret_cast<char*>(memory_) + 1}),
              HasSubstr("not aligned"));
  session_.bind_output("y", {{1, 1, 1, 5}, memory_});
  EXPECT_THAT(bind({{1, 1, 3}, memory_ + 4}),
              HasSubstr("the memory for input \"x\" overlaps that of output \"y\""));
  EXPECT_THAT(bind({{1, 1, 3}, session_.state("h0").data<float>().data()}),
              HasSubstr("overlaps that of state \"h0\""));
  EXPECT_EQ(bind({{1, 1, 3}, memory_ + 5}), "");
  EXPECT_THAT(error_of([&] {
                session_.bind_output("y", {{1, 1, 1, 5}, memory_ + 7});
              }),
              HasSubstr("overlaps that of input \"x\""));
}

TEST_F(EmbedMisuse, Setups) {
  const auto prepare = [&](const refrain::Setup& setup) {
    return error_of([&] { session_.prepare(setup); });
  };
  const auto prepare_step = [&](const refrain::Setup& setup) {
    return error_of([&] { session_.prepare_step(setup); });
  };
  EXPECT_THAT(prepare({}), HasSubstr("the shape of input \"x\" is not known"));
  EXPECT_THAT(prepare({.symbols = {{"T", -1}}}), HasSubstr("wrong extent of T"));
  EXPECT_THAT(prepare({.shapes = {{"x", {2, 1, 4}}}}), HasSubstr("x"));
  EXPECT_THAT(prepare({.shapes = {{"x", {2, 1, 3}}, {"h0", {1, 2, 5}}}}), HasSubstr("B"));
  EXPECT_THAT(prepare({.symbols = {{"T", 2}, {"B", 1}}, .block = 2}), HasSubstr("prepare_step()"));
  EXPECT_THAT(prepare_step({.block = 0}), HasSubstr("wrong number of steps in a block"));
  EXPECT_THAT(prepare_step({.look_ahead = -1}), HasSubstr("wrong look-ahead"));
  EXPECT_THAT(prepare_step({.symbols = {{"T", 3}}}), HasSubstr("two extents for T"));
  EXPECT_THAT(prepare({.symbols = {{"T", int64_t{1} << 40}, {"B", int64_t{1} << 40}}}),
              HasSubstr("x"));
  EXPECT_THAT(prepare({.symbols = {{"T", int64_t{1} << 30}, {"B", 1}}}),
              HasSubstr("the inputs take more memory than the model may"));
  // What was prepared before is still whole.
  EXPECT_EQ(error_of([&] { session_.step(); }), "");
}

TEST_F(EmbedMisuse, CopiedInputs) {
  const ConstView x({1, 1, 3}, memory_);
  EXPECT_THAT(error_of([&] { session_.step({}); }), HasSubstr("no value for input \"x\""));
  EXPECT_THAT(error_of([&] {
                session_.step({{"x", x}, {"h0", x}});
              }),
              HasSubstr("no input \"h0\""));
  EXPECT_THAT(error_of([&] { session_.step({{"x", {{3}, memory_}}}); }), HasSubstr("found f32[3]"));
  EXPECT_THAT(error_of([&] { session_.write_state("h0", x); }),
              HasSubstr("wrong type or shape of state \"h0\""));
  EXPECT_THAT(error_of([&] { Session(load(lstm_model(3, 5)), {.threads = 0}); }),
              HasSubstr("wrong number of threads"));
}

class EmbedCases : public ::testing::TestWithParam<std::string> {};

// Every test model gives what its case expects, whether it is prepared as a whole or not.
TEST_P(EmbedCases, RunThroughTheApi) {
  const auto graph = load_model(GetParam() + "/model.onnx").graph;
  const std::vector<RuntimeValue> values = testing::case_inputs(GetParam(), *graph);
  Inputs inputs;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i].tensor) GTEST_SKIP() << "an input that is no tensor";
    inputs.emplace(graph->input(i)->name(), view_of(*values[i].tensor));
  }
  Session session(Model::load(GetParam() + "/model.onnx"));
  for (int repeat = 0; repeat < 2; ++repeat) {
    const Outputs outputs = session.run(inputs);
    for (size_t i = 0; i < graph->output_count(); ++i) {
      const RuntimeValue expected = testing::case_output(GetParam(), *graph, i);
      EXPECT_TRUE(
          close(tensor_of(outputs.at(graph->output_names()[i])), *expected.tensor, 1e-4, 1e-5))
          << graph->output_names()[i] << "\n"
          << session.describe();
    }
  }
}

// Steps of those that can be stepped give what the whole sequence gives.
TEST_P(EmbedCases, StepsAreTheSequence) {
  const Model model = Model::load(GetParam() + "/model.onnx");
  const Streaming& streaming = model.streaming();
  if (!streaming.supported) GTEST_SKIP() << streaming.why;
  if (streaming.time.empty()) GTEST_SKIP() << "one run is one step";
  constexpr int64_t kSteps = 5;
  Random random(3);
  std::vector<Tensor> kept;
  Inputs inputs;
  refrain::Setup setup;
  for (const TensorInfo& info : model.inputs()) {
    std::vector<int64_t> extents;
    for (const Dimension& d : info.dimensions) {
      extents.push_back(d.extent >= 0 ? d.extent : d.symbol == streaming.time ? kSteps : 2);
      if (d.extent < 0 && !d.symbol.empty() && d.symbol != streaming.time)
        setup.symbols[d.symbol] = 2;
      if (d.extent < 0 && d.symbol.empty()) GTEST_SKIP() << "an extent without a name";
    }
    kept.push_back(random.tensor(static_cast<ElementType>(info.type), extents, 0, 1));
    inputs.emplace(info.name, view_of(kept.back()));
  }
  Session whole(model), steps(model);
  try {
    steps.prepare_step(setup);
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();
  }
  const Outputs expected = whole.run(inputs);
  for (const StateInfo& state : steps.states()) {
    if (!state.input.empty()) steps.write_state(state.name, inputs.at(state.input));
  }
  // Along the axis where a step has one element and the sequence has more.
  int64_t count = 1;
  const auto part_of = [&](const Tensor& all, const TensorInfo& step, int64_t t) {
    for (size_t axis = 0; axis < step.dimensions.size(); ++axis) {
      const int64_t extent = all.extents()[axis];
      if (step.dimensions[axis].extent == extent) continue;
      EXPECT_EQ(step.dimensions[axis].extent, 1);
      count = extent;
      return std::optional(testing::slice_of(all, axis, t));
    }
    return std::optional<Tensor>();
  };
  std::set<int64_t> counts;
  for (const TensorInfo& info : steps.inputs()) {
    if (part_of(tensor_of(inputs.at(info.name)), info, 0)) counts.insert(count);
  }
  if (counts.size() > 1) GTEST_SKIP() << "sequences of different lengths";
  for (int64_t t = 0; t < count; ++t) {
    std::vector<Tensor> slices;
    Inputs step;
    for (const TensorInfo& info : steps.inputs()) {
      Tensor all = tensor_of(inputs.at(info.name));
      std::optional<Tensor> part = part_of(all, info, t);
      slices.push_back(part ? std::move(*part) : std::move(all));
      step.emplace(info.name, view_of(slices.back()));
    }
    const Outputs outputs = steps.step(step);
    for (const TensorInfo& info : steps.outputs()) {
      const Tensor all = tensor_of(expected.at(info.name));
      const std::optional<Tensor> part = part_of(all, info, t);
      // What has no steps is there after the last.
      if (!part && t + 1 < count) continue;
      EXPECT_TRUE(close(tensor_of(outputs.at(info.name)), part ? *part : all, 1e-4, 1e-5))
          << info.name << " after step " << t << "\n"
          << steps.describe();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, EmbedCases, ::testing::ValuesIn(testing::case_folders()),
                         testing::case_test_name);

// Silero's VAD, whose states are named by the caller, over real speech.
TEST(EmbedSession, SileroStepsThroughSpeech) {
  const std::string folder =
      std::string(REFRAIN_SOURCE_DIR) + "/../shared/cases/silero_vad_16k_op15";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no such case here";
  const Model model = Model::load(folder + "/model.onnx", {.states = {{"state", "stateN"}}});
  const int64_t rate = 16000;
  Session session(model);
  refrain::Setup setup{.values = {{"sr", ConstView({}, &rate)}}};
  const auto graph = load_model(folder + "/model.onnx").graph;
  const auto first = testing::sequence_step(folder, *graph, 0);
  setup.shapes.emplace("input", Extents(std::span(first.at("input").extents())));
  session.prepare_step(setup);
  size_t steps = 0;
  for (;; ++steps) {
    const auto values = testing::sequence_step(folder, *graph, steps);
    if (values.empty()) break;
    fill(session.input("input"), values.at("input"));
    session.step();
    EXPECT_TRUE(close(tensor_of(session.output("output")), values.at("output"), 1e-4, 1e-5));
    EXPECT_TRUE(close(tensor_of(session.state("state")), values.at("stateN"), 1e-4, 1e-5));
  }
  EXPECT_GT(steps, 10u);
}

}  // namespace
}  // namespace refrain
