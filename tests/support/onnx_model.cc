#include "support/onnx_model.h"

#include <type_traits>

namespace refrain::testing {
namespace {

int data_type(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return onnx::TensorProto::FLOAT;
    case ElementType::f64:
      return onnx::TensorProto::DOUBLE;
    case ElementType::bf16:
      return onnx::TensorProto::BFLOAT16;
    case ElementType::f16:
      return onnx::TensorProto::FLOAT16;
    case ElementType::i8:
      return onnx::TensorProto::INT8;
    case ElementType::i16:
      return onnx::TensorProto::INT16;
    case ElementType::i32:
      return onnx::TensorProto::INT32;
    case ElementType::i64:
      return onnx::TensorProto::INT64;
    case ElementType::u8:
      return onnx::TensorProto::UINT8;
    case ElementType::u16:
      return onnx::TensorProto::UINT16;
    case ElementType::u32:
      return onnx::TensorProto::UINT32;
    case ElementType::u64:
      return onnx::TensorProto::UINT64;
    case ElementType::boolean:
      break;
  }
  return onnx::TensorProto::BOOL;
}

void fill(onnx::AttributeProto& proto, const OnnxAttribute& attribute) {
  proto.set_name(attribute.name);
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, int64_t>) {
          proto.set_type(onnx::AttributeProto::INT);
          proto.set_i(value);
        } else if constexpr (std::is_same_v<T, double>) {
          proto.set_type(onnx::AttributeProto::FLOAT);
          proto.set_f(static_cast<float>(value));
        } else if constexpr (std::is_same_v<T, std::string>) {
          proto.set_type(onnx::AttributeProto::STRING);
          proto.set_s(value);
        } else if constexpr (std::is_same_v<T, Ints>) {
          proto.set_type(onnx::AttributeProto::INTS);
          for (int64_t v : value) proto.add_ints(v);
        } else if constexpr (std::is_same_v<T, Floats>) {
          proto.set_type(onnx::AttributeProto::FLOATS);
          for (double v : value) proto.add_floats(static_cast<float>(v));
        } else if constexpr (std::is_same_v<T, Strings>) {
          proto.set_type(onnx::AttributeProto::STRINGS);
          for (const std::string& v : value) proto.add_strings(v);
        } else if constexpr (std::is_same_v<T, TensorPtr>) {
          proto.set_type(onnx::AttributeProto::TENSOR);
          *proto.mutable_t() = onnx_tensor(*value, {});
        } else {
          proto.set_type(onnx::AttributeProto::GRAPH);
          *proto.mutable_g() = value;
        }
      },
      attribute.value);
}

}  // namespace

onnx::TensorProto onnx_tensor(const Tensor& tensor, const std::string& name) {
  onnx::TensorProto proto;
  if (!name.empty()) proto.set_name(name);
  proto.set_data_type(data_type(tensor.type()));
  for (int64_t extent : tensor.extents()) proto.add_dims(extent);
  proto.set_raw_data(tensor.raw(), static_cast<size_t>(tensor.bytes()));
  return proto;
}

onnx::TypeProto onnx_type(const ValueType& type) {
  onnx::TypeProto proto;
  if (type.optional) {
    ValueType inner = type;
    inner.optional = false;
    *proto.mutable_optional_type()->mutable_elem_type() = onnx_type(inner);
    return proto;
  }
  if (type.kind == ValueType::Kind::sequence) {
    *proto.mutable_sequence_type()->mutable_elem_type() =
        onnx_type(ValueType::tensor(type.element, type.shape));
    return proto;
  }
  proto.mutable_tensor_type()->set_elem_type(data_type(type.element));
  if (!type.shape.ranked()) return proto;
  auto* shape = proto.mutable_tensor_type()->mutable_shape();
  for (Dim dim : type.shape.dims()) {
    auto* added = shape->add_dim();
    if (dim.is_constant()) added->set_dim_value(dim.extent());
    if (dim.is_symbol()) added->set_dim_param(dim.name());
  }
  return proto;
}

OnnxGraph& OnnxGraph::input(const std::string& name, const ValueType& type) {
  auto* info = proto_->add_input();
  info->set_name(name);
  *info->mutable_type() = onnx_type(type);
  return *this;
}

OnnxGraph& OnnxGraph::initializer(const std::string& name, const Tensor& tensor) {
  *proto_->add_initializer() = onnx_tensor(tensor, name);
  return *this;
}

OnnxGraph& OnnxGraph::node(const std::string& op, const Strings& inputs, const Strings& outputs,
                           const std::vector<OnnxAttribute>& attributes,
                           const std::string& domain) {
  auto* node = proto_->add_node();
  node->set_op_type(op);
  node->set_domain(domain);
  if (!outputs.empty()) node->set_name(outputs.front());
  for (const std::string& name : inputs) node->add_input(name);
  for (const std::string& name : outputs) node->add_output(name);
  for (const OnnxAttribute& attribute : attributes) fill(*node->add_attribute(), attribute);
  return *this;
}

OnnxGraph& OnnxGraph::output(const std::string& name) {
  proto_->add_output()->set_name(name);
  return *this;
}

OnnxGraph& OnnxGraph::output(const std::string& name, const ValueType& type) {
  output(name);
  *proto_->mutable_output()->rbegin()->mutable_type() = onnx_type(type);
  return *this;
}

OnnxModel::OnnxModel(int opset, int ir_version) {
  proto_.set_ir_version(ir_version);
  auto* import = proto_.add_opset_import();
  import->set_domain("");
  import->set_version(opset);
  proto_.mutable_graph()->set_name("test");
}

}  // namespace refrain::testing
