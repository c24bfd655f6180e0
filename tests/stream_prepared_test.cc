// Streams as they are run: prepared for one step, their states in place.
#include <gmock/gmock.h>

#include <map>
#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "frontend/driver/model.h"
#include "frontend/driver/program.h"
#include "ir/clone.h"
#include "passes/passes.h"
#include "passes/stream.h"
#include "support/cases.h"
#include "support/compare.h"
#include "support/stream_run.h"

namespace refrain {
namespace {

using ::testing::HasSubstr;

// One step of a layer is one run of the loop kernel, whose states' new values go where the old
// ones were.
void expect_one_step_in_place(const std::string& name) {
  const std::string folder = std::string(REFRAIN_SOURCE_DIR) + "/tests/models/" + name;
  const auto graph = load_model(folder + "/model.onnx").graph;
  const std::vector<RuntimeValue> inputs = testing::case_inputs(folder, *graph);
  const std::vector<RuntimeValue> expected = reference::run(*graph, inputs);
  optimize(*graph);
  const passes::StreamForm form = passes::make_stream(*graph);
  const Graph& stream = *form.graph;

  // All inputs at the first step; states of as many rows as the inputs have.
  int64_t steps = 0, rows = 0;
  std::vector<RuntimeValue> first(stream.input_count());
  for (size_t i = 0; i < inputs.size(); ++i) {
    first[i] = inputs[i];
    if (form.inputs[i].batch_axis) rows = inputs[i].tensor->extents()[*form.inputs[i].batch_axis];
    if (!form.inputs[i].time_axis) continue;
    steps = inputs[i].tensor->extents()[*form.inputs[i].time_axis];
    first[i] = testing::cut(*inputs[i].tensor, *form.inputs[i].time_axis, 0, 1);
  }
  for (size_t i = inputs.size(); i < first.size(); ++i) {
    std::vector<int64_t> extents;
    for (const Dim dim : stream.input(i)->type().shape.dims())
      extents.push_back(dim.is_constant() ? dim.extent() : rows);
    first[i] = Tensor(stream.input(i)->type().element, extents);
  }
  ExecutableOptions options;
  options.backend = Backend::highway;
  const Preparation prepared = prepare(stream, first, options);
  PreparedGraph* program = prepared.program->steps();
  ASSERT_TRUE(program) << prepared.why;
  EXPECT_THAT(program->describe(), HasSubstr("loop, 1 steps"));
  EXPECT_THAT(program->describe(), HasSubstr("\n1 steps, arena"));

  std::vector<Tensor> outputs = program->make_outputs(), now;
  for (const RuntimeValue& value : first) now.push_back(value.tensor->clone());
  for (const passes::StreamState& state : form.states) {
    Tensor& in = now[state.input];
    outputs[state.output] = Tensor::borrow(in.type(), in.extents(), in.raw());
  }
  std::vector<const Tensor*> pointers;
  for (const Tensor& tensor : now) pointers.push_back(&tensor);
  program->bind(pointers, outputs);
  std::vector<std::vector<TensorPtr>> parts(expected.size());
  for (int64_t t = 0; t < steps; ++t) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!form.inputs[i].time_axis) continue;
      const Tensor slice = testing::cut(*inputs[i].tensor, *form.inputs[i].time_axis, t, t + 1);
      const auto from = slice.data<float>();
      std::copy(from.begin(), from.end(), now[i].data<float>().begin());
    }
    program->run();
    for (size_t i = 0; i < parts.size(); ++i)
      parts[i].push_back(std::make_shared<const Tensor>(outputs[i].clone()));
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::optional<size_t> axis = form.outputs[i].time_axis;
    EXPECT_TRUE(testing::close(axis ? testing::join(parts[i], *axis) : parts[i].back()->clone(),
                               *expected[i].tensor, 1e-5, 1e-6))
        << graph->output_names()[i] << " of\n"
        << program->describe();
  }
}

TEST(StreamPrepared, AStepOfAnLstm) { expect_one_step_in_place("lstm_states_op16"); }
TEST(StreamPrepared, AStepOfAnLstmThatHidesItsStates) { expect_one_step_in_place("lstm_op9"); }
TEST(StreamPrepared, AStepOfAGru) { expect_one_step_in_place("gru_op11"); }
TEST(StreamPrepared, AStepOfACellThatWasTraced) {
  expect_one_step_in_place("cell_lstm2_unrolled_op11");
}

}  // namespace
}  // namespace refrain
