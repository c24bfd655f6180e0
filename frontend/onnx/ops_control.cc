// If and Loop.
#include "frontend/onnx/ops_control.h"

#include <limits>

#include "frontend/onnx/state_types.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

using A = AttributeName;

void import_if(NodeImport& node) {
  const onnx::GraphProto& then_graph = node.subgraph("then_branch");
  const onnx::GraphProto& else_graph = node.subgraph("else_branch");
  Value* condition = node.input(0);
  if (condition->type().element != ElementType::boolean || !condition->type().is_tensor()) {
    throw Error("wrong type of the condition", "a bool tensor of one element",
                to_string(condition->type()));
  }
  if (const auto known = node.constant_ints(0)) {
    if (known->size() != 1) {
      throw Error("wrong size of the condition", "one element", std::to_string(known->size()));
    }
    const std::vector<Value*> values =
        node.graph().import_inline(known->front() ? then_graph : else_graph);
    for (size_t i = 0; i < values.size(); ++i) node.set_output(i, values[i]);
    return;
  }
  const onnx::GraphProto* graphs[] = {&then_graph, &else_graph};
  const Captures captures = node.graph().captures(graphs);
  std::vector<std::unique_ptr<Region>> regions;
  size_t results = 0;
  bool poisoned = false;
  for (const onnx::GraphProto* graph : graphs) {
    regions.push_back(std::make_unique<Region>());
    Region& region = *regions.back();
    const std::vector<Value*> invariants = add_invariants(region, captures);
    try {
      const std::vector<Value*> values =
          node.graph().import_region(*graph, region, captures, invariants, {});
      Builder(region).yield(values);
      results = values.size();
    } catch (const PoisonedNode&) {
      poisoned = true;  // the other branch may have more to report
    }
  }
  if (poisoned) throw PoisonedNode{};
  std::vector<Value*> operands = {condition};
  operands.insert(operands.end(), captures.values.begin(), captures.values.end());
  node.set_outputs(*node.builder().create(Op::branch, operands, {}, results, std::move(regions)));
}

void import_loop(NodeImport& node) {
  const onnx::GraphProto& body = node.subgraph("body");
  Builder& builder = node.builder();
  if (node.input_count() < 2) {
    throw Error("wrong number of inputs",
                "a trip count, a condition and states (the first two may be absent)",
                std::to_string(node.input_count()));
  }
  const std::vector<Value*> initial = required_inputs(node, 2, node.input_count());
  if (static_cast<size_t>(body.output_size()) < 1 + initial.size()) {
    throw Error("wrong number of outputs of the loop's body",
                std::to_string(1 + initial.size()) + " or more",
                std::to_string(body.output_size()));
  }
  const onnx::GraphProto* graphs[] = {&body};
  const Captures captures = node.graph().captures(graphs);
  Value* trip_count = node.has_input(0) ? to_scalar(builder, node.input(0), ElementType::i64)
                                        : builder.scalar(std::numeric_limits<int64_t>::max());
  Value* condition = node.has_input(1) ? to_scalar(builder, node.input(1), ElementType::boolean)
                                       : builder.scalar(true);
  StateTypes types(node, builder, initial);
  for (;;) {
    auto region = std::make_unique<Region>();
    const auto input_name = [&](size_t i) {
      const int index = static_cast<int>(i);
      return index < body.input_size() ? body.input(index).name() : std::string();
    };
    Value* iteration = region->add_argument(ValueType::tensor(ElementType::i64, {}), input_name(0));
    const std::vector<Value*> invariants = add_invariants(*region, captures);
    std::vector<Value*> states;
    for (size_t i = 0; i < types.size(); ++i) {
      states.push_back(region->add_argument(types[i], input_name(2 + i)));
    }
    Builder inside(*region);
    // The body runs only if its condition was true.
    std::vector<Value*> inputs = {iteration, inside.scalar(true)};
    inputs.insert(inputs.end(), states.begin(), states.end());
    std::vector<Value*> values =
        node.graph().import_region(body, *region, captures, invariants, inputs);
    if (!types.settle(states, std::span(values).subspan(1, states.size()))) continue;

    values[0] = to_scalar(inside, values[0], ElementType::boolean);
    inside.yield(values);
    std::vector<Value*> operands = {trip_count, condition};
    operands.insert(operands.end(), captures.values.begin(), captures.values.end());
    operands.insert(operands.end(), types.initial().begin(), types.initial().end());
    std::vector<std::unique_ptr<Region>> regions;
    regions.push_back(std::move(region));
    node.set_outputs(*builder.create(Op::loop, operands,
                                     {{A::invariants, static_cast<int64_t>(invariants.size())},
                                      {A::states, static_cast<int64_t>(states.size())}},
                                     values.size() - 1, std::move(regions)));
    return;
  }
}

}  // namespace

std::vector<Value*> add_invariants(Region& region, const Captures& captures) {
  std::vector<Value*> arguments;
  for (size_t i = 0; i < captures.names.size(); ++i) {
    arguments.push_back(
        region.add_argument(captures.values[i]->type(), std::string(captures.names[i])));
  }
  return arguments;
}

Value* to_scalar(Builder& builder, Value* value, ElementType type) {
  const ValueType& found = value->type();
  const bool boolean = type == ElementType::boolean;
  if (!found.is_tensor() || is_float(found.element) ||
      boolean != (found.element == ElementType::boolean)) {
    throw Error("wrong type of a trip count or condition", std::string(name(type)) + "[]",
                to_string(found));
  }
  if (const TensorPtr tensor = constant_tensor(value)) {
    if (tensor->size() != 1) {
      throw Error("wrong size of a trip count or condition", "one element", to_string(found));
    }
    const int64_t element = tensor->view().as_ints().front();
    return boolean ? builder.scalar(element != 0) : builder.scalar(element);
  }
  if (!found.shape.ranked() || found.shape.rank() != 0) value = builder.reshape(value, {});
  return builder.cast(value, type);
}

std::vector<Value*> required_inputs(const NodeImport& node, size_t begin, size_t end) {
  std::vector<Value*> values;
  for (size_t i = begin; i < end; ++i) values.push_back(node.input(i));
  return values;
}

std::vector<OpEntry> control_ops() {
  return {
      {.op = "If", .import = import_if},
      {.op = "Loop", .import = import_loop},
      {.op = "Scan", .import = import_scan_opset8, .until = 8},
      {.op = "Scan", .import = import_scan, .since = 9},
      {.op = "SequenceMap", .import = import_sequence_map, .since = 17},
  };
}

}  // namespace refrain::onnx_import
