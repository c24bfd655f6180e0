// Why a name is undefined: looked into only once an import has failed.
#include "frontend/onnx/graph_import.h"
#include "ir/error.h"

namespace refrain::onnx_import {

void diagnose_undefined(ModelImport& model, const onnx::GraphProto& graph,
                        const onnx::NodeProto& current, std::string_view name) {
  std::unordered_map<std::string_view, const onnx::NodeProto*> makers;
  for (const onnx::NodeProto& node : graph.node()) {
    for (const std::string& output : node.output()) makers.emplace(output, &node);
  }
  const auto maker = makers.find(name);
  if (name.empty() || maker == makers.end()) return;

  const std::string quoted = "\"" + std::string(name) + "\"";
  const std::string made_by =
      "node \"" + node_label(*maker->second) + "\" (" + op_label(*maker->second) + ")";
  std::unordered_set<const onnx::NodeProto*> seen{maker->second};
  std::vector<const onnx::NodeProto*> pending{maker->second};
  const auto visit_maker = [&](std::string_view input) {
    const auto it = makers.find(input);
    if (!input.empty() && it != makers.end() && seen.insert(it->second).second)
      pending.push_back(it->second);
  };
  while (!pending.empty()) {
    const onnx::NodeProto* node = pending.back();
    pending.pop_back();
    if (node == &current) {
      throw Error("the graph has a cycle", "inputs that don't depend on the node itself",
                  "input " + quoted + " of " + made_by);
    }
    for (const std::string& input : node->input()) visit_maker(input);
    for (const onnx::GraphProto* inner : subgraphs(*node)) {
      for (std::string_view input : model.free_names(*inner)) visit_maker(input);
    }
  }
  throw Error("the graph's nodes are not sorted", quoted + " made before it is used",
              made_by + " makes it later");
}

}  // namespace refrain::onnx_import
