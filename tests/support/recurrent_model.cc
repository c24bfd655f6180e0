#include "support/recurrent_model.h"

#include <stdexcept>

#include "backends/reference/executor.h"
#include "frontend/onnx/import.h"
#include "passes/pass.h"

namespace refrain::testing {
namespace {

int data_type(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return onnx::TensorProto::FLOAT;
    case ElementType::f64:
      return onnx::TensorProto::DOUBLE;
    case ElementType::i32:
      return onnx::TensorProto::INT32;
    default:
      return onnx::TensorProto::INT64;
  }
}

onnx::AttributeProto& add_attribute(onnx::NodeProto& node, const std::string& name,
                                    onnx::AttributeProto::AttributeType type) {
  auto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(type);
  return attribute;
}

bool takes_alpha(const std::string& name) {
  return name == "Affine" || name == "LeakyRelu" || name == "ThresholdedRelu" ||
         name == "ScaledTanh" || name == "HardSigmoid" || name == "Elu";
}
bool takes_beta(const std::string& name) {
  return name == "Affine" || name == "ScaledTanh" || name == "HardSigmoid";
}

std::vector<std::string> default_activations(const std::string& op) {
  if (op == "RNN") return {"Tanh"};
  if (op == "GRU") return {"Sigmoid", "Tanh"};
  return {"Sigmoid", "Tanh", "Tanh"};
}

}  // namespace

RecurrentModel::RecurrentModel(const std::string& op, int opset) {
  proto.set_ir_version(8);
  proto.add_opset_import()->set_version(opset);
  proto.mutable_graph()->set_name("recurrent");
  auto& node = *proto.mutable_graph()->add_node();
  node.set_op_type(op);
  node.set_name("layer");
}

onnx::AttributeProto& RecurrentModel::attribute(const std::string& name) {
  for (auto& attribute : *node().mutable_attribute()) {
    if (attribute.name() == name) return attribute;
  }
  throw std::logic_error("no attribute " + name);
}

void RecurrentModel::constant(const std::string& name, const Tensor& tensor) {
  node().add_input(name);
  auto& initializer = *proto.mutable_graph()->add_initializer();
  initializer.set_name(name);
  initializer.set_data_type(data_type(tensor.type()));
  for (int64_t extent : tensor.extents()) initializer.add_dims(extent);
  initializer.set_raw_data(tensor.raw(), static_cast<size_t>(tensor.bytes()));
}

void RecurrentModel::input(const std::string& name, Tensor tensor,
                           const std::optional<std::vector<Extent>>& extents) {
  node().add_input(name);
  auto& info = *proto.mutable_graph()->add_input();
  info.set_name(name);
  auto& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(data_type(tensor.type()));
  if (extents) {
    type.mutable_shape();
    for (const Extent& extent : *extents) {
      auto& dim = *type.mutable_shape()->add_dim();
      if (const auto* value = std::get_if<int64_t>(&extent)) {
        dim.set_dim_value(*value);
      } else if (!std::get<std::string>(extent).empty()) {
        dim.set_dim_param(std::get<std::string>(extent));
      }
    }
  }
  inputs.push_back(std::move(tensor));
}

void RecurrentModel::output(const std::string& name) {
  node().add_output(name);
  if (name.empty()) return;
  auto& info = *proto.mutable_graph()->add_output();
  info.set_name(name);
  info.mutable_type()->mutable_tensor_type()->set_elem_type(
      proto.graph().input(0).type().tensor_type().elem_type());
}

void RecurrentModel::set(const std::string& name, int64_t value) {
  add_attribute(node(), name, onnx::AttributeProto::INT).set_i(value);
}
void RecurrentModel::set(const std::string& name, float value) {
  add_attribute(node(), name, onnx::AttributeProto::FLOAT).set_f(value);
}
void RecurrentModel::set(const std::string& name, const std::string& value) {
  add_attribute(node(), name, onnx::AttributeProto::STRING).set_s(value);
}
void RecurrentModel::set(const std::string& name, const std::vector<std::string>& values) {
  auto& strings = add_attribute(node(), name, onnx::AttributeProto::STRINGS);
  for (const std::string& value : values) strings.add_strings(value);
}
void RecurrentModel::set(const std::string& name, const std::vector<float>& values) {
  auto& floats = add_attribute(node(), name, onnx::AttributeProto::FLOATS);
  for (float value : values) floats.add_floats(value);
}

std::unique_ptr<Graph> RecurrentModel::import() const {
  return std::move(onnx_import::import_bytes(proto.SerializeAsString(), "test.onnx").graph);
}

std::unique_ptr<Graph> RecurrentModel::import_optimized() const {
  auto graph = import();
  const auto evaluator = reference::make_evaluator();
  passes::PassContext context;
  context.evaluator = evaluator.get();
  passes::run_pipeline(*graph, passes::default_pipeline(), context);
  return graph;
}

std::vector<RuntimeValue> RecurrentModel::run(const Graph& graph) const {
  std::vector<RuntimeValue> values;
  for (const Tensor& tensor : inputs) values.emplace_back(tensor.clone());
  return reference::run(graph, values);
}
Tensor tensor_of(ElementType type, std::vector<int64_t> extents,
                 const std::vector<double>& values) {
  Tensor result(type, std::move(extents));
  visit(type, [&]<typename T>(std::type_identity<T>) {
    if constexpr (std::is_arithmetic_v<T>) {
      for (size_t i = 0; i < values.size(); ++i) result.data<T>()[i] = static_cast<T>(values[i]);
    }
  });
  return result;
}

RecurrentModel write(const RecurrentLayer& layer, const Spelling& spelling) {
  RecurrentModel model(layer.op, spelling.opset);
  const int64_t T = layer.steps, N = layer.batch, I = layer.inputs, H = layer.hidden;
  const int64_t D = layer.directions(), g = layer.gates();
  const auto declare = [&](const std::string& name, Tensor tensor, std::vector<Extent> symbols) {
    std::optional<std::vector<Extent>> extents;
    switch (spelling.shapes) {
      case Spelling::Shapes::constant:
        extents.emplace(tensor.extents().begin(), tensor.extents().end());
        break;
      case Spelling::Shapes::symbols:
        extents = std::move(symbols);
        break;
      case Spelling::Shapes::unknown_extents:
        extents.emplace(tensor.rank(), std::string());
        break;
      case Spelling::Shapes::unknown_rank:
        break;
    }
    model.input(name, std::move(tensor), extents);
  };
  const auto real = [&](const std::string& name, const std::vector<double>& values,
                        std::vector<int64_t> extents, bool weight, std::vector<Extent> symbols) {
    if (values.empty()) return model.absent();
    Tensor tensor = tensor_of(spelling.element, std::move(extents), values);
    if (weight && spelling.constant_weights) return model.constant(name, tensor);
    declare(name, std::move(tensor), std::move(symbols));
  };
  const bool bf = layer.batch_first;
  declare("X",
          tensor_of(spelling.element, bf ? std::vector{N, T, I} : std::vector{T, N, I}, layer.x),
          bf ? std::vector<Extent>{"N", "T", I} : std::vector<Extent>{"T", "N", I});
  real("W", layer.w, {D, g * H, I}, true, {D, "W1", "W2"});
  real("R", layer.r, {D, g * H, H}, true, {D, "R1", H});
  real("B", layer.b, {D, 2 * g * H}, true, {D, "B1"});
  if (layer.lengths.empty()) {
    model.absent();
  } else {
    Tensor lengths(ElementType::i32, {N});
    for (size_t n = 0; n < layer.lengths.size(); ++n) {
      lengths.data<int32_t>()[n] = static_cast<int32_t>(layer.lengths[n]);
    }
    declare("sequence_lens", std::move(lengths), {"N"});
  }
  const auto state_extents = bf ? std::vector{N, D, H} : std::vector{D, N, H};
  const auto state_symbols = bf ? std::vector<Extent>{"N", D, H} : std::vector<Extent>{D, "M", H};
  real("initial_h", layer.h0, state_extents, false, state_symbols);
  if (layer.op == "LSTM") {
    real("initial_c", layer.c0, state_extents, false, state_symbols);
    real("P", layer.p, {D, 3 * H}, true, {D, "P1"});
  }
  model.output(spelling.want_y ? "Y" : "");
  model.output(spelling.want_h ? "Y_h" : "");
  if (layer.op == "LSTM") model.output(spelling.want_c ? "Y_c" : "");

  if (spelling.hidden_size) model.set("hidden_size", H);
  if (D == 2) model.set("direction", std::string("bidirectional"));
  if (D == 1 && layer.reverse[0]) model.set("direction", std::string("reverse"));
  if (bf) model.set("layout", int64_t{1});
  if (layer.clip > 0) model.set("clip", static_cast<float>(layer.clip));
  if (layer.input_forget) model.set("input_forget", int64_t{1});
  if (layer.linear_before_reset) model.set("linear_before_reset", int64_t{1});
  std::vector<std::string> names;
  std::vector<float> alphas, betas;
  for (const auto& function : layer.activations) {
    names.push_back(function.name);
    if (takes_alpha(function.name)) alphas.push_back(static_cast<float>(function.alpha));
    if (takes_beta(function.name)) betas.push_back(static_cast<float>(function.beta));
  }
  model.set("activations", names);
  if (!alphas.empty()) model.set("activation_alpha", alphas);
  if (!betas.empty()) model.set("activation_beta", betas);
  return model;
}

std::vector<double> random_reals(Random& random, int64_t count, double scale) {
  std::vector<double> result;
  for (int64_t i = 0; i < count; ++i) {
    result.push_back(static_cast<float>(random.uniform(-scale, scale)));
  }
  return result;
}

RecurrentLayer plain_layer(const std::string& op, Random& random, int64_t T, int64_t N, int64_t I,
                           int64_t H, int64_t D) {
  RecurrentLayer layer;
  layer.op = op;
  layer.steps = T;
  layer.batch = N;
  layer.inputs = I;
  layer.hidden = H;
  layer.reverse = D == 2 ? std::vector<bool>{false, true} : std::vector<bool>{false};
  for (int64_t d = 0; d < D; ++d) {
    for (const std::string& name : default_activations(op)) layer.activations.push_back({name});
  }
  const int64_t g = layer.gates();
  layer.x = random_reals(random, T * N * I);
  layer.w = random_reals(random, D * g * H * I);
  layer.r = random_reals(random, D * g * H * H, 0.7);
  return layer;
}

}  // namespace refrain::testing
