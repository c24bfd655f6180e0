// What the op importers share: small pieces that ONNX ops are lowered to.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "frontend/onnx/node_import.h"
#include "ir/builder.h"

namespace refrain::onnx_import {

// Where Shape ends unless it is told.
inline constexpr int64_t kEndOfShape = std::numeric_limits<int64_t>::max();

// Throws Error if an input beyond the first `count` is present. The importers that pick their
// inputs one by one call it, so that no input of a form they don't know is dropped.
void require_at_most_inputs(const NodeImport& node, size_t count);

// The IR op with the node's inputs as operands, all of them; the schema checks their number.
template <Op op>
void import_direct(NodeImport& node) {
  std::vector<Value*> operands = node.inputs();
  while (!operands.empty() && !operands.back()) operands.pop_back();
  node.set_output(0, node.builder().create(op, operands)->result());
}

// A scalar constant of x's element type; throws Error if that can't hold the value.
Value* scalar_like(Builder& builder, const Value* x, double value);

inline Value* add(Builder& b, Value* x, Value* y) { return b.op(Op::add, {x, y}); }
inline Value* sub(Builder& b, Value* x, Value* y) { return b.op(Op::sub, {x, y}); }
inline Value* mul(Builder& b, Value* x, Value* y) { return b.op(Op::mul, {x, y}); }
inline Value* div(Builder& b, Value* x, Value* y) { return b.op(Op::div, {x, y}); }
inline Value* add(Builder& b, Value* x, double y) { return add(b, x, scalar_like(b, x, y)); }
inline Value* mul(Builder& b, Value* x, double y) { return mul(b, x, scalar_like(b, x, y)); }
inline Value* div(Builder& b, Value* x, double y) { return div(b, x, scalar_like(b, x, y)); }

// Operands that must be of one type: constants of one element, 64 bits wide, beside f32, f16 or
// bf16 are of that type. PyTorch's exporter leaves the numbers of a scripted module's source
// (`1 + abs(x)`) so where it has lost sight of a tensor's type; nothing else can be meant. Others
// stay as they are.
std::vector<Value*> of_one_type(Builder& builder, std::vector<Value*> operands);

// The IR op with the node's inputs, of one type, as operands.
template <Op op>
void import_arithmetic(NodeImport& node) {
  require_at_most_inputs(node, 2);
  const auto operands = of_one_type(node.builder(), {node.input(0), node.input(1)});
  node.set_output(0, node.builder().create(op, operands)->result());
}

// reduce_* over `axes` (null: all of them).
Value* reduce(Builder& builder, Op op, Value* x, Value* axes, bool keep_dims,
              bool noop_with_empty_axes = false);

// x as an operand that must be one element without a shape: exporters write f[1] where f[] is
// meant.
Value* as_scalar(Builder& builder, Value* x);

// The type to compute statistics in: f32 for the 16-bit floats, otherwise `type` itself.
ElementType wide_type(ElementType type);

// The extents of x as a 1-D i64 tensor: a constant or `dims` where they are known, otherwise
// `shape`.
Value* extents_of(Builder& builder, Value* x);

// x as a matrix: axes before `axis` merged, axes from `axis` on merged; ONNX's Flatten. The rank
// may be unknown if axis is negative, or 0 or 1.
Value* flatten(Builder& builder, Value* x, int64_t axis);
// x with the axes from `axis` (0 <= axis <= rank) on merged into one.
Value* merge_from(Builder& builder, Value* x, size_t axis);
// A value of the same element count with the shape of `like`.
Value* reshape_like(Builder& builder, Value* x, Value* like);

// `axis` counted from the front; throws Error unless it lies in -rank..rank-1 (or rank, if
// allowed).
size_t resolve_axis(int64_t axis, size_t rank, bool allow_end = false);

// The result of broadcasting something to x, checked to have kept x's shape as far as that is
// known; throws Error that calls the operand `what`.
Value* require_shape_kept(Value* result, const Value* x, std::string_view what);

// The axes of an op that took them as attribute before opset `input_since` and as input 1 since
// then; null if there are none.
Value* axes_operand(NodeImport& node, int input_since);

// strides, dilations, pads and auto_pad, which all windowed ops have.
std::vector<Attribute> window_attributes(NodeImport& node, bool dilations);
// ... and groups: all that a convolution by `weights` has. Throws Error if attribute kernel_shape
// does not fit them.
std::vector<Attribute> convolution_attributes(NodeImport& node, const Value* weights);

}  // namespace refrain::onnx_import
