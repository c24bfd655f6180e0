// Writes models for bench/grid.py and bench/cells.py.
//
// usage: make_models FOLDER CELL HIDDEN
//            one recurrent layer of one direction, X [T, B, H] in, Y [T, 1, B, H] out, T and B
//            free; CELL is LSTM, GRU (linear_before_reset) or RNN (Tanh). It starts from zeros, or,
//            as one that steps along a stream does, from states [1, B, H] that are inputs (h0, c0)
//            and ends in states that are outputs (h, c). Writes FOLDER/CELL_HIDDEN.onnx and, with
//            states, FOLDER/CELL_HIDDEN_stream.onnx
//        make_models FOLDER TRACE NODES
//            a traced LSTM of about so many nodes (traced_lstm.h). Writes FOLDER/TRACE_NODES.onnx
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <random>
#include <string>
#include <string_view>

#include "frontend/onnx/proto.h"
#include "traced_lstm.h"

namespace {

constexpr int64_t kMaxHidden = 4096;
constexpr int64_t kMaxNodes = 4'000'000;  // a file has at most 2 GB

// Uniform in +-1/sqrt(H), as frameworks start layers, so that no gate saturates.
void add_weights(onnx::GraphProto& graph, const std::string& name, int64_t rows, int64_t columns,
                 int64_t hidden, std::mt19937& engine) {
  const float bound = 1 / std::sqrt(static_cast<float>(hidden));
  std::uniform_real_distribution<float> uniform(-bound, bound);
  onnx::TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  tensor.add_dims(1);
  tensor.add_dims(rows);
  if (columns > 0) tensor.add_dims(columns);
  for (int64_t i = 0; i < rows * std::max<int64_t>(columns, 1); ++i)
    tensor.add_float_data(uniform(engine));
}

void set_type(onnx::ValueInfoProto& value, const std::string& name, bool time, bool directions,
              int64_t hidden) {
  value.set_name(name);
  auto& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  auto& shape = *type.mutable_shape();
  if (time) shape.add_dim()->set_dim_param("T");
  if (directions) shape.add_dim()->set_dim_value(1);
  shape.add_dim()->set_dim_param("B");
  shape.add_dim()->set_dim_value(hidden);
}

void set_integer(onnx::NodeProto& node, const std::string& name, int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

onnx::ModelProto make_model(const std::string& cell, int64_t hidden, bool stream) {
  std::mt19937 engine(1);
  const int64_t gates = cell == "LSTM" ? 4 : cell == "GRU" ? 3 : 1;
  onnx::ModelProto model;
  model.set_ir_version(7);
  model.add_opset_import()->set_version(14);
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name(cell);
  set_type(*graph.add_input(), "X", true, false, hidden);
  set_type(*graph.add_output(), "Y", true, true, hidden);
  add_weights(graph, "W", gates * hidden, hidden, hidden, engine);
  add_weights(graph, "R", gates * hidden, hidden, hidden, engine);
  add_weights(graph, "B", 2 * gates * hidden, 0, hidden, engine);
  onnx::NodeProto& node = *graph.add_node();
  node.set_op_type(cell);
  for (const char* input : {"X", "W", "R", "B"}) node.add_input(input);
  node.add_output("Y");
  if (stream) node.add_input("");  // no lengths
  for (const std::string state : {"h", "c"}) {
    if (!stream || (state == "c" && cell != "LSTM")) continue;
    set_type(*graph.add_input(), state + "0", false, true, hidden);
    set_type(*graph.add_output(), state, false, true, hidden);
    node.add_input(state + "0");
    node.add_output(state);
  }
  set_integer(node, "hidden_size", hidden);
  if (cell == "GRU") set_integer(node, "linear_before_reset", 1);
  return model;
}

void write(const std::string& path, const onnx::ModelProto& model) {
  std::ofstream file(path, std::ios::binary);
  if (model.SerializeToOstream(&file) && file.flush()) return;
  fmt::print(stderr, "make_models: can't write {}\n", path);
  std::exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string kind = argc == 4 ? argv[2] : "";
  const std::string_view size = argc == 4 ? argv[3] : "";
  const bool trace = kind == "TRACE";
  int64_t number = 0;
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), number);
  if ((kind != "LSTM" && kind != "GRU" && kind != "RNN" && !trace) || error != std::errc() ||
      end != size.data() + size.size() || number < 1 || number > (trace ? kMaxNodes : kMaxHidden)) {
    fmt::print(stderr,
               "usage: make_models FOLDER LSTM|GRU|RNN HIDDEN (1 to {})\n"
               "       make_models FOLDER TRACE NODES (1 to {})\n",
               kMaxHidden, kMaxNodes);
    return 2;
  }
  const std::string path = fmt::format("{}/{}_{}", argv[1], kind, number);
  if (trace) {
    write(path + ".onnx", refrain::traced_lstm(number));
  } else {
    write(path + ".onnx", make_model(kind, number, false));
    write(path + "_stream.onnx", make_model(kind, number, true));
  }
  return 0;
}
