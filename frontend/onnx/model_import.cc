#include "frontend/onnx/model_import.h"

#include <algorithm>

#include "frontend/onnx/node_import.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

// How often a node may be imported on average. Bodies are imported again while the types of their
// states grow more general: a few times each, and once more for each such step of the loops around.
constexpr int64_t kMaxImportsPerNode = 1000;
// What model-local functions may grow to when they are inlined.
constexpr int64_t kMaxInlinedNodes = 200'000;
constexpr int64_t kMaxInlinedBytes = int64_t{1} << 28;

int64_t count_nodes(const onnx::GraphProto& graph) {
  int64_t count = graph.node_size();
  for (const onnx::NodeProto& node : graph.node()) {
    for (const onnx::GraphProto* inner : subgraphs(node)) count += count_nodes(*inner);
  }
  return count;
}

// Attributes of the call by name, and the function's defaults for those that the call leaves out.
using Arguments = std::unordered_map<std::string_view, const onnx::AttributeProto*>;

void substitute(google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes,
                const Arguments& arguments) {
  for (onnx::NodeProto& node : nodes) {
    auto& attributes = *node.mutable_attribute();
    for (int i = 0; i < attributes.size();) {
      onnx::AttributeProto& attribute = attributes[i];
      if (!attribute.ref_attr_name().empty()) {
        const auto it = arguments.find(attribute.ref_attr_name());
        if (it == arguments.end()) {  // not given: the node's own default holds
          attributes.DeleteSubrange(i, 1);
          continue;
        }
        const std::string name = attribute.name();
        attribute = *it->second;
        attribute.set_name(name);
      } else {
        if (attribute.has_g()) substitute(*attribute.mutable_g()->mutable_node(), arguments);
        for (auto& graph : *attribute.mutable_graphs())
          substitute(*graph.mutable_node(), arguments);
      }
      ++i;
    }
  }
}

// FunctionProto.attribute_proto, attributes with defaults, is newer than the messages that we are
// built with, which keep it as an unknown field.
std::vector<onnx::AttributeProto> default_attributes(const onnx::FunctionProto& function) {
  constexpr int kAttributeProto = 11;
  std::vector<onnx::AttributeProto> defaults;
  const auto& unknown = function.unknown_fields();
  for (int i = 0; i < unknown.field_count(); ++i) {
    const auto& field = unknown.field(i);
    if (field.number() != kAttributeProto ||
        field.type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
      continue;
    }
    if (!defaults.emplace_back().ParseFromString(field.length_delimited())) {
      throw Error("malformed default attribute of function \"" + function.name() + "\"");
    }
  }
  return defaults;
}

}  // namespace

std::string_view normal_domain(std::string_view domain) {
  return domain == "ai.onnx" ? "" : domain;
}

std::string op_label(const onnx::NodeProto& node) {
  const std::string_view domain = normal_domain(node.domain());
  return domain.empty() ? node.op_type() : std::string(domain) + "." + node.op_type();
}

const OpEntry* find_op(const onnx::NodeProto& node, const Opsets& opsets) {
  if (!normal_domain(node.domain()).empty()) return nullptr;
  const auto opset = opsets.find("");
  if (opset == opsets.end()) {
    throw Error("the model imports no opset of the default domain", "1 or newer", "none");
  }
  return find_op(node.op_type(), opset->second);
}

std::string missing_op_label(const onnx::NodeProto& node, const Opsets& opsets) {
  const bool other_opset = normal_domain(node.domain()).empty() && knows_op(node.op_type());
  return op_label(node) + (other_opset ? " in opset " + std::to_string(opsets.at("")) : "");
}

const std::string& node_label(const onnx::NodeProto& node) {
  return node.name().empty() && node.output_size() > 0 ? node.output(0) : node.name();
}

std::vector<const onnx::GraphProto*> subgraphs(const onnx::NodeProto& node) {
  std::vector<const onnx::GraphProto*> graphs;
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.has_g()) graphs.push_back(&attribute.g());
    for (const onnx::GraphProto& graph : attribute.graphs()) graphs.push_back(&graph);
  }
  return graphs;
}

ModelImport::ModelImport(const onnx::ModelProto& proto, TensorSource source)
    : source_(std::move(source)), opsets_(read_opsets(proto.opset_import())) {
  for (const onnx::FunctionProto& function : proto.functions()) {
    const std::string_view domain = normal_domain(function.domain()), name = function.name();
    if (!functions_.emplace(std::pair(domain, name), &function).second) {
      throw Error("a function is defined twice", "distinct names", "\"" + function.name() + "\"");
    }
  }
  nodes_ = count_nodes(proto.graph());
}

TensorPtr ModelImport::tensor(const onnx::TensorProto& proto) {
  TensorPtr& tensor = tensors_[&proto];
  if (!tensor) tensor = std::make_shared<const Tensor>(tensor_from_proto(proto, source_));
  return tensor;
}

TensorPtr ModelImport::tensor(const onnx::SparseTensorProto& proto) {
  TensorPtr& tensor = tensors_[&proto];
  if (!tensor) tensor = std::make_shared<const Tensor>(tensor_from_proto(proto, source_));
  return tensor;
}

std::span<const std::string_view> ModelImport::free_names(const onnx::GraphProto& graph) {
  if (const auto it = free_names_.find(&graph); it != free_names_.end()) return it->second;
  std::unordered_set<std::string_view> known{""};  // defined here, or free and listed already
  for (const auto& input : graph.input()) known.insert(input.name());
  for (const auto& tensor : graph.initializer()) known.insert(tensor.name());
  for (const auto& tensor : graph.sparse_initializer()) known.insert(tensor.values().name());
  for (const onnx::NodeProto& node : graph.node())
    known.insert(node.output().begin(), node.output().end());

  std::vector<std::string_view> names;
  const auto use = [&](std::string_view name) {
    if (known.insert(name).second) names.push_back(name);
  };
  for (const onnx::NodeProto& node : graph.node()) {
    for (const std::string& name : node.input()) use(name);
    for (const onnx::GraphProto* inner : subgraphs(node)) {
      for (std::string_view name : free_names(*inner)) use(name);
    }
  }
  for (const auto& output : graph.output()) use(output.name());
  return free_names_[&graph] = std::move(names);
}

void ModelImport::report_unsupported(const void* what, std::string item) {
  unsupported_.emplace(what, std::move(item));
}

void ModelImport::check_supported(const onnx::NodeProto& node, const Opsets& opsets) {
  if (!find_function(node)) {
    if (!find_op(node, opsets)) report_unsupported(&node, missing_op_label(node, opsets));
  }
  check_subgraphs(node, opsets);
}

void ModelImport::check_subgraphs(const onnx::NodeProto& node, const Opsets& opsets) {
  for (const onnx::GraphProto* graph : subgraphs(node)) {
    for (const onnx::NodeProto& inner : graph->node()) check_supported(inner, opsets);
  }
}

void ModelImport::throw_if_unsupported() const {
  if (unsupported_.empty()) return;
  std::map<std::string, int64_t> counts;
  for (const auto& [what, item] : unsupported_) ++counts[item];
  throw UnsupportedError({counts.begin(), counts.end()});
}

const onnx::FunctionProto* ModelImport::find_function(const onnx::NodeProto& call) const {
  if (functions_.empty()) return nullptr;
  const auto it = functions_.find({normal_domain(call.domain()), call.op_type()});
  return it == functions_.end() ? nullptr : it->second;
}

const onnx::GraphProto& ModelImport::instantiate(const onnx::FunctionProto& function,
                                                 const onnx::NodeProto& call) {
  std::unique_ptr<onnx::GraphProto>& instance = instances_[&call];
  if (instance) return *instance;
  const std::vector<onnx::AttributeProto> defaults = default_attributes(function);
  Arguments arguments;
  for (const onnx::AttributeProto& attribute : defaults)
    arguments.emplace(attribute.name(), &attribute);
  for (const onnx::AttributeProto& attribute : call.attribute()) {
    const auto& declared = function.attribute();
    if (!arguments.contains(attribute.name()) &&
        std::find(declared.begin(), declared.end(), attribute.name()) == declared.end()) {
      throw UnsupportedNode{"attribute " + attribute.name()};
    }
    arguments[attribute.name()] = &attribute;
  }
  inlined_bytes_ += static_cast<int64_t>(function.ByteSizeLong());
  if (inlined_bytes_ > kMaxInlinedBytes) {
    throw Error("the model's functions grow too large", std::to_string(kMaxInlinedBytes) + " bytes",
                "more");
  }
  auto graph = std::make_unique<onnx::GraphProto>();
  *graph->mutable_node() = function.node();
  substitute(*graph->mutable_node(), arguments);
  inlined_nodes_ += count_nodes(*graph);
  if (inlined_nodes_ > kMaxInlinedNodes) {
    throw Error("the model's functions grow too large", std::to_string(kMaxInlinedNodes) + " nodes",
                "more");
  }
  instance = std::move(graph);
  return *instance;
}

void ModelImport::enter(const onnx::FunctionProto& function) {
  if (!active_.insert(&function).second) {
    throw Error("a function calls itself", "functions without recursion",
                "\"" + function.name() + "\"");
  }
  if (active_.size() > static_cast<size_t>(kMaxRegionDepth)) {
    active_.erase(&function);
    throw Error("functions call each other too deeply",
                "at most " + std::to_string(kMaxRegionDepth) + " levels");
  }
}

void ModelImport::count_node() {
  if (++imported_ > kMaxImportsPerNode * (nodes_ + inlined_nodes_ + 1)) {
    throw Error("the types of nested loops' states take too long to settle",
                "at most " + std::to_string(kMaxImportsPerNode) + " imports per node");
  }
}

}  // namespace refrain::onnx_import
