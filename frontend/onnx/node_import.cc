#include "frontend/onnx/node_import.h"

#include <algorithm>

#include "frontend/onnx/graph_import.h"
#include "frontend/onnx/proto.h"
#include "frontend/onnx/tensor_proto.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

using onnx::AttributeProto;

std::string type_name(int type) {
  return AttributeProto::AttributeType_IsValid(type)
             ? AttributeProto::AttributeType_Name(static_cast<AttributeProto::AttributeType>(type))
             : std::to_string(type);
}

constexpr int kMaxItems = 8;  // of a list, in messages

// The attribute's value in a few characters, for messages.
std::string value_text(const AttributeProto& attribute) {
  const auto list = [](const auto& values, const auto& text) {
    std::string result = "[";
    for (int i = 0; i < std::min(values.size(), kMaxItems); ++i) {
      result += (i > 0 ? ", " : "") + text(values[i]);
    }
    return result + (values.size() > kMaxItems ? ", ...]" : "]");
  };
  const auto number = [](auto value) { return std::to_string(value); };
  switch (attribute.type()) {
    case AttributeProto::INT:
      return number(attribute.i());
    case AttributeProto::FLOAT:
      return number(attribute.f());
    case AttributeProto::STRING:
      return attribute.s().substr(0, 40);
    case AttributeProto::INTS:
      return list(attribute.ints(), number);
    case AttributeProto::FLOATS:
      return list(attribute.floats(), number);
    case AttributeProto::STRINGS:
      return list(attribute.strings(), [](const std::string& s) { return s.substr(0, 40); });
    default:
      return type_name(attribute.type());
  }
}

}  // namespace

NodeImport::NodeImport(const onnx::NodeProto& proto, int opset, std::vector<Value*> inputs,
                       Builder& builder, GraphImporter& graph)
    : proto_(proto), opset_(opset), inputs_(std::move(inputs)), builder_(builder), graph_(graph) {
  for (const AttributeProto& attribute : proto.attribute()) {
    if (attribute.name().empty()) throw Error("an attribute has no name");
    if (!attributes_.emplace(attribute.name(), &attribute).second) {
      throw Error("attribute \"" + attribute.name() + "\" is given twice");
    }
    if (!attribute.ref_attr_name().empty()) {
      throw Error("attribute \"" + attribute.name() + "\" refers to an attribute of a function",
                  "a value", "a reference outside of any function");
    }
  }
}

Value* NodeImport::input(size_t i) const {
  if (!has_input(i)) {
    throw Error("input " + std::to_string(i) + " is missing", "a value",
                std::to_string(input_count()) + " inputs");
  }
  return inputs_[i];
}

std::optional<std::vector<int64_t>> NodeImport::constant_ints(size_t i) const {
  const TensorPtr tensor = constant_tensor(optional_input(i));
  if (!tensor) return std::nullopt;
  return tensor->view().as_ints();
}

size_t NodeImport::rank(size_t i) const {
  const ValueType& type = input(i)->type();
  if (!type.is_tensor())
    throw Error("wrong type of input " + std::to_string(i), "a tensor", to_string(type));
  if (!type.shape.ranked()) {
    throw Error("the rank of input " + std::to_string(i) + " is not known", "a known rank",
                to_string(type));
  }
  return type.shape.rank();
}

size_t NodeImport::output_count() const { return static_cast<size_t>(proto_.output_size()); }

bool NodeImport::wants_output(size_t i) const {
  return i < output_count() && !proto_.output(static_cast<int>(i)).empty();
}

void NodeImport::set_output(size_t i, Value* value) {
  if (i >= outputs_.size()) outputs_.resize(i + 1);
  outputs_[i] = value;
  if (value && value->name().empty() && wants_output(i))
    value->set_name(proto_.output(static_cast<int>(i)));
}

void NodeImport::set_outputs(const Node& node) {
  for (size_t i = 0; i < node.result_count(); ++i) set_output(i, node.result(i));
}

bool NodeImport::has_attribute(std::string_view name) const { return attributes_.contains(name); }

const AttributeProto* NodeImport::find(std::string_view name, int type) {
  const auto it = attributes_.find(name);
  if (it == attributes_.end()) return nullptr;
  if (it->second->type() != type) {
    throw Error("wrong type of attribute " + std::string(name), type_name(type),
                type_name(it->second->type()));
  }
  read_.insert(it->first);
  return it->second;
}

const AttributeProto& NodeImport::require(std::string_view name, int type) {
  const AttributeProto* attribute = find(name, type);
  if (!attribute) throw Error("missing attribute", std::string(name), "none of that name");
  return *attribute;
}

int64_t NodeImport::integer(std::string_view name, int64_t default_value) {
  const AttributeProto* attribute = find(name, AttributeProto::INT);
  return attribute ? attribute->i() : default_value;
}

int64_t NodeImport::integer(std::string_view name) {
  return require(name, AttributeProto::INT).i();
}

bool NodeImport::flag(std::string_view name, bool default_value) {
  return integer(name, default_value) != 0;
}

double NodeImport::real(std::string_view name, double default_value) {
  const AttributeProto* attribute = find(name, AttributeProto::FLOAT);
  return attribute ? static_cast<double>(attribute->f()) : default_value;
}

std::string NodeImport::string(std::string_view name, std::string_view default_value) {
  const AttributeProto* attribute = find(name, AttributeProto::STRING);
  return attribute ? attribute->s() : std::string(default_value);
}

std::string NodeImport::string(std::string_view name) {
  return require(name, AttributeProto::STRING).s();
}

std::optional<std::vector<int64_t>> NodeImport::integers(std::string_view name) {
  const AttributeProto* attribute = find(name, AttributeProto::INTS);
  if (!attribute) return std::nullopt;
  return std::vector<int64_t>(attribute->ints().begin(), attribute->ints().end());
}

std::optional<std::vector<double>> NodeImport::reals(std::string_view name) {
  const AttributeProto* attribute = find(name, AttributeProto::FLOATS);
  if (!attribute) return std::nullopt;
  return std::vector<double>(attribute->floats().begin(), attribute->floats().end());
}

std::optional<std::vector<std::string>> NodeImport::strings(std::string_view name) {
  const AttributeProto* attribute = find(name, AttributeProto::STRINGS);
  if (!attribute) return std::nullopt;
  return std::vector<std::string>(attribute->strings().begin(), attribute->strings().end());
}

TensorPtr NodeImport::tensor(std::string_view name) {
  const auto it = attributes_.find(name);
  if (it != attributes_.end() && it->second->type() == AttributeProto::SPARSE_TENSOR) {
    return graph_.model().tensor(find(name, AttributeProto::SPARSE_TENSOR)->sparse_tensor());
  }
  const AttributeProto* attribute = find(name, AttributeProto::TENSOR);
  return attribute ? graph_.model().tensor(attribute->t()) : nullptr;
}

std::optional<ValueType> NodeImport::type(std::string_view name) {
  const AttributeProto* attribute = find(name, AttributeProto::TYPE_PROTO);
  if (!attribute) return std::nullopt;
  return value_type_from_proto(attribute->tp());
}

const onnx::GraphProto& NodeImport::subgraph(std::string_view name) {
  return require(name, AttributeProto::GRAPH).g();
}

void NodeImport::ignore(std::string_view name) {
  if (const auto it = attributes_.find(name); it != attributes_.end()) read_.insert(it->first);
}

void NodeImport::unsupported(const std::string& what) const { throw UnsupportedNode{what}; }

std::vector<std::string> NodeImport::unread_attributes() const {
  std::vector<std::string> unread;
  for (const AttributeProto& attribute : proto_.attribute()) {
    if (!read_.contains(attribute.name()))
      unread.push_back(attribute.name() + " = " + value_text(attribute));
  }
  return unread;
}

}  // namespace refrain::onnx_import
