#include "frontend/generate/extract.h"

#include "ir/builder.h"
#include "ir/clone.h"

namespace refrain::generate {

Sources sources_of(const std::vector<const Value*>& values,
                   const std::unordered_set<const Value*>& ends) {
  Sources sources;
  std::vector<const Value*> work = values;
  while (!work.empty()) {
    const Value* value = work.back();
    work.pop_back();
    if (!value->node() || ends.contains(value)) {
      sources.values.insert(value);
      continue;
    }
    if (!sources.nodes.insert(value->node()).second) continue;
    for (const Value* operand : value->node()->operands()) {
      if (operand) work.push_back(operand);
    }
  }
  return sources;
}

std::unique_ptr<Graph> extract(const std::vector<const Value*>& inputs,
                               const std::vector<const Value*>& outputs,
                               const std::unordered_map<const Value*, TensorPtr>& constants) {
  auto graph = std::make_unique<Graph>("part");
  Builder builder(graph->body());
  ValueMap map;
  std::unordered_set<const Value*> ends;
  for (const auto& [value, tensor] : constants) {
    map[value] = builder.constant(tensor);
    ends.insert(value);
  }
  for (const Value* input : inputs) {
    map[input] = graph->add_input(input->type(), "i" + std::to_string(graph->input_count()));
    ends.insert(input);
  }
  const Sources sources = sources_of(outputs, ends);
  const Region* region = nullptr;
  for (const Value* output : outputs) region = output->region();
  for (const Node* node = region ? region->first() : nullptr; node; node = node->next()) {
    if (sources.nodes.contains(node)) clone_node(*node, graph->body(), nullptr, map);
  }
  std::vector<Value*> results;
  std::vector<std::string> names;
  for (const Value* output : outputs) {
    results.push_back(map.at(output));
    names.push_back("o" + std::to_string(names.size()));
  }
  graph->set_outputs(results, std::move(names));
  return graph;
}

}  // namespace refrain::generate
