// Writes models for bench/grid.py, bench/threads.py and bench/cells.py.
//
// usage: make_models FOLDER CELL HIDDEN
//            one recurrent layer of one direction, X [T, B, H] in, Y [T, 1, B, H] out, T and B
//            free; CELL is LSTM, GRU (linear_before_reset) or RNN (Tanh). It starts from zeros, or,
//            as one that steps along a stream does, from states [1, B, H] that are inputs (h0, c0)
//            and ends in states that are outputs (h, c). Writes FOLDER/CELL_HIDDEN.onnx and, with
//            states, FOLDER/CELL_HIDDEN_stream.onnx
//        make_models FOLDER CELL HIDDEN LAYERS
//            so many layers of one direction on each other, or for 0 one of both directions. Writes
//            FOLDER/CELL_HIDDEN_stacked.onnx or FOLDER/CELL_HIDDEN_bidirectional.onnx
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
constexpr int64_t kMaxLayers = 16;
constexpr int64_t kMaxNodes = 4'000'000;  // a file has at most 2 GB

// What a model is besides its cell and size.
struct Form {
  bool stream = false;
  int64_t directions = 1, layers = 1;
};

// Uniform in +-1/sqrt(H), as frameworks start layers, so that no gate saturates. `columns`: 0 for
// vectors.
void add_weights(onnx::GraphProto& graph, const std::string& name, int64_t directions, int64_t rows,
                 int64_t columns, int64_t hidden, std::mt19937& engine) {
  const float bound = 1 / std::sqrt(static_cast<float>(hidden));
  std::uniform_real_distribution<float> uniform(-bound, bound);
  onnx::TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  tensor.add_dims(directions);
  tensor.add_dims(rows);
  if (columns > 0) tensor.add_dims(columns);
  for (int64_t i = 0; i < directions * rows * std::max<int64_t>(columns, 1); ++i)
    tensor.add_float_data(uniform(engine));
}

void set_type(onnx::ValueInfoProto& value, const std::string& name, bool time, int64_t directions,
              int64_t hidden) {
  value.set_name(name);
  auto& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  auto& shape = *type.mutable_shape();
  if (time) shape.add_dim()->set_dim_param("T");
  if (directions > 0) shape.add_dim()->set_dim_value(directions);
  shape.add_dim()->set_dim_param("B");
  shape.add_dim()->set_dim_value(hidden);
}

void set_integer(onnx::NodeProto& node, const std::string& name, int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

// One layer from `x` to `y`.
void add_layer(onnx::GraphProto& graph, const std::string& cell, int64_t hidden, const Form& form,
               const std::string& x, const std::string& y, const std::string& suffix,
               std::mt19937& engine) {
  const int64_t gates = cell == "LSTM" ? 4 : cell == "GRU" ? 3 : 1;
  const std::string w = "W" + suffix, r = "R" + suffix, b = "B" + suffix;
  add_weights(graph, w, form.directions, gates * hidden, hidden, hidden, engine);
  add_weights(graph, r, form.directions, gates * hidden, hidden, hidden, engine);
  add_weights(graph, b, form.directions, 2 * gates * hidden, 0, hidden, engine);
  onnx::NodeProto& node = *graph.add_node();
  node.set_op_type(cell);
  for (const std::string& input : {x, w, r, b}) node.add_input(input);
  node.add_output(y);
  if (form.stream) node.add_input("");  // no lengths
  for (const std::string state : {"h", "c"}) {
    if (!form.stream || (state == "c" && cell != "LSTM")) continue;
    set_type(*graph.add_input(), state + "0", false, 1, hidden);
    set_type(*graph.add_output(), state, false, 1, hidden);
    node.add_input(state + "0");
    node.add_output(state);
  }
  set_integer(node, "hidden_size", hidden);
  if (cell == "GRU") set_integer(node, "linear_before_reset", 1);
  if (form.directions == 1) return;
  onnx::AttributeProto& direction = *node.add_attribute();
  direction.set_name("direction");
  direction.set_type(onnx::AttributeProto::STRING);
  direction.set_s("bidirectional");
}

onnx::ModelProto make_model(const std::string& cell, int64_t hidden, const Form& form) {
  std::mt19937 engine(1);
  onnx::ModelProto model;
  model.set_ir_version(7);
  model.add_opset_import()->set_version(14);
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name(cell);
  set_type(*graph.add_input(), "X", true, 0, hidden);
  set_type(*graph.add_output(), "Y", true, form.directions, hidden);
  if (form.layers > 1) {
    onnx::TensorProto& axes = *graph.add_initializer();
    axes.set_name("axes");
    axes.set_data_type(onnx::TensorProto::INT64);
    axes.add_dims(1);
    axes.add_int64_data(1);
  }
  std::string x = "X";
  for (int64_t layer = 0; layer < form.layers; ++layer) {
    const bool last = layer + 1 == form.layers;
    const std::string suffix = layer == 0 ? "" : std::to_string(layer);
    const std::string y = last ? "Y" : "Y" + std::to_string(layer);
    add_layer(graph, cell, hidden, form, x, y, suffix, engine);
    if (last) break;
    onnx::NodeProto& squeeze = *graph.add_node();
    squeeze.set_op_type("Squeeze");
    squeeze.add_input(y);
    squeeze.add_input("axes");
    squeeze.add_output(x = "X" + std::to_string(layer + 1));
  }
  return model;
}

void write(const std::string& path, const onnx::ModelProto& model) {
  std::ofstream file(path, std::ios::binary);
  if (model.SerializeToOstream(&file) && file.flush()) return;
  fmt::print(stderr, "make_models: can't write {}\n", path);
  std::exit(2);
}

// A number from 0 to `most`, or -1.
int64_t parse(std::string_view text, int64_t most) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool good = error == std::errc() && end == text.data() + text.size() && number >= 0;
  return good && number <= most ? number : -1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string kind = argc == 4 || argc == 5 ? argv[2] : "";
  const bool trace = kind == "TRACE" && argc == 4,
             cell = kind == "LSTM" || kind == "GRU" || kind == "RNN";
  const int64_t number = trace || cell ? parse(argv[3], trace ? kMaxNodes : kMaxHidden) : -1;
  const int64_t layers = argc == 5 ? parse(argv[4], kMaxLayers) : 1;
  if (number < 1 || layers < 0) {
    fmt::print(stderr,
               "usage: make_models FOLDER LSTM|GRU|RNN HIDDEN (1 to {}) [LAYERS (0 to {})]\n"
               "       make_models FOLDER TRACE NODES (1 to {})\n",
               kMaxHidden, kMaxLayers, kMaxNodes);
    return 2;
  }
  const std::string path = fmt::format("{}/{}_{}", argv[1], kind, number);
  if (trace) {
    write(path + ".onnx", refrain::traced_lstm(number));
  } else if (argc == 5 && layers == 0) {
    write(path + "_bidirectional.onnx", make_model(kind, number, {.directions = 2}));
  } else if (argc == 5) {
    write(path + "_stacked.onnx", make_model(kind, number, {.layers = layers}));
  } else {
    write(path + ".onnx", make_model(kind, number, {}));
    write(path + "_stream.onnx", make_model(kind, number, {.stream = true}));
  }
  return 0;
}
