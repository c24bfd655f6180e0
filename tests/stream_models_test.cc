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
    {"way_irregular_first_unrolled_op13", "a step is read by its number"},
    {"way_irregular_last_unrolled_op13", "a step is read by its number"},
    // Generates from a memory; its steps are no input's.
    {"greedy_decoder_loop_op16", "the model has neither a time axis"},
    // The decoder starts with what the encoder ends as, and reads all of its steps.
    {"seq2seq_attention_traced_op13", "the future is read: every step needs what the last one"},
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

INSTANTIATE_TEST_SUITE_P(All, StreamModels, ::testing::ValuesIn(case_folders()),
                         testing::case_test_name);

}  // namespace
}  // namespace refrain
