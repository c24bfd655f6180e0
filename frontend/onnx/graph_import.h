// ONNX graphs to regions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "frontend/onnx/model_import.h"
#include "frontend/onnx/proto.h"
#include "ir/builder.h"

namespace refrain::onnx_import {

// Thrown where a node can't be imported because something that it needs is unsupported, which has
// been reported already; caught by the importer of the graph that the node is in.
struct PoisonedNode {};

// What sub-graphs need from the graph around them. Constants are made anew inside; the other values
// become invariants of the node that holds the sub-graphs.
struct Captures {
  std::vector<std::string_view> names;
  std::vector<Value*> values;  // of the names
  std::vector<std::pair<std::string_view, TensorPtr>> constants;
};

// Imports one graph into one region. Importers of nested graphs form a chain as deep as the
// nesting.
class GraphImporter {
 public:
  // The graph of a model.
  GraphImporter(ModelImport& model, Region& region);

  ModelImport& model() const { return model_; }
  Builder& builder() { return builder_; }

  // Gives a name of this graph its value. Throws Error if it has one. Names must outlive the
  // importer.
  void define(std::string_view name, Value* value);  // null: an optional input that is absent
  void define(std::string_view name, TensorPtr constant);
  void poison(std::string_view name);

  // The value of a name of this graph; null if it has none or could not be imported.
  const Value* value(std::string_view name) const;

  // Initializers (but those with names that are defined already) and nodes.
  void import(const onnx::GraphProto& graph);
  // Values of the graph's outputs. Throws PoisonedNode if one could not be imported.
  std::vector<Value*> outputs(const onnx::GraphProto& graph);

  // What the sub-graphs of the current node take from outside. Throws PoisonedNode.
  Captures captures(std::span<const onnx::GraphProto* const> graphs);
  // Imports a sub-graph of the current node into a region of its own, which gets no yield. `inputs`
  // are the values in that region of the sub-graph's inputs, `invariants` those of the captures'
  // values. `levels`: how many regions deeper than this graph's region it is. Throws PoisonedNode.
  std::vector<Value*> import_region(const onnx::GraphProto& graph, Region& region,
                                    const Captures& captures, std::span<Value* const> invariants,
                                    std::span<Value* const> inputs, int levels = 1);
  // Imports a sub-graph without inputs in place, into this graph's region. Throws PoisonedNode.
  std::vector<Value*> import_inline(const onnx::GraphProto& graph);

 private:
  // How a graph is nested in its parent: in a region of its own, in the same region seeing the
  // parent's names, or in the same region as the body of a function, which sees nothing.
  enum class Sight { region, inlined, call };

  struct Binding {
    Value* value = nullptr;
    TensorPtr constant;  // made a node where it is first used
    bool poisoned = false;
  };

  GraphImporter(GraphImporter& parent, Region& region, Sight sight, int levels);

  void insert(std::string_view name, Binding binding);
  Binding* find(std::string_view name);
  Value* use(std::string_view name);
  void import_node(const onnx::NodeProto& node);
  void import_op(const onnx::NodeProto& node, std::vector<Value*> inputs);
  void import_call(const onnx::FunctionProto& function, const onnx::NodeProto& node,
                   std::span<Value* const> inputs);
  [[noreturn]] void fail_undefined(std::string_view name) const;

  ModelImport& model_;
  GraphImporter* parent_ = nullptr;
  Sight sight_ = Sight::region;
  const Opsets* opsets_;
  Builder builder_;
  int depth_ = 1;       // of the region, the model's own being 1
  int nesting_ = 1;     // of importers
  std::string prefix_;  // of nodes' names: the call of the function that they are in
  std::unordered_map<std::string_view, Binding> bindings_;
  const onnx::GraphProto* graph_ = nullptr;
  const onnx::NodeProto* current_ = nullptr;
};

// Why `name` is not defined at `current`, a node of `graph`: a later node of the graph makes it,
// which depends on `current` (a cycle) or doesn't (the nodes are not sorted). Throws Error for
// these; returns if the graph has nothing of that name.
void diagnose_undefined(ModelImport& model, const onnx::GraphProto& graph,
                        const onnx::NodeProto& current, std::string_view name);

}  // namespace refrain::onnx_import
