// The model that the embedding benchmarks step, and the same as a bare kernel.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backends/highway/recurrent.h"
#include "frontend/onnx/proto.h"
#include "random_weights.h"

namespace refrain {

// One LSTM layer with its states as inputs and outputs: x [T, B, inputs], h0 and c0 [1, B, hidden].
inline std::string lstm_bytes(int64_t inputs, int64_t hidden) {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(14);
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name("lstm");
  const auto declare = [](onnx::ValueInfoProto& value, const char* name,
                          const std::vector<std::string>& symbols, int64_t last) {
    value.set_name(name);
    auto& type = *value.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    for (const std::string& symbol : symbols) {
      auto& dim = *type.mutable_shape()->add_dim();
      symbol == "1" ? dim.set_dim_value(1) : dim.set_dim_param(symbol);
    }
    type.mutable_shape()->add_dim()->set_dim_value(last);
  };
  declare(*graph.add_input(), "x", {"T", "B"}, inputs);
  declare(*graph.add_input(), "h0", {"1", "B"}, hidden);
  declare(*graph.add_input(), "c0", {"1", "B"}, hidden);
  declare(*graph.add_output(), "y", {"T", "1", "B"}, hidden);
  declare(*graph.add_output(), "h", {"1", "B"}, hidden);
  declare(*graph.add_output(), "c", {"1", "B"}, hidden);
  RandomWeights weights(hidden);
  weights.add(graph, "W", {1, 4 * hidden, inputs});
  weights.add(graph, "R", {1, 4 * hidden, hidden});
  weights.add(graph, "B", {1, 8 * hidden});
  onnx::NodeProto& node = *graph.add_node();
  node.set_op_type("LSTM");
  for (const char* name : {"x", "W", "R", "B", "", "h0", "c0"}) node.add_input(name);
  for (const char* name : {"y", "h", "c"}) node.add_output(name);
  onnx::AttributeProto& size = *node.add_attribute();
  size.set_name("hidden_size");
  size.set_type(onnx::AttributeProto::INT);
  size.set_i(hidden);
  return model.SerializeAsString();
}

// One step of that layer for one stream by the loop kernel alone: the least that a step can cost.
class LstmKernel {
 public:
  LstmKernel(int64_t inputs, int64_t hidden)
      : x_(numbers(inputs)), bias_(numbers(4 * hidden)), y_(numbers(hidden)) {
    using namespace highway;
    using enum Operation;
    const auto op = [](Operation operation, int result, int a, int b = 0, int c = 0) {
      return Instruction{operation, uint8_t(result), {uint8_t(a), uint8_t(b), uint8_t(c)}};
    };
    Stage stage;
    stage.units = hidden;
    stage.gates = 4;
    // Gates i, o, f, g; their biases; c. Results: h, c and h again, as y.
    stage.program = {9,
                     {op(add, 9, 0, 4), op(add, 10, 1, 5), op(add, 11, 2, 6), op(add, 12, 3, 7),
                      op(sigmoid, 13, 9), op(sigmoid, 14, 10), op(sigmoid, 15, 11),
                      op(tanh, 16, 12), op(mul, 17, 15, 8), op(multiply_add, 18, 13, 16, 17),
                      op(tanh, 19, 18), op(mul, 20, 19, 14)},
                     {20, 18, 20}};
    const std::vector<float> w = numbers(4 * hidden * inputs), r = numbers(4 * hidden * hidden);
    stage.products = {
        {{Stream::Kind::rows, 0, inputs, inputs, 0},
         inputs,
         weight_terms(4, w.data(), 4 * hidden, hidden)},
        {{Stream::Kind::state, 0}, hidden, weight_terms(4, r.data(), 4 * hidden, hidden)}};
    for (int64_t g = 0; g < 4; ++g)
      stage.inputs.push_back({Stream::Kind::units, 1, 0, 0, g * hidden});
    stage.inputs.push_back({Stream::Kind::state, 1});
    stage.outputs = {{Stream::Kind::state, 0},
                     {Stream::Kind::state, 1},
                     {Stream::Kind::rows, 2, hidden, hidden, 0}};
    for (std::vector<float>& state : states_) state = numbers(hidden);
    for (size_t i = 0; i < 2; ++i)
      current_[i] = states_[i].data(), next_[i] = states_[i + 2].data();
    loop_ = std::make_unique<RecurrentLoop>(LoopSpec{{stage}, {hidden, hidden}, 1});
  }

  void step() { loop_->run({buffers_, current_, next_, 1, 0, 1}); }
  std::string describe() const { return loop_->describe(); }

 private:
  static std::vector<float> numbers(int64_t count) {
    static std::mt19937 engine(1);
    std::uniform_real_distribution<float> uniform(-0.1f, 0.1f);
    std::vector<float> made(static_cast<size_t>(count));
    for (float& x : made) x = uniform(engine);
    return made;
  }

  std::vector<float> x_, bias_, y_, states_[4];
  float* buffers_[3] = {x_.data(), bias_.data(), y_.data()};
  float* current_[2] = {};
  float* next_[2] = {};
  std::unique_ptr<highway::RecurrentLoop> loop_;
};

}  // namespace refrain
