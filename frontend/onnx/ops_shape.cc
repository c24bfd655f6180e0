// Importers of constants and of ops that change shapes.
#include "frontend/onnx/lower.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

Tensor floats(const std::vector<double>& values) {
  Tensor tensor(ElementType::f32, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i)
    tensor.data<float>()[i] = static_cast<float>(values[i]);
  return tensor;
}

void import_constant(NodeImport& node) {
  require_at_most_inputs(node, 0);
  Builder& b = node.builder();
  Value* result = nullptr;
  const auto give = [&](Value* value) {
    if (result) throw Error("a Constant with more than one value", "one attribute", "several");
    result = value;
  };
  if (node.has_attribute("value")) give(b.constant(node.tensor("value")));
  if (node.has_attribute("value_float")) {
    give(b.scalar(static_cast<float>(node.real("value_float", 0))));
  }
  if (const auto values = node.reals("value_floats")) give(b.constant(floats(*values)));
  if (node.has_attribute("value_int")) give(b.scalar(node.integer("value_int")));
  if (const auto values = node.integers("value_ints")) give(b.ints(*values));
  for (const char* name : {"sparse_value", "value_string", "value_strings"}) {
    if (node.has_attribute(name)) node.unsupported(std::string("attribute ") + name);
  }
  if (!result) throw Error("a Constant without a value", "an attribute that holds it", "none");
  node.set_output(0, result);
}

void import_constant_of_shape(NodeImport& node) {
  require_at_most_inputs(node, 1);
  TensorPtr value = node.tensor("value");
  if (!value) value = std::make_shared<const Tensor>(Tensor::scalar(0.0f));
  node.set_output(
      0, node.builder().op(Op::fill, {node.input(0)}, {{AttributeName::value, std::move(value)}}));
}

void import_shape(NodeImport& node) {
  require_at_most_inputs(node, 1);
  const bool bounded = node.opset() >= 15;
  const int64_t start = bounded ? node.integer("start", 0) : 0;
  const int64_t end = bounded ? node.integer("end", kEndOfShape) : kEndOfShape;
  node.set_output(0, node.builder().op(Op::shape, {node.input(0)},
                                       {{AttributeName::start, start}, {AttributeName::end, end}}));
}

void import_size(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  node.set_output(0, reduce(b, Op::reduce_prod, extents_of(b, node.input(0)), nullptr, false));
}

void import_reshape(NodeImport& node) {
  require_at_most_inputs(node, 2);
  const bool allow_zero = node.opset() >= 14 && node.flag("allowzero", false);
  node.set_output(0, node.builder().op(Op::reshape, {node.input(0), node.input(1)},
                                       {{AttributeName::allow_zero, allow_zero}}));
}

void import_flatten(NodeImport& node) {
  require_at_most_inputs(node, 1);
  node.set_output(0, flatten(node.builder(), node.input(0), node.integer("axis", 1)));
}

void import_squeeze(NodeImport& node) {
  Value* axes = axes_operand(node, 13);
  node.set_output(0, node.builder().op(Op::squeeze, {node.input(0), axes}));
}

void import_unsqueeze(NodeImport& node) {
  Value* axes = axes_operand(node, 13);
  if (!axes) throw Error("Unsqueeze without axes", "axes", "none");
  node.set_output(0, node.builder().op(Op::unsqueeze, {node.input(0), axes}));
}

void import_transpose(NodeImport& node) {
  require_at_most_inputs(node, 1);
  auto perm = node.integers("perm");
  if (!perm) {
    perm.emplace();
    for (size_t i = node.rank(0); i > 0; --i) perm->push_back(static_cast<int64_t>(i - 1));
  }
  node.set_output(0, node.builder().transpose(node.input(0), std::move(*perm)));
}

void import_concat(NodeImport& node) {
  const std::vector<Attribute> axis = {{AttributeName::axis, node.integer("axis")}};
  node.set_output(0, node.builder().create(Op::concat, node.inputs(), axis)->result());
}

void import_split(NodeImport& node) {
  Builder& b = node.builder();
  const int64_t axis = node.integer("axis", 0);
  const auto parts = static_cast<int64_t>(node.output_count());
  if (parts == 0) throw Error("Split without outputs", "1 or more", "none");
  Value* sizes = nullptr;
  if (node.opset() < 13) {
    require_at_most_inputs(node, 1);
    if (const auto given = node.integers("split")) sizes = b.ints(*given);
  } else {
    require_at_most_inputs(node, 2);
    sizes = node.optional_input(1);
  }
  if (node.opset() >= 18 && node.has_attribute("num_outputs")) {
    const int64_t count = node.integer("num_outputs");
    if (sizes) throw Error("a Split with both sizes and num_outputs", "one of them", "both");
    if (count != parts) {
      throw Error("wrong number of outputs of a Split", std::to_string(count),
                  std::to_string(parts));
    }
  }
  const Shape& shape = node.input(0)->type().shape;
  if (!sizes && node.opset() < 18 && shape.ranked()) {
    const Dim extent = shape[resolve_axis(axis, shape.rank())];
    if (extent.is_constant() && extent.extent() % parts != 0) {
      throw Error("Split into equal parts does not fit",
                  "an extent that " + std::to_string(parts) + " divides", to_string(extent));
    }
  }
  Value* operands[] = {node.input(0), sizes};
  node.set_outputs(
      *b.create(Op::split, operands, {{AttributeName::axis, axis}}, node.output_count()));
}

void import_trilu(NodeImport& node) {
  require_at_most_inputs(node, 2);
  node.set_output(0, node.builder().op(Op::trilu, {node.input(0), node.optional_input(1)},
                                       {{AttributeName::upper, node.flag("upper", true)}}));
}

}  // namespace

std::vector<OpEntry> shape_ops() {
  return {
      {"Constant", import_constant},     {"ConstantOfShape", import_constant_of_shape, 9},
      {"Shape", import_shape},           {"Size", import_size},
      {"Reshape", import_reshape},       {"Flatten", import_flatten},
      {"Squeeze", import_squeeze},       {"Unsqueeze", import_unsqueeze},
      {"Transpose", import_transpose},   {"Concat", import_concat},
      {"Split", import_split},           {"Expand", import_direct<Op::expand>, 8},
      {"Tile", import_direct<Op::tile>}, {"Range", import_direct<Op::range>, 11},
      {"Trilu", import_trilu, 14},
  };
}

}  // namespace refrain::onnx_import
