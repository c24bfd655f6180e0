// Writes the models that the scripts of this folder time.
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
//        make_models FOLDER BILSTM3 HIDDEN
//            three layers of both directions. Writes FOLDER/BILSTM3_HIDDEN.onnx
//        make_models FOLDER SCAN_CELL HIDDEN
//            a cell of scan_cells.h. Writes FOLDER/SCAN_CELL_HIDDEN.onnx
//        make_models FOLDER TRACE NODES
//            a traced LSTM of about so many nodes (traced_lstm.h). Writes FOLDER/TRACE_NODES.onnx
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "frontend/onnx/proto.h"
#include "random_weights.h"
#include "scan_cells.h"
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

void set_integers(onnx::NodeProto& node, const std::string& name,
                  std::initializer_list<int64_t> values) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const int64_t value : values) attribute.add_ints(value);
}

void add_integers(onnx::GraphProto& graph, const std::string& name,
                  std::initializer_list<int64_t> values) {
  onnx::TensorProto& tensor = *graph.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.add_dims(static_cast<int64_t>(values.size()));
  for (const int64_t value : values) tensor.add_int64_data(value);
}

onnx::NodeProto& add_node(onnx::GraphProto& graph, const char* op,
                          std::initializer_list<std::string> inputs, const std::string& output) {
  onnx::NodeProto& node = *graph.add_node();
  node.set_op_type(op);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(output);
  return node;
}

// One layer from `x`, of so many inputs, to `y`.
void add_layer(onnx::GraphProto& graph, const std::string& cell, int64_t inputs, int64_t hidden,
               const Form& form, const std::string& x, const std::string& y,
               const std::string& suffix, refrain::RandomWeights& weights) {
  const int64_t gates = cell == "LSTM" ? 4 : cell == "GRU" ? 3 : 1;
  const std::string w = "W" + suffix, r = "R" + suffix, b = "B" + suffix;
  weights.add(graph, w, {form.directions, gates * hidden, inputs});
  weights.add(graph, r, {form.directions, gates * hidden, hidden});
  weights.add(graph, b, {form.directions, 2 * gates * hidden});
  onnx::NodeProto& node = add_node(graph, cell.c_str(), {x, w, r, b}, y);
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
  refrain::RandomWeights weights(hidden);
  onnx::ModelProto model;
  model.set_ir_version(7);
  model.add_opset_import()->set_version(14);
  onnx::GraphProto& graph = *model.mutable_graph();
  graph.set_name(cell);
  set_type(*graph.add_input(), "X", true, 0, hidden);
  set_type(*graph.add_output(), "Y", true, form.directions, hidden);
  if (form.layers > 1) {
    // Time and batch as they are, directions and units as one.
    add_integers(graph, "merged", {0, 0, form.directions * hidden});
    add_integers(graph, "axes", {1});
  }
  std::string x = "X";
  for (int64_t layer = 0; layer < form.layers; ++layer) {
    const bool last = layer + 1 == form.layers;
    const std::string number = std::to_string(layer);
    const std::string y = last ? "Y" : "Y" + number, next = "X" + std::to_string(layer + 1);
    add_layer(graph, cell, layer == 0 ? hidden : form.directions * hidden, hidden, form, x, y,
              layer == 0 ? "" : number, weights);
    if (last) break;
    if (form.directions == 1) {
      add_node(graph, "Squeeze", {y, "axes"}, next);
    } else {
      set_integers(add_node(graph, "Transpose", {y}, "T" + number), "perm", {0, 2, 1, 3});
      add_node(graph, "Reshape", {"T" + number, "merged"}, next);
    }
    x = next;
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
  const auto scans = refrain::scan_cell_names();
  const bool trace = kind == "TRACE" && argc == 4, stack = kind == "BILSTM3" && argc == 4,
             scan = std::find(scans.begin(), scans.end(), kind) != scans.end() && argc == 4,
             cell = kind == "LSTM" || kind == "GRU" || kind == "RNN";
  const int64_t number =
      trace || stack || scan || cell ? parse(argv[3], trace ? kMaxNodes : kMaxHidden) : -1;
  const int64_t layers = argc == 5 ? parse(argv[4], kMaxLayers) : 1;
  if (number < 1 || layers < 0) {
    fmt::print(stderr,
               "usage: make_models FOLDER LSTM|GRU|RNN HIDDEN (1 to {}) [LAYERS (0 to {})]\n"
               "       make_models FOLDER BILSTM3|{} HIDDEN\n"
               "       make_models FOLDER TRACE NODES (1 to {})\n",
               kMaxHidden, kMaxLayers, fmt::join(scans, "|"), kMaxNodes);
    return 2;
  }
  const std::string path = fmt::format("{}/{}_{}", argv[1], kind, number);
  if (trace) {
    write(path + ".onnx", refrain::traced_lstm(number));
  } else if (scan) {
    write(path + ".onnx", refrain::scan_cell(kind, number));
  } else if (stack) {
    write(path + ".onnx", make_model("LSTM", number, {.directions = 2, .layers = 3}));
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
