#include "traced_lstm.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace refrain {
namespace {

constexpr int64_t kNodesPerStep = 25;
constexpr int64_t kHidden = 4;

class Tracer {
 public:
  explicit Tracer(int64_t nodes) {
    const int64_t steps = nodes / kNodesPerStep;
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(13);
    add_value(*graph().add_input(), "x", {steps, 1, kHidden});
    add_value(*graph().add_input(), "h0", {1, kHidden});
    add_value(*graph().add_input(), "c0", {1, kHidden});
    for (const char* gate : {"i", "f", "g", "o"}) {
      add_weight(std::string("W") + gate);
      add_weight(std::string("U") + gate);
    }
    onnx::TensorProto& axis = *graph().add_initializer();
    axis.set_name("axis");
    axis.set_data_type(onnx::TensorProto::INT64);
    axis.add_dims(1);
    axis.add_int64_data(0);
    std::string h = "h0", c = "c0";
    std::vector<std::string> outputs;
    for (int64_t t = 0; t < steps; ++t) {
      step(t, h, c);
      outputs.push_back(node("Unsqueeze", {h, "axis"}));
    }
    const std::string y = node("Concat", std::move(outputs));
    onnx::AttributeProto& concat_axis = *graph().mutable_node()->rbegin()->add_attribute();
    concat_axis.set_name("axis");
    concat_axis.set_type(onnx::AttributeProto::INT);
    concat_axis.set_i(0);
    add_value(*graph().add_output(), y, {steps, 1, kHidden});
    add_value(*graph().add_output(), h, {1, kHidden});
    add_value(*graph().add_output(), c, {1, kHidden});
  }

  onnx::ModelProto take() { return std::move(model_); }

 private:
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }

  static void add_value(onnx::ValueInfoProto& value, const std::string& name,
                        const std::vector<int64_t>& extents) {
    value.set_name(name);
    onnx::TypeProto::Tensor& type = *value.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    for (int64_t extent : extents) type.mutable_shape()->add_dim()->set_dim_value(extent);
  }

  // Each another one: equal weights would be one.
  void add_weight(const std::string& name) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_dims(kHidden);
    tensor.add_dims(kHidden);
    for (int64_t i = 0; i < kHidden * kHidden; ++i) {
      tensor.add_float_data(0.01f * static_cast<float>(++weights_ * 7 % 61 - 30));
    }
  }

  std::string node(const char* op, std::vector<std::string> inputs) {
    onnx::NodeProto& proto = *graph().add_node();
    proto.set_op_type(op);
    for (std::string& input : inputs) proto.add_input(std::move(input));
    return *proto.add_output() = "v" + std::to_string(values_++);
  }

  std::string index(int64_t t) {
    onnx::NodeProto& proto = *graph().add_node();
    proto.set_op_type("Constant");
    onnx::AttributeProto& value = *proto.add_attribute();
    value.set_name("value_int");
    value.set_type(onnx::AttributeProto::INT);
    value.set_i(t);
    return *proto.add_output() = "v" + std::to_string(values_++);
  }

  void step(int64_t t, std::string& h, std::string& c) {
    const std::string x = node("Gather", {"x", index(t)});
    std::vector<std::string> gates;
    for (const char* gate : {"i", "f", "g", "o"}) {
      const std::string from_x = node("MatMul", {x, std::string("W") + gate});
      const std::string from_h = node("MatMul", {h, std::string("U") + gate});
      gates.push_back(node(*gate == 'g' ? "Tanh" : "Sigmoid", {node("Add", {from_x, from_h})}));
    }
    c = node("Add", {node("Mul", {gates[1], c}), node("Mul", {gates[0], gates[2]})});
    h = node("Mul", {gates[3], node("Tanh", {c})});
  }

  onnx::ModelProto model_;
  int64_t values_ = 0, weights_ = 0;
};

}  // namespace

onnx::ModelProto traced_lstm(int64_t nodes) { return Tracer(nodes).take(); }

}  // namespace refrain
