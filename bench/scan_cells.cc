#include "scan_cells.h"

#include <initializer_list>
#include <string>
#include <vector>

#include "random_weights.h"

namespace refrain {
namespace {

constexpr std::string_view kNames[] = {"LSTM8", "SWAPPED", "PEEPHOLE", "COUPLED", "MGU"};

using Names = std::vector<std::string>;

// Fills in one graph, values named one by one.
class GraphWriter {
 public:
  explicit GraphWriter(onnx::GraphProto& graph, std::string prefix)
      : graph_(graph), prefix_(std::move(prefix)) {}

  onnx::NodeProto& node(const char* op, const Names& inputs, const Names& outputs) {
    onnx::NodeProto& proto = *graph_.add_node();
    proto.set_op_type(op);
    for (const std::string& input : inputs) proto.add_input(input);
    for (const std::string& output : outputs) proto.add_output(output);
    return proto;
  }
  std::string op(const char* op, const Names& inputs) {
    const std::string result = prefix_ + std::to_string(values_++);
    node(op, inputs, {result});
    return result;
  }
  std::string add(const std::string& a, const std::string& b) { return op("Add", {a, b}); }
  std::string mul(const std::string& a, const std::string& b) { return op("Mul", {a, b}); }

  static void set_type(onnx::ValueInfoProto& value, const std::string& name, bool time,
                       int64_t hidden) {
    value.set_name(name);
    auto& type = *value.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    if (time) type.mutable_shape()->add_dim()->set_dim_param("T");
    type.mutable_shape()->add_dim()->set_dim_param("B");
    type.mutable_shape()->add_dim()->set_dim_value(hidden);
  }

 private:
  onnx::GraphProto& graph_;
  std::string prefix_;
  int values_ = 0;
};

class CellWriter {
 public:
  CellWriter(std::string_view name, int64_t hidden)
      : name_(name), hidden_(hidden), weights_(hidden), body_(body_proto_, "v") {}

  onnx::ModelProto take() {
    model_.set_ir_version(7);
    model_.add_opset_import()->set_version(14);
    graph().set_name(std::string(name_));
    GraphWriter::set_type(*graph().add_input(), "X", true, hidden_);
    GraphWriter::set_type(*graph().add_output(), "Y", true, hidden_);
    onnx::TensorProto& one = *graph().add_initializer();
    one.set_name("one");
    one.set_data_type(onnx::TensorProto::FLOAT);
    one.add_float_data(1);

    states_ = name_ == "MGU" ? Names{"h"} : Names{"h", "c"};
    body_proto_.set_name("step");
    for (const std::string& state : states_) {
      GraphWriter::set_type(*body_proto_.add_input(), state, false, hidden_);
    }
    GraphWriter::set_type(*body_proto_.add_input(), "x", false, hidden_);
    const Names next = name_ == "MGU" ? minimal_gated_unit() : lstm();
    body_.node("Identity", {next[0]}, {"y"});
    for (const std::string& value : next) {
      GraphWriter::set_type(*body_proto_.add_output(), value, false, hidden_);
    }
    GraphWriter::set_type(*body_proto_.add_output(), "y", false, hidden_);
    scan();
    return std::move(model_);
  }

 private:
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }

  // x W + state U + b
  std::string gate(const std::string& gate, const std::string& state) {
    weights_.add(graph(), "W_" + gate, {hidden_, hidden_});
    weights_.add(graph(), "U_" + gate, {hidden_, hidden_});
    weights_.add(graph(), "b_" + gate, {hidden_});
    return body_.add(
        body_.add(body_.op("MatMul", {"x", "W_" + gate}), body_.op("MatMul", {state, "U_" + gate})),
        "b_" + gate);
  }

  Names lstm() {
    const bool swapped = name_ == "SWAPPED", peephole = name_ == "PEEPHOLE";
    const char* squash = swapped ? "Tanh" : "Sigmoid";
    const char* shape = swapped ? "Sigmoid" : "Tanh";
    const auto activated = [&](const std::string& name, const std::string& seen) {
      std::string sum = gate(name, "h");
      if (peephole) {
        weights_.add(graph(), "p_" + name, {hidden_});
        sum = body_.add(sum, body_.mul("p_" + name, seen));
      }
      return body_.op(squash, {sum});
    };
    const std::string i = activated("i", "c");
    const std::string f = name_ == "COUPLED" ? body_.op("Sub", {"one", i}) : activated("f", "c");
    const std::string g = body_.op(shape, {gate("g", "h")});
    const std::string c = body_.add(body_.mul(f, "c"), body_.mul(i, g));
    const std::string o = activated("o", c);
    return {body_.mul(o, body_.op(shape, {c})), c};
  }

  Names minimal_gated_unit() {
    const std::string f = body_.op("Sigmoid", {gate("f", "h")});
    const std::string g = body_.op("Tanh", {gate("g", body_.mul(f, "h"))});
    return {body_.add(body_.mul(body_.op("Sub", {"one", f}), "h"), body_.mul(f, g))};
  }

  void add_ints(const std::string& name, std::initializer_list<int64_t> values) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(static_cast<int64_t>(values.size()));
    for (int64_t value : values) tensor.add_int64_data(value);
  }

  void scan() {
    GraphWriter main(graph(), "m");
    add_ints("batch_axis", {1});
    add_ints("hidden", {hidden_});
    const std::string batch = main.op("Gather", {main.op("Shape", {"X"}), "batch_axis"});
    main.node("Concat", {batch, "hidden"}, {"extents"});
    onnx::AttributeProto& axis = *graph().mutable_node(graph().node_size() - 1)->add_attribute();
    axis.set_name("axis");
    axis.set_type(onnx::AttributeProto::INT);
    axis.set_i(0);
    const std::string zeros = main.op("ConstantOfShape", {"extents"});
    Names inputs(states_.size(), zeros), outputs;
    inputs.emplace_back("X");
    for (const std::string& state : states_) outputs.push_back("last_" + state);
    outputs.emplace_back("Y");
    onnx::NodeProto& node = main.node("Scan", inputs, outputs);
    onnx::AttributeProto& count = *node.add_attribute();
    count.set_name("num_scan_inputs");
    count.set_type(onnx::AttributeProto::INT);
    count.set_i(1);
    onnx::AttributeProto& body = *node.add_attribute();
    body.set_name("body");
    body.set_type(onnx::AttributeProto::GRAPH);
    *body.mutable_g() = std::move(body_proto_);
  }

  std::string_view name_;
  int64_t hidden_;
  RandomWeights weights_;
  onnx::ModelProto model_;
  onnx::GraphProto body_proto_;
  GraphWriter body_;
  Names states_;
};

}  // namespace

std::span<const std::string_view> scan_cell_names() { return kNames; }

onnx::ModelProto scan_cell(std::string_view name, int64_t hidden) {
  return CellWriter(name, hidden).take();
}

}  // namespace refrain
