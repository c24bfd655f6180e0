#include "frontend/onnx/graph_import.h"

#include <utility>

#include "frontend/onnx/node_import.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

// Nested importers of all kinds, sub-graphs and calls of functions: bounds the recursion.
constexpr int kMaxNesting = 512;

}  // namespace

GraphImporter::GraphImporter(ModelImport& model, Region& region)
    : model_(model), opsets_(&model.opsets()), builder_(region) {}

GraphImporter::GraphImporter(GraphImporter& parent, Region& region, Sight sight, int levels)
    : model_(parent.model_),
      parent_(&parent),
      sight_(sight),
      opsets_(parent.opsets_),
      builder_(region),
      depth_(parent.depth_ + levels),
      nesting_(parent.nesting_ + 1),
      prefix_(parent.prefix_) {
  if (depth_ > kMaxRegionDepth || nesting_ > kMaxNesting) {
    throw Error("sub-graphs are nested too deeply",
                "at most " + std::to_string(kMaxRegionDepth - 1));
  }
}

void GraphImporter::insert(std::string_view name, Binding binding) {
  if (name.empty()) throw Error("a value has an empty name");
  if (!bindings_.emplace(name, std::move(binding)).second) {
    throw Error("a name is defined twice", "one definition of each name",
                "\"" + std::string(name) + "\"");
  }
}

void GraphImporter::define(std::string_view name, Value* value) {
  insert(name, {value, nullptr, false});
}
void GraphImporter::define(std::string_view name, TensorPtr constant) {
  insert(name, {nullptr, std::move(constant), false});
}
void GraphImporter::poison(std::string_view name) { insert(name, {nullptr, nullptr, true}); }

const Value* GraphImporter::value(std::string_view name) const {
  const auto it = bindings_.find(name);
  return it == bindings_.end() ? nullptr : it->second.value;
}

GraphImporter::Binding* GraphImporter::find(std::string_view name) {
  for (GraphImporter* importer = this; importer; importer = importer->parent_) {
    if (const auto it = importer->bindings_.find(name); it != importer->bindings_.end())
      return &it->second;
    if (importer->sight_ != Sight::inlined) break;
  }
  return nullptr;
}

Value* GraphImporter::use(std::string_view name) {
  Binding* binding = find(name);
  if (!binding) fail_undefined(name);
  if (binding->poisoned) throw PoisonedNode{};
  if (!binding->value && binding->constant) {
    // Graphs that see each other's names share one region, so the node serves them all.
    builder_.set_node_name({});
    binding->value = builder_.constant(binding->constant);
    binding->value->set_name(std::string(name));
  }
  return binding->value;
}

void GraphImporter::fail_undefined(std::string_view name) const {
  for (const GraphImporter* importer = this; importer; importer = importer->parent_) {
    if (importer->graph_ && importer->current_) {
      diagnose_undefined(model_, *importer->graph_, *importer->current_, name);
    }
    if (importer->sight_ == Sight::call) break;
  }
  throw Error("nothing defines a name", "an input, an initializer or an earlier node's output",
              "\"" + std::string(name) + "\"");
}

void GraphImporter::import(const onnx::GraphProto& graph) {
  graph_ = &graph;
  std::unordered_set<std::string_view> given;
  for (const auto& input : graph.input()) {
    if (bindings_.contains(input.name())) given.insert(input.name());
  }
  const auto define_initializer = [&](const std::string& name, const auto& proto) {
    if (given.contains(name)) return;
    try {
      define(name, model_.tensor(proto));
    } catch (const UnsupportedNode& unsupported) {
      model_.report_unsupported(&proto, "initializer: " + unsupported.what);
      poison(name);
    }
  };
  for (const auto& tensor : graph.initializer()) define_initializer(tensor.name(), tensor);
  for (const auto& tensor : graph.sparse_initializer())
    define_initializer(tensor.values().name(), tensor);
  for (const onnx::NodeProto& node : graph.node()) import_node(node);
  current_ = nullptr;
}

std::vector<Value*> GraphImporter::outputs(const onnx::GraphProto& graph) {
  std::vector<Value*> values;
  bool poisoned = false;
  for (const auto& output : graph.output()) {
    if (!find(output.name())) {
      throw Error("nothing defines an output of the graph", "the output of a node",
                  "\"" + output.name() + "\"");
    }
    try {
      values.push_back(use(output.name()));
    } catch (const PoisonedNode&) {
      poisoned = true;
    }
    if (!poisoned && !values.back()) {
      throw Error("an output of the graph is absent", "a value", "\"" + output.name() + "\"");
    }
  }
  if (poisoned) throw PoisonedNode{};
  return values;
}

void GraphImporter::import_node(const onnx::NodeProto& node) {
  current_ = &node;
  const auto poison_outputs = [&] {
    for (const std::string& name : node.output()) {
      if (!name.empty()) poison(name);
    }
  };
  try {
    model_.count_node();
    if (node.op_type().empty()) throw Error("a node has no operator", "an op_type", "an empty one");
    try {
      std::vector<Value*> inputs;
      inputs.reserve(static_cast<size_t>(node.input_size()));
      for (const std::string& name : node.input())
        inputs.push_back(name.empty() ? nullptr : use(name));
      builder_.set_node_name(prefix_ + node_label(node));
      if (const onnx::FunctionProto* function = model_.find_function(node)) {
        import_call(*function, node, inputs);
      } else {
        import_op(node, std::move(inputs));
      }
    } catch (const UnsupportedNode& unsupported) {
      model_.report_unsupported(&node, op_label(node) + " " + unsupported.what);
      model_.check_subgraphs(node, *opsets_);
      poison_outputs();
    } catch (const PoisonedNode&) {
      model_.check_supported(node, *opsets_);
      poison_outputs();
    }
  } catch (Error& error) {
    error.at_node(prefix_ + node_label(node), op_label(node));
    throw;
  }
}

void GraphImporter::import_op(const onnx::NodeProto& node, std::vector<Value*> inputs) {
  const OpEntry* entry = find_op(node, *opsets_);
  if (!entry) throw PoisonedNode{};  // reported where that is caught
  NodeImport import(node, opsets_->at(""), std::move(inputs), builder_, *this);
  entry->import(import);
  std::string unread;
  for (const std::string& attribute : import.unread_attributes()) {
    unread += (unread.empty() ? "attribute " : ", attribute ") + attribute;
  }
  if (!unread.empty()) throw UnsupportedNode{unread};
  for (size_t i = 0; i < import.output_count(); ++i) {
    if (!import.wants_output(i)) continue;
    Value* value = i < import.outputs().size() ? import.outputs()[i] : nullptr;
    if (!value) {
      throw Error("a node has an output that its operator has not",
                  "at most " + std::to_string(import.outputs().size()),
                  "output " + std::to_string(i) + ", \"" + node.output(static_cast<int>(i)) + "\"");
    }
    define(node.output(static_cast<int>(i)), value);
  }
}

void GraphImporter::import_call(const onnx::FunctionProto& function, const onnx::NodeProto& node,
                                std::span<Value* const> inputs) {
  if (node.input_size() > function.input_size() || node.output_size() > function.output_size()) {
    throw Error("a call does not fit its function",
                "at most " + std::to_string(function.input_size()) + " inputs and " +
                    std::to_string(function.output_size()) + " outputs",
                std::to_string(node.input_size()) + " and " + std::to_string(node.output_size()));
  }
  const onnx::GraphProto& graph = model_.instantiate(function, node);
  const Opsets opsets = read_opsets(function.opset_import());
  GraphImporter inner(*this, builder_.region(), Sight::call, 0);
  inner.opsets_ = &opsets;
  inner.prefix_ = prefix_ + node_label(node) + "/";
  for (int i = 0; i < function.input_size(); ++i) {
    const auto index = static_cast<size_t>(i);
    inner.define(function.input(i), index < inputs.size() ? inputs[index] : nullptr);
  }
  struct Active {
    ModelImport& model;
    const onnx::FunctionProto& function;
    Active(ModelImport& m, const onnx::FunctionProto& f) : model(m), function(f) {
      model.enter(function);
    }
    ~Active() { model.leave(function); }
  };
  {
    const Active active(model_, function);
    inner.import(graph);
  }
  for (int i = 0; i < node.output_size(); ++i) {
    if (!node.output(i).empty()) define(node.output(i), inner.use(function.output(i)));
  }
}

Captures GraphImporter::captures(std::span<const onnx::GraphProto* const> graphs) {
  Captures captures;
  std::unordered_set<std::string_view> seen;
  for (const onnx::GraphProto* graph : graphs) {
    for (std::string_view name : model_.free_names(*graph)) {
      if (!seen.insert(name).second) continue;
      const Binding* binding = find(name);
      if (!binding) continue;  // the node that uses it makes the better message
      if (binding->poisoned) throw PoisonedNode{};
      if (TensorPtr tensor =
              binding->constant ? binding->constant : constant_tensor(binding->value)) {
        captures.constants.emplace_back(name, std::move(tensor));
      } else if (binding->value) {
        captures.names.push_back(name);
        captures.values.push_back(binding->value);
      }
    }
  }
  return captures;
}

std::vector<Value*> GraphImporter::import_region(const onnx::GraphProto& graph, Region& region,
                                                 const Captures& captures,
                                                 std::span<Value* const> invariants,
                                                 std::span<Value* const> inputs, int levels) {
  if (static_cast<size_t>(graph.input_size()) != inputs.size()) {
    throw Error("wrong number of inputs of sub-graph \"" + graph.name() + "\"",
                std::to_string(inputs.size()), std::to_string(graph.input_size()));
  }
  GraphImporter inner(*this, region, Sight::region, levels);
  for (int i = 0; i < graph.input_size(); ++i) {
    inner.define(graph.input(i).name(), inputs[static_cast<size_t>(i)]);
  }
  // Names that another of the node's sub-graphs captures may be this one's own: they are hidden.
  const auto free = model_.free_names(graph);
  const std::unordered_set<std::string_view> wanted(free.begin(), free.end());
  for (size_t i = 0; i < captures.names.size(); ++i) {
    if (wanted.contains(captures.names[i])) inner.define(captures.names[i], invariants[i]);
  }
  for (const auto& [name, tensor] : captures.constants) {
    if (wanted.contains(name)) inner.define(name, tensor);
  }
  inner.import(graph);
  return inner.outputs(graph);
}

std::vector<Value*> GraphImporter::import_inline(const onnx::GraphProto& graph) {
  if (graph.input_size() != 0) {
    throw Error("wrong number of inputs of sub-graph \"" + graph.name() + "\"", "0",
                std::to_string(graph.input_size()));
  }
  GraphImporter inner(*this, builder_.region(), Sight::inlined, 0);
  inner.import(graph);
  return inner.outputs(graph);
}

}  // namespace refrain::onnx_import
