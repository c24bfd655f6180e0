// Importers of slices, gathers, scatters and padding.
#include "frontend/onnx/lower.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

void import_slice(NodeImport& node) {
  Builder& b = node.builder();
  if (node.opset() >= 10) {
    node.set_output(0, b.op(Op::slice, {node.input(0), node.input(1), node.input(2),
                                        node.optional_input(3), node.optional_input(4)}));
    require_at_most_inputs(node, 5);
    return;
  }
  require_at_most_inputs(node, 1);
  const auto starts = node.integers("starts"), ends = node.integers("ends"),
             axes = node.integers("axes");
  if (!starts || !ends) throw Error("Slice without bounds", "attributes starts and ends", "none");
  node.set_output(0, b.op(Op::slice, {node.input(0), b.ints(*starts), b.ints(*ends),
                                      axes ? b.ints(*axes) : nullptr}));
}

void import_gather(NodeImport& node) {
  require_at_most_inputs(node, 2);
  node.set_output(0, node.builder().op(Op::gather, {node.input(0), node.input(1)},
                                       {{AttributeName::axis, node.integer("axis", 0)}}));
}

void import_gather_elements(NodeImport& node) {
  require_at_most_inputs(node, 2);
  node.set_output(0, node.builder().op(Op::gather_elements, {node.input(0), node.input(1)},
                                       {{AttributeName::axis, node.integer("axis", 0)}}));
}

void import_gather_nd(NodeImport& node) {
  require_at_most_inputs(node, 2);
  const int64_t batch_dims = node.opset() >= 12 ? node.integer("batch_dims", 0) : 0;
  node.set_output(0, node.builder().op(Op::gather_nd, {node.input(0), node.input(1)},
                                       {{AttributeName::batch_dims, batch_dims}}));
}

std::string scatter_reduction(NodeImport& node) {
  if (node.opset() < 16) return "none";
  std::string reduction = node.string("reduction", "none");
  for (const char* known : {"none", "add", "mul", "max", "min"}) {
    if (reduction == known) return reduction;
  }
  node.unsupported("reduction = " + reduction);
}

void import_scatter_elements(NodeImport& node) {
  require_at_most_inputs(node, 3);
  node.set_output(
      0, node.builder().op(Op::scatter_elements, {node.input(0), node.input(1), node.input(2)},
                           {{AttributeName::axis, node.integer("axis", 0)},
                            {AttributeName::reduction, scatter_reduction(node)}}));
}

void import_scatter_nd(NodeImport& node) {
  require_at_most_inputs(node, 3);
  node.set_output(0,
                  node.builder().op(Op::scatter_nd, {node.input(0), node.input(1), node.input(2)},
                                    {{AttributeName::reduction, scatter_reduction(node)}}));
}

void import_pad(NodeImport& node) {
  Builder& b = node.builder();
  const std::string mode = node.string("mode", "constant");
  const bool known = mode == "constant" || mode == "reflect" || mode == "edge";
  if (!known && !(mode == "wrap" && node.opset() >= 19)) node.unsupported("mode = " + mode);
  Value *x = node.input(0), *pads = nullptr, *value = nullptr, *axes = nullptr;
  if (node.opset() < 11) {
    require_at_most_inputs(node, 1);
    const auto given = node.integers("pads");
    if (!given) throw Error("Pad without pads", "attribute pads", "none");
    pads = b.ints(*given);
    value = scalar_like(b, x, node.real("value", 0));
  } else {
    require_at_most_inputs(node, node.opset() < 18 ? 3 : 4);
    pads = node.input(1);
    if (node.has_input(2)) value = as_scalar(b, node.input(2));
    axes = node.optional_input(3);
  }
  if (mode != "constant") value = nullptr;
  node.set_output(0, b.op(Op::pad, {x, pads, value, axes}, {{AttributeName::mode, mode}}));
}

void import_one_hot(NodeImport& node) {
  require_at_most_inputs(node, 3);
  node.set_output(0, node.builder().op(Op::one_hot, {node.input(0), node.input(1), node.input(2)},
                                       {{AttributeName::axis, node.integer("axis", -1)}}));
}

void import_reverse_sequence(NodeImport& node) {
  require_at_most_inputs(node, 2);
  node.set_output(0,
                  node.builder().op(Op::reverse_sequence, {node.input(0), node.input(1)},
                                    {{AttributeName::axis, node.integer("time_axis", 0)},
                                     {AttributeName::batch_axis, node.integer("batch_axis", 1)}}));
}

}  // namespace

std::vector<OpEntry> indexing_ops() {
  return {
      {"Slice", import_slice},
      {"Gather", import_gather},
      {"GatherElements", import_gather_elements, 11},
      {"GatherND", import_gather_nd, 11},
      {"Scatter", import_scatter_elements, 9, 10},
      {"ScatterElements", import_scatter_elements, 11},
      {"ScatterND", import_scatter_nd, 11},
      {"Pad", import_pad},
      {"OneHot", import_one_hot, 9},
      {"ReverseSequence", import_reverse_sequence, 10},
  };
}

}  // namespace refrain::onnx_import
