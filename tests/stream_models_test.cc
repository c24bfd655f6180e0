// Every test model, as a stream: what it gives step by step and in blocks is what it gives at once,
// or it is refused for a reason that is right.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "frontend/driver/model.h"
#include "ir/clone.h"
#include "ir/error.h"
#include "ir/text.h"
#include "passes/passes.h"
#include "passes/specialize.h"
#include "passes/stream.h"
#include "support/cases.h"
#include "support/compare.h"
#include "support/stream_run.h"
#include "support/widened.h"

namespace refrain {
namespace {

using testing::case_folders;
using testing::case_inputs;
using ::testing::HasSubstr;
using testing::widened;

// The models that are no streams, and why.
const std::map<std::string, std::string> kRefused = {
    {"bigru3_batch_first_op11", "\"/GRU\" (scan): the future is read: it runs backward"},
    {"bilstm2_op13", "\"/LSTM\" (scan): the future is read: it runs backward"},
    {"pt_bilstm3_op13", "\"/r/LSTM\" (scan): the future is read: it runs backward"},
    {"way_backward_scan_op13", "(scan): the future is read: it runs backward"},
    {"way_backward_unrolled_op13", "(scan): the future is read: it runs backward"},
    {"way_backward_by_index_unrolled_op11", "(scan): the future is read: it runs backward"},
    {"way_bidirectional_unrolled_op13", "(scan): the future is read: it runs backward"},
    // It reads backward and writes forward, to be turned around behind it.
    {"way_backward_by_index_loop_op16", "(scan): the future is read: it reads or writes the steps"},
    {"way_bidirectional_loop_op13", "(scan): the future is read: it reads or writes the steps"},
    // Padding of (k - 1) / 2 on either side.
    {"crnn1d_op13", "(conv): the future is read: each step needs 2 steps after it"},
    {"crnn2d_op11", "(conv): the future is read: each step needs 1 step after it"},
    {"pt_crnn_op13", "(conv): the future is read: each step needs 2 steps after it"},
    {"way_in_network_loop_op13", "(conv): the future is read: each step needs 1 step after it"},
    {"way_in_network_unrolled_op13", "(conv): the future is read: each step needs 1 step after it"},
    // Lengths of sequences.
    {"native_lstm_bidir_peephole_seqlens", "(scan): its sequences end by lengths"},
    {"packed_bigru_batch_first_op16", "(scan): its sequences end by lengths"},
    {"packed_lstm_op13", "(scan): its sequences end by lengths"},
    // What a step does depends on its number.
    {"cell_clockwork_unrolled_op16", "something else for each of the steps that were traced"},
    {"cell_masked_gru_unrolled_op16", "something else for each of the steps that were traced"},
    {"way_irregular_first_loop_op13", "it reads the first step, wherever the stream is"},
    {"way_irregular_first_unrolled_op13", "it reads the first step, wherever the stream is"},
    {"way_irregular_last_unrolled_op13", "a step is read by its number"},
    // Generates from a memory; its steps are no input's.
    {"greedy_decoder_loop_op16", "the model has neither a time axis"},
    // The decoder starts with what the encoder ends as, and reads all of its steps.
    {"seq2seq_attention_traced_op13", "the future is read: every step needs what the last one"},
};

// The streams whose rows are no streams of their own, and why.
const std::map<std::string, std::string> kNoBatch = {
    // All rows are at the same step.
    {"cell_clockwork_loop_op13", "state steps has no rows of its own"},
    {"cell_clockwork_scan_op11", "state steps has no rows of its own"},
    {"cell_masked_gru_loop_op16", "state steps has no rows of its own"},
    {"cell_masked_gru_scan_op16", "state steps has no rows of its own"},
    // A constant for each row: what it begins to generate with.
    {"cell_greedy_unrolled_op13", "something of its own length goes along with the rows"},
    // Not known before the length of a chunk is.
    {"silero_vad_16k_op15", "(branch): which way it goes depends on the rows"},
};

std::string name_of(const std::string& folder) {
  return std::filesystem::path(folder).filename().string();
}

// A graph over whole sequences and inputs of one length. A model that was traced with inputs of
// different lengths has to be freed of them to share one.
std::unique_ptr<Graph> whole_run(const Graph& model, const passes::StreamForm& form,
                                 std::vector<RuntimeValue>& inputs) {
  std::unique_ptr<Graph> whole = clone_graph(model);
  std::vector<int64_t> lengths;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (form.inputs[i].time_axis)
      lengths.push_back(inputs[i].tensor->extents()[*form.inputs[i].time_axis]);
  }
  if (std::adjacent_find(lengths.begin(), lengths.end(), std::not_equal_to<>()) == lengths.end())
    return whole;
  passes::free_time(*whole, {});
  const int64_t length = *std::min_element(lengths.begin(), lengths.end());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (form.inputs[i].time_axis)
      inputs[i] = testing::cut(*inputs[i].tensor, *form.inputs[i].time_axis, 0, length);
  }
  return whole;
}

class StreamModels : public ::testing::TestWithParam<std::string> {};

TEST_P(StreamModels, StepsAndBlocksGiveWhatTheWholeRunGives) {
  const auto graph = load_model(GetParam() + "/model.onnx").graph;
  std::vector<RuntimeValue> inputs = case_inputs(GetParam(), *graph);
  optimize(*graph);
  const std::string before = print(*graph);
  const auto refused = kRefused.find(name_of(GetParam()));
  passes::StreamForm form;
  try {
    form = passes::make_stream(*graph);
  } catch (const Error& error) {
    ASSERT_NE(refused, kRefused.end()) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(refused->second));
    return;
  }
  ASSERT_EQ(refused, kRefused.end()) << print(*form.graph);
  EXPECT_EQ(print(*graph), before);
  EXPECT_FALSE(form.states.empty());
  const auto whole = whole_run(*graph, form, inputs);
  for (RuntimeValue& input : inputs) input = widened(input);
  passes::widen(*whole, {});
  passes::widen(*form.graph, {});
  for (passes::StreamState& state : form.states) state.initial = widened(state.initial);
  const std::vector<RuntimeValue> expected = reference::run(*whole, inputs);
  for (const int64_t block : {1, 2, 7}) {
    const std::vector<TensorPtr> actual =
        testing::run_in_blocks(form, inputs, expected.size(), block);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_TRUE(testing::close(*actual[i], *expected[i].tensor, 1e-12, 1e-12))
          << graph->output_names()[i] << " in blocks of " << block << " of\n"
          << print(*form.graph);
    }
  }
}

// Other values of the same types.
RuntimeValue other_value(const RuntimeValue& value) {
  if (!is_float(value.tensor->type())) return value;
  Tensor tensor = value.tensor->clone();
  for (double& element : tensor.data<double>()) element = 0.25 - element / 2;
  return tensor;
}

TEST_P(StreamModels, RowsOfABatchAreStreamsOfTheirOwn) {
  if (kRefused.contains(name_of(GetParam()))) return;
  const auto graph = load_model(GetParam() + "/model.onnx").graph;
  std::vector<RuntimeValue> inputs = case_inputs(GetParam(), *graph);
  optimize(*graph);
  passes::StreamForm form = passes::make_stream(*graph);
  const auto alone = kNoBatch.find(name_of(GetParam()));
  if (alone != kNoBatch.end()) {
    EXPECT_FALSE(form.batch);
    EXPECT_THAT(form.why_no_batch, HasSubstr(alone->second));
    return;
  }
  ASSERT_TRUE(form.batch) << form.why_no_batch;
  whole_run(*graph, form, inputs);
  passes::widen(*form.graph, {});
  for (passes::StreamState& state : form.states) state.initial = widened(state.initial);
  std::vector<RuntimeValue> others, both;
  for (size_t i = 0; i < inputs.size(); ++i) {
    inputs[i] = widened(inputs[i]);
    const std::optional<size_t> axis = form.inputs[i].batch_axis;
    others.push_back(axis ? other_value(inputs[i]) : inputs[i]);
    both.push_back(axis ? testing::join({others[i].tensor, inputs[i].tensor}, *axis) : inputs[i]);
  }
  const size_t outputs = graph->output_count();
  const std::vector<TensorPtr> first = testing::run_in_blocks(form, others, outputs, 2),
                               second = testing::run_in_blocks(form, inputs, outputs, 2),
                               actual = testing::run_in_blocks(form, both, outputs, 2);
  for (size_t i = 0; i < outputs; ++i) {
    const std::optional<size_t> axis = form.outputs[i].batch_axis;
    ASSERT_TRUE(axis) << graph->output_names()[i];
    EXPECT_TRUE(
        testing::close(*actual[i], testing::join({first[i], second[i]}, *axis), 1e-12, 1e-12))
        << graph->output_names()[i] << " of\n"
        << print(*form.graph);
  }
}

// With a look-ahead up to the end of the sequence, blocks of what runs backward are the whole run.
TEST_P(StreamModels, BlocksThatLookAheadToTheEndGiveWhatTheWholeRunGives) {
  const auto refused = kRefused.find(name_of(GetParam()));
  if (refused == kRefused.end() || refused->second.find("runs backward") == std::string::npos)
    return;
  const auto graph = load_model(GetParam() + "/model.onnx").graph;
  std::vector<RuntimeValue> inputs = case_inputs(GetParam(), *graph);
  optimize(*graph);
  const auto whole = clone_graph(*graph);
  passes::widen(*whole, {});
  for (RuntimeValue& input : inputs) input = widened(input);
  const std::vector<RuntimeValue> expected = reference::run(*whole, inputs);
  std::vector<std::vector<TensorPtr>> parts(expected.size());
  std::map<std::string, TensorPtr> states;
  passes::StreamForm form;
  int64_t steps = 1;
  for (int64_t begin = 0; begin < steps; begin += 2) {
    // The look-ahead is not known before the number of steps is.
    passes::StreamOptions options;
    options.block = 2;
    form = passes::make_stream(*graph, options);
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (form.inputs[i].time_axis) steps = inputs[i].tensor->extents()[*form.inputs[i].time_axis];
    }
    options.look_ahead = std::max<int64_t>(steps - begin - 2, 0);
    form = passes::make_stream(*graph, options);
    passes::widen(*form.graph, {});
    std::vector<RuntimeValue> rest = inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (form.inputs[i].time_axis)
        rest[i] = testing::cut(*inputs[i].tensor, *form.inputs[i].time_axis, begin, steps);
    }
    std::map<std::string, TensorPtr> next = states;
    const std::vector<TensorPtr> actual = testing::run_block(form, rest, expected.size(), next);
    states = std::move(next);
    for (size_t i = 0; i < actual.size(); ++i) parts[i].push_back(actual[i]);
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!form.outputs[i].time_axis) continue;
    EXPECT_TRUE(testing::close(testing::join(parts[i], *form.outputs[i].time_axis),
                               *expected[i].tensor, 1e-12, 1e-12))
        << graph->output_names()[i] << " of\n"
        << print(*form.graph);
  }
}

// A spectrogram and an LSTM with its state outside, whose shapes hang on the chunk's length.
TEST(StreamOfChunks, RowsAreToldApartOnceTheChunkIsKnown) {
  const std::vector<std::string> folders = case_folders();
  const auto found = std::find_if(folders.begin(), folders.end(), [](const std::string& folder) {
    return name_of(folder) == "silero_vad_16k_op15";
  });
  if (found == folders.end()) GTEST_SKIP() << "the shared cases are not there";
  const auto graph = load_model(*found + "/model.onnx").graph;
  passes::specialize(*graph, {{"sequence", 512}});
  optimize(*graph);
  const passes::StreamForm form = passes::make_stream(*graph);
  EXPECT_FALSE(form.time);
  ASSERT_EQ(form.states.size(), 1u);
  EXPECT_EQ(form.states[0].name, "state");
  EXPECT_EQ(graph->output_names()[form.states[0].output], "stateN");
  ASSERT_TRUE(form.batch) << form.why_no_batch;
  EXPECT_EQ(to_string(*form.batch), "batch");
  EXPECT_EQ(form.outputs[form.states[0].output].batch_axis, 1u);
}

INSTANTIATE_TEST_SUITE_P(All, StreamModels, ::testing::ValuesIn(case_folders()),
                         testing::case_test_name);

}  // namespace
}  // namespace refrain
