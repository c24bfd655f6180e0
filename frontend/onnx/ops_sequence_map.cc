// SequenceMap: a loop over the elements of sequences that collects sequences.
#include "frontend/onnx/ops_control.h"
#include "ir/error.h"

namespace refrain::onnx_import {

void import_sequence_map(NodeImport& node) {
  const onnx::GraphProto& body = node.subgraph("body");
  Builder& builder = node.builder();
  const std::vector<Value*> inputs =
      required_inputs(node, 0, std::max<size_t>(1, node.input_count()));
  if (!inputs[0]->type().is_sequence()) {
    throw Error("wrong type of input 0", "a sequence", to_string(inputs[0]->type()));
  }
  const onnx::GraphProto* graphs[] = {&body};
  const Captures captures = node.graph().captures(graphs);

  // Once to learn the types of the results, whose sequences then start empty with these types.
  std::vector<ValueType> types;
  for (;;) {
    auto region = std::make_unique<Region>();
    Value* iteration = region->add_argument(ValueType::tensor(ElementType::i64, {}), {});
    std::vector<Value*> invariants = add_invariants(*region, captures);
    Builder inside(*region);
    inside.set_node_name(builder.node_name());
    std::vector<Value*> elements;
    for (const Value* input : inputs) {
      elements.push_back(region->add_argument(input->type(), input->name()));
    }
    std::vector<Value*> sequences;
    for (const ValueType& type : types) sequences.push_back(region->add_argument(type));
    for (Value*& element : elements) {
      if (element->type().is_sequence()) element = inside.op(Op::sequence_at, {element, iteration});
    }
    const std::vector<Value*> values =
        node.graph().import_region(body, *region, captures, invariants, elements);
    if (types.empty() && !values.empty()) {
      for (const Value* value : values) {
        if (!value->type().is_tensor()) {
          throw Error("wrong type of an output of the body", "a tensor", to_string(value->type()));
        }
        types.push_back(ValueType::sequence(value->type().element, value->type().shape));
      }
      continue;
    }
    std::vector<Value*> yielded = {inside.scalar(true)};
    for (size_t i = 0; i < values.size(); ++i) {
      yielded.push_back(inside.op(Op::sequence_insert, {sequences[i], values[i]}));
    }
    inside.yield(yielded);

    std::vector<Value*> operands = {builder.op(Op::sequence_length, {inputs[0]}),
                                    builder.scalar(true)};
    operands.insert(operands.end(), captures.values.begin(), captures.values.end());
    operands.insert(operands.end(), inputs.begin(), inputs.end());
    for (const ValueType& type : types) {
      Value* empty = builder.op(Op::sequence_empty, {}, {{AttributeName::element, type.element}});
      empty->set_type(type);
      operands.push_back(empty);
    }
    std::vector<std::unique_ptr<Region>> regions;
    regions.push_back(std::move(region));
    node.set_outputs(*builder.create(
        Op::loop, operands,
        {{AttributeName::invariants, static_cast<int64_t>(captures.values.size() + inputs.size())},
         {AttributeName::states, static_cast<int64_t>(types.size())}},
        types.size(), std::move(regions)));
    return;
  }
}

}  // namespace refrain::onnx_import
