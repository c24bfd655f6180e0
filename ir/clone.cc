#include "ir/clone.h"

namespace refrain {
namespace {

Value* mapped(const ValueMap& map, Value* value) { return value ? map.at(value) : nullptr; }

void clone_into(const Region& source, Region& target) {
  ValueMap map;
  for (size_t i = 0; i < source.argument_count(); ++i) {
    const Value* argument = source.argument(i);
    map[argument] = target.add_argument(argument->type(), argument->name());
  }
  for (const Node* node = source.first(); node; node = node->next()) {
    clone_node(*node, target, nullptr, map);
  }
}

}  // namespace

Node* clone_node(const Node& node, Region& target, Node* position, ValueMap& map) {
  std::vector<Value*> operands = node.operands();
  for (Value*& operand : operands) operand = mapped(map, operand);
  std::vector<std::unique_ptr<Region>> regions;
  for (size_t i = 0; i < node.region_count(); ++i) regions.push_back(clone_region(node.region(i)));
  Node* copy =
      target.insert(std::make_unique<Node>(node.op(), operands, node.attributes(),
                                           node.result_count(), std::move(regions), node.name()),
                    position);
  for (size_t i = 0; i < node.result_count(); ++i) {
    copy->result(i)->set_type(node.result(i)->type());
    copy->result(i)->set_name(node.result(i)->name());
    map[node.result(i)] = copy->result(i);
  }
  return copy;
}

std::vector<Value*> inline_region(const Region& source, std::span<Value* const> arguments,
                                  Region& target, Node* position) {
  ValueMap map;
  for (size_t i = 0; i < arguments.size(); ++i) map[source.argument(i)] = arguments[i];
  const Node* yield = source.yield();
  for (const Node* node = source.first(); node != yield; node = node->next()) {
    clone_node(*node, target, position, map);
  }
  std::vector<Value*> results;
  for (size_t i = 0; i < yield->operand_count(); ++i) results.push_back(map.at(yield->operand(i)));
  return results;
}

std::unique_ptr<Region> clone_region(const Region& region) {
  auto copy = std::make_unique<Region>();
  clone_into(region, *copy);
  return copy;
}

std::unique_ptr<Graph> clone_graph(const Graph& graph) {
  auto copy = std::make_unique<Graph>(graph.name());
  clone_into(graph.body(), copy->body());
  if (graph.body().has_yield()) {
    const std::vector<Value*> outputs = copy->body().yield()->operands();
    copy->set_outputs(outputs, graph.output_names());
  }
  return copy;
}

}  // namespace refrain
