// Runs single ops on the reference backend. Only for tests that link the backends.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "backends/reference/executor.h"
#include "ir/builder.h"

namespace refrain::testing {

// Results of one node whose operands are graph inputs (null: absent). Throws Error as Builder and
// the executor do.
inline std::vector<TensorPtr> run_op_results(Op op, const std::vector<const Tensor*>& operands,
                                             std::vector<Attribute> attributes, size_t results) {
  Graph graph;
  std::vector<Value*> values;
  std::vector<RuntimeValue> inputs;
  for (const Tensor* operand : operands) {
    values.push_back(nullptr);
    if (!operand) continue;
    const auto type = ValueType::tensor(operand->type(), Shape::of_extents(operand->extents()));
    values.back() = graph.add_input(type, "x" + std::to_string(values.size()));
    inputs.emplace_back(operand->clone());
  }
  Builder builder(graph.body());
  const Node* node = builder.create(op, values, std::move(attributes), results);
  std::vector<Value*> outputs;
  std::vector<std::string> names;
  for (size_t i = 0; i < results; ++i) {
    outputs.push_back(node->result(i));
    names.push_back("y" + std::to_string(i));
  }
  graph.set_outputs(outputs, names);
  std::vector<TensorPtr> tensors;
  for (RuntimeValue& value : reference::run(graph, inputs)) tensors.push_back(value.tensor);
  return tensors;
}

// The one result of a node.
inline Tensor run_op(Op op, const std::vector<const Tensor*>& operands,
                     std::vector<Attribute> attributes = {}) {
  return run_op_results(op, operands, std::move(attributes), 1)[0]->clone();
}

// The message of the Error that running the op throws, or "no error".
inline std::string error_of(Op op, const std::vector<const Tensor*>& operands,
                            std::vector<Attribute> attributes = {}, size_t results = 1) {
  try {
    run_op_results(op, operands, std::move(attributes), results);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace refrain::testing
