// Sequences and optionals.
#include "frontend/onnx/node_import.h"
#include "frontend/onnx/tensor_proto.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

using A = AttributeName;

void import_sequence_empty(NodeImport& node) {
  const int64_t type = node.integer("dtype", onnx::TensorProto::FLOAT);
  if (type < 0 || type > 1000)
    throw Error("wrong attribute dtype", "an element type", std::to_string(type));
  node.set_output(
      0, node.builder().op(Op::sequence_empty, {},
                           {{A::element, element_type_from_onnx(static_cast<int>(type))}}));
}

void import_sequence_construct(NodeImport& node) {
  for (size_t i = 0; i < std::max<size_t>(1, node.input_count()); ++i) node.input(i);
  node.set_outputs(*node.builder().create(Op::sequence_construct, node.inputs()));
}

void import_sequence_insert(NodeImport& node) {
  Value* sequence = node.input(0);
  const bool empty = sequence->node() && sequence->node()->op() == Op::sequence_empty;
  if (empty && !node.has_input(2) && sequence->type().element == node.input(1)->type().element) {
    // Of an empty sequence nothing is known; of this one, its element's shape is.
    node.set_output(0, node.builder().op(Op::sequence_construct, {node.input(1)}));
    return;
  }
  node.set_output(
      0, node.builder().op(Op::sequence_insert, {sequence, node.input(1), node.optional_input(2)}));
}

void import_sequence_erase(NodeImport& node) {
  node.set_output(0,
                  node.builder().op(Op::sequence_erase, {node.input(0), node.optional_input(1)}));
}

void import_sequence_at(NodeImport& node) {
  node.set_output(0, node.builder().op(Op::sequence_at, {node.input(0), node.input(1)}));
}

void import_sequence_length(NodeImport& node) {
  node.set_output(0, node.builder().op(Op::sequence_length, {node.input(0)}));
}

void import_concat_from_sequence(NodeImport& node) {
  const int64_t axis = node.integer("axis");
  const bool new_axis = node.flag("new_axis", false);
  node.set_output(0, node.builder().op(Op::concat_from_sequence, {node.input(0)},
                                       {{A::axis, axis}, {A::new_axis, new_axis}}));
}

void import_split_to_sequence(NodeImport& node) {
  const int64_t axis = node.integer("axis", 0);
  bool keep_dims = node.flag("keepdims", true);
  Value* sizes = node.optional_input(1);
  if (sizes) {
    // By the specification keepdims has no meaning then. But PyTorch writes unbind as parts of size
    // 1, which it gives, without their axis; and that is how other runtimes read it.
    const bool scalar = sizes->type().shape.ranked() && sizes->type().shape.rank() == 0;
    if (scalar && node.constant_ints(1) == std::vector<int64_t>{1}) {
      sizes = nullptr;
    } else {
      keep_dims = true;
    }
  }
  node.set_output(0, node.builder().op(Op::split_to_sequence, {node.input(0), sizes},
                                       {{A::axis, axis}, {A::keep_dims, keep_dims}}));
}

void import_optional(NodeImport& node) {
  const std::optional<ValueType> type = node.type("type");
  if (node.has_input(0)) {
    const ValueType& found = node.input(0)->type();
    if (type && (type->element != found.element || type->kind != found.kind)) {
      throw Error("wrong attribute type", to_string(found), to_string(*type));
    }
    node.set_output(0, node.builder().op(Op::optional, {node.input(0)}));
    return;
  }
  if (!type) throw Error("missing attribute", "type, for an optional without a value", "neither");
  node.set_output(0, node.builder().op(Op::optional, {},
                                       {{A::element, type->element},
                                        {A::sequence, type->kind == ValueType::Kind::sequence}}));
}

void import_optional_has_element(NodeImport& node) {
  if (node.has_input(0) && node.input(0)->type().optional) {
    node.set_output(0, node.builder().op(Op::has_element, {node.input(0)}));
  } else {  // since opset 18: no input has none, a tensor or a sequence has itself
    node.set_output(0, node.builder().scalar(node.has_input(0)));
  }
}

void import_optional_get_element(NodeImport& node) {
  Value* value = node.input(0);
  node.set_output(0, value->type().optional ? node.builder().op(Op::get_element, {value}) : value);
}

}  // namespace

std::vector<OpEntry> sequence_ops() {
  return {
      {.op = "SequenceEmpty", .import = import_sequence_empty},
      {.op = "SequenceConstruct", .import = import_sequence_construct},
      {.op = "SequenceInsert", .import = import_sequence_insert},
      {.op = "SequenceErase", .import = import_sequence_erase},
      {.op = "SequenceAt", .import = import_sequence_at},
      {.op = "SequenceLength", .import = import_sequence_length},
      {.op = "ConcatFromSequence", .import = import_concat_from_sequence},
      {.op = "SplitToSequence", .import = import_split_to_sequence},
      {.op = "Optional", .import = import_optional},
      {.op = "OptionalHasElement", .import = import_optional_has_element},
      {.op = "OptionalGetElement", .import = import_optional_get_element},
  };
}

}  // namespace refrain::onnx_import
