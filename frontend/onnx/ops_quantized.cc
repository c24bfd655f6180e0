// Importers of the linearly quantized operators. They become arithmetic on i32, where sums and
// products are exact as long as they fit, and casts: a cast from floating point to an integer goes
// to the nearest bound where the value does not fit, which is ONNX's saturation.
#include <limits>

#include "frontend/onnx/lower.h"
#include "frontend/onnx/tensor_proto.h"
#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

constexpr int kPerAxis = 13;    // Q/DQ took one scale a tensor before
constexpr int kAnyFloat = 19;   // scales of other types than f32
constexpr int kBlocks = 21;     // Q/DQ with one scale a block; QuantizeLinear's output_dtype
constexpr int kPrecision = 23;  // QuantizeLinear's precision, DequantizeLinear's output_dtype

bool is_one_element(const Shape& shape) {
  return shape.ranked() && (shape.rank() == 0 || (shape.rank() == 1 && shape[0].is_constant() &&
                                                  shape[0].extent() == 1));
}

// A scale or zero point of one value an index of some axis, with `after` axes of extent 1 added
// behind it, so that it broadcasts along that axis.
Value* with_axes_after(Builder& b, Value* parameter, size_t after) {
  if (after == 0) return parameter;
  std::vector<int64_t> axes;
  for (size_t i = 1; i <= after; ++i) axes.push_back(static_cast<int64_t>(i));
  return b.op(Op::unsqueeze, {parameter, b.ints(axes)});
}

void require_float(const Value* value, const char* what) {
  if (!is_float(value->type().element)) {
    throw Error(std::string("wrong type of ") + what, "a floating-point tensor",
                to_string(value->type()));
  }
}

void require_8_bits(const Value* value, const char* what) {
  const ElementType type = value->type().element;
  if (type != ElementType::i8 && type != ElementType::u8) {
    throw Error(std::string("wrong type of ") + what, "a tensor of i8 or u8",
                to_string(value->type()));
  }
}

void require_same_type(const Value* zero_point, const Value* x) {
  if (zero_point->type().element != x->type().element) {
    throw Error("wrong type of the zero point", std::string(name(x->type().element)),
                to_string(zero_point->type()));
  }
}

// x - zero_point as i32; a null zero point is 0.
Value* centred(Builder& b, Value* x, Value* zero_point) {
  Value* wide = b.cast(x, ElementType::i32);
  if (!zero_point) return wide;
  require_same_type(zero_point, x);
  return require_shape_kept(sub(b, wide, b.cast(zero_point, ElementType::i32)), x,
                            "the zero point");
}

// saturate(round(x) + zero_point), for x in floating point and integers of 8 or 16 bits. Each of
// their values plus a rounded x that is in reach of them is exact in f32.
Value* rounded(Builder& b, Value* x, Value* zero_point, ElementType to) {
  Value* y = b.op(Op::round, {x});
  if (zero_point) {
    const ElementType wide = wide_type(x->type().element);
    y = require_shape_kept(add(b, b.cast(y, wide), b.cast(zero_point, wide)), x, "the zero point");
  }
  return b.cast(y, to);
}

// ---- QuantizeLinear, DequantizeLinear

// How the scale and the zero point of these two, inputs 1 and 2, lie along the input's axes.
class Granularity {
 public:
  explicit Granularity(NodeImport& node) : node_(node) {
    if (node.opset() >= kPerAxis) axis_ = node.integer("axis", 1);
    if (node.opset() >= kBlocks) block_ = node.integer("block_size", 0);
    if (block_ < 0) {
      throw Error("attribute block_size out of range", "0 or more", std::to_string(block_));
    }
  }

  // Input i in a form that broadcasts to input 0.
  Value* aligned(size_t i) const {
    Builder& b = node_.builder();
    Value* parameter = node_.input(i);
    if (block_ == 0 && (node_.opset() < kPerAxis || is_one_element(parameter->type().shape))) {
      return as_scalar(b, parameter);
    }
    const size_t rank = node_.rank(0), own = node_.rank(i);
    const size_t axis = resolve_axis(axis_, rank);
    if (own != (block_ > 0 ? rank : 1)) {
      throw Error("wrong rank of a scale or zero point",
                  std::to_string(block_ > 0 ? rank : size_t{1}) +
                      (block_ > 0 ? " (attribute block_size is given)" : " or one element"),
                  to_string(parameter->type()));
    }
    return block_ > 0 ? repeated(parameter, axis) : with_axes_after(b, parameter, rank - 1 - axis);
  }

 private:
  // Each element along the axis as often as a block is long, the last as often as is left.
  Value* repeated(Value* parameter, size_t axis) const {
    Builder& b = node_.builder();
    const Dim extent = node_.input(0)->type().shape[axis], blocks = parameter->type().shape[axis];
    if (extent.is_constant()) {
      const int64_t count = extent.extent();
      const int64_t needed = count / block_ + (count % block_ != 0);
      if (provably_different(blocks, needed)) {
        throw Error("wrong number of blocks of a scale or zero point", std::to_string(needed),
                    to_string(parameter->type()));
      }
    }
    const auto at = static_cast<int64_t>(axis);
    Value* count = b.reshape(b.op(Op::shape, {node_.input(0)},
                                  {{AttributeName::start, at}, {AttributeName::end, at + 1}}),
                             {});
    Value* index = b.op(Op::range, {b.scalar(int64_t{0}), count, b.scalar(int64_t{1})});
    return b.op(Op::gather, {parameter, div(b, index, b.scalar(block_))},
                {{AttributeName::axis, at}});
  }

  NodeImport& node_;
  int64_t axis_ = 1, block_ = 0;
};

// An attribute that names an element type; `fallback` if it is absent or 0.
ElementType type_attribute(NodeImport& node, std::string_view name, ElementType fallback) {
  const int64_t type = node.integer(name, 0);
  if (type == 0) return fallback;
  if (type < 0 || type > std::numeric_limits<int>::max()) {
    throw Error("attribute " + std::string(name) + " out of range", "an ONNX data type",
                std::to_string(type));
  }
  return element_type_from_onnx(static_cast<int>(type));
}

ElementType quantized_type(NodeImport& node) {
  const ElementType own = node.has_input(2) ? node.input(2)->type().element : ElementType::u8;
  const ElementType type =
      node.opset() >= kBlocks ? type_attribute(node, "output_dtype", own) : own;
  if (node.has_input(2) && type != own) {
    throw Error("attribute output_dtype and the zero point contradict each other",
                std::string(name(type)), std::string(name(own)));
  }
  if (!is_integer(type) || size_of(type) > 2) {
    throw Error("wrong type to quantize to", "integers of 8 or 16 bits", std::string(name(type)));
  }
  return type;
}

void import_quantize_linear(NodeImport& node) {
  require_at_most_inputs(node, 3);
  Builder& b = node.builder();
  if (node.opset() >= kAnyFloat) node.ignore("saturate");  // only for 8-bit floats
  const ElementType to = quantized_type(node);
  const Granularity granularity(node);
  // The division is done in the scale's precision, unless it is said otherwise.
  const ElementType own = node.input(1)->type().element;
  ElementType precision = is_float(own) ? own : ElementType::f32;
  if (node.opset() >= kPrecision) {
    precision = type_attribute(node, "precision", precision);
    if (!is_float(precision)) {
      throw Error("attribute precision out of range", "a floating-point type",
                  std::string(name(precision)));
    }
  }
  Value* x = node.input(0);
  Value* scaled = require_shape_kept(
      div(b, b.cast(x, precision), b.cast(granularity.aligned(1), precision)), x, "the scale");
  node.set_output(0, rounded(b, scaled, node.has_input(2) ? granularity.aligned(2) : nullptr, to));
}

void import_dequantize_linear(NodeImport& node) {
  require_at_most_inputs(node, 3);
  Builder& b = node.builder();
  Value* x = node.input(0);
  if (!is_integer(x->type().element) || size_of(x->type().element) > 4) {
    throw Error("wrong type of the input", "integers of 8, 16 or 32 bits", to_string(x->type()));
  }
  require_float(node.input(1), "the scale");
  ElementType to = node.opset() < kAnyFloat ? ElementType::f32 : node.input(1)->type().element;
  if (node.opset() >= kPrecision) to = type_attribute(node, "output_dtype", to);
  const Granularity granularity(node);
  // A half could not hold every difference of which the product with the scale fits it.
  Value* difference =
      b.cast(centred(b, x, node.has_input(2) ? granularity.aligned(2) : nullptr), ElementType::f32);
  Value* y = mul(b, difference, b.cast(granularity.aligned(1), ElementType::f32));
  node.set_output(0, b.cast(require_shape_kept(y, x, "the scale"), to));
}

void import_dynamic_quantize_linear(NodeImport& node) {
  require_at_most_inputs(node, 1);
  Builder& b = node.builder();
  Value* x = node.input(0);
  if (x->type().element != ElementType::f32) {
    throw Error("wrong type of the input", "a tensor of f32", to_string(x->type()));
  }
  // The range of u8, 0..255, stands for that of x and 0. If all is 0, so is the scale, and 0 / 0,
  // which is cast to 0, makes the zero point and every element 0.
  Value* zero = b.scalar(0.0f);
  Value* high = b.op(Op::max, {reduce(b, Op::reduce_max, x, nullptr, false), zero});
  Value* low = b.op(Op::min, {reduce(b, Op::reduce_min, x, nullptr, false), zero});
  Value* scale = div(b, sub(b, high, low), 255);
  Value* zero_point = b.cast(b.op(Op::round, {sub(b, zero, div(b, low, scale))}), ElementType::u8);
  node.set_output(0, rounded(b, div(b, x, scale), zero_point, ElementType::u8));
  node.set_output(1, scale);
  node.set_output(2, zero_point);
}

// ---- products

// Input i, a scale or zero point of the matrix (or matrices) that is input `matrix`: one for all,
// or one a row (or column), as a vector or along the matrix' own axes. In a form that broadcasts to
// the matrix and, if it is the left (right) one, to the product.
Value* matrix_parameter(const NodeImport& node, size_t i, size_t matrix, bool rows) {
  Builder& b = node.builder();
  Value* parameter = node.input(i);
  if (is_one_element(parameter->type().shape) || node.rank(matrix) < 2) {
    return as_scalar(b, parameter);
  }
  return node.rank(i) == 1 && rows ? with_axes_after(b, parameter, 1) : parameter;
}

// saturate(round(sum * left * right / result) + zero_point) of an exact sum and its scales.
Value* requantized(Builder& b, Value* sum, Value* left, Value* right, Value* result,
                   Value* zero_point) {
  for (const Value* scale : {left, right, result}) require_float(scale, "a scale");
  require_8_bits(zero_point, "the result's zero point");
  const auto f32 = [&](Value* x) { return b.cast(x, ElementType::f32); };
  Value* factor = div(b, mul(b, f32(left), f32(right)), f32(result));
  Value* scaled = require_shape_kept(mul(b, f32(sum), factor), sum, "the scale");
  return rounded(b, scaled, zero_point, zero_point->type().element);
}

void import_matmul_integer(NodeImport& node) {
  require_at_most_inputs(node, 4);
  Builder& b = node.builder();
  const auto matrix = [&](size_t i) {
    require_8_bits(node.input(i), "a matrix");
    return centred(b, node.input(i),
                   node.has_input(2 + i) ? matrix_parameter(node, 2 + i, i, i == 0) : nullptr);
  };
  node.set_output(0, b.op(Op::matmul, {matrix(0), matrix(1)}));
}

void import_qlinear_matmul(NodeImport& node) {
  require_at_most_inputs(node, 8);
  Builder& b = node.builder();
  const auto matrix = [&](size_t i) {
    require_8_bits(node.input(i), "a matrix");
    return centred(b, node.input(i), matrix_parameter(node, i + 2, i, i == 0));
  };
  Value* sum = b.op(Op::matmul, {matrix(0), matrix(3)});
  node.set_output(
      0,
      requantized(b, sum, matrix_parameter(node, 1, 0, true), matrix_parameter(node, 4, 3, false),
                  matrix_parameter(node, 6, 0, true), matrix_parameter(node, 7, 0, true)));
}

// ---- convolutions

// Input i, a scale or zero point of the weights: one for all or one an output channel, which is
// axis 0 of the weights and axis 1 of the result: broadcasts where `before` axes come before it.
Value* channel_parameter(const NodeImport& node, size_t i, size_t weights, size_t before) {
  Builder& b = node.builder();
  Value* parameter = node.input(i);
  if (is_one_element(parameter->type().shape)) return as_scalar(b, parameter);
  if (node.rank(i) != 1) {
    throw Error("wrong rank of a scale or zero point of weights", "1, or one element",
                to_string(parameter->type()));
  }
  const size_t rank = node.rank(weights);
  return with_axes_after(b, parameter, rank > before ? rank - 1 - before : 0);
}

// The exact convolution of inputs `x` and `w` less their zero points, by numbers of the inputs.
Value* integer_convolution(NodeImport& node, size_t x, size_t x_zero, size_t w, size_t w_zero,
                           Value* bias) {
  Builder& b = node.builder();
  require_8_bits(node.input(x), "the input");
  require_8_bits(node.input(w), "the weights");
  Value* left = centred(b, node.input(x),
                        node.has_input(x_zero) ? as_scalar(b, node.input(x_zero)) : nullptr);
  Value* weights = centred(
      b, node.input(w), node.has_input(w_zero) ? channel_parameter(node, w_zero, w, 0) : nullptr);
  // What pads x is its zero point, which is 0 here.
  return b.op(Op::conv, {left, weights, bias}, convolution_attributes(node, weights));
}

void import_conv_integer(NodeImport& node) {
  require_at_most_inputs(node, 4);
  node.set_output(0, integer_convolution(node, 0, 2, 1, 3, nullptr));
}

void import_qlinear_conv(NodeImport& node) {
  require_at_most_inputs(node, 9);
  Builder& b = node.builder();
  Value* sum = integer_convolution(node, 0, 2, 3, 5, node.optional_input(8));
  node.set_output(0,
                  requantized(b, sum, as_scalar(b, node.input(1)), channel_parameter(node, 4, 3, 1),
                              as_scalar(b, node.input(6)), as_scalar(b, node.input(7))));
}

}  // namespace

std::vector<OpEntry> quantized_ops() {
  return {
      {"QuantizeLinear", import_quantize_linear, 10},
      {"DequantizeLinear", import_dequantize_linear, 10},
      {"DynamicQuantizeLinear", import_dynamic_quantize_linear, 11},
      {"MatMulInteger", import_matmul_integer, 10},
      {"QLinearMatMul", import_qlinear_matmul, 10},
      {"ConvInteger", import_conv_integer, 10},
      {"QLinearConv", import_qlinear_conv, 10},
  };
}

}  // namespace refrain::onnx_import
