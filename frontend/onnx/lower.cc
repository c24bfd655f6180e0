#include "frontend/onnx/lower.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

#include "ir/error.h"

namespace refrain::onnx_import {
namespace {

// Product of the constant extents first..last-1; none if one of them is not constant or it
// overflows.
std::optional<int64_t> constant_product(const Shape& shape, size_t first, size_t last) {
  int64_t product = 1;
  for (size_t i = first; i < last; ++i) {
    if (!shape[i].is_constant() || __builtin_mul_overflow(product, shape[i].extent(), &product)) {
      return std::nullopt;
    }
  }
  return product;
}

Value* reshape_exactly(Builder& builder, Value* x, Value* extents) {
  return builder.op(Op::reshape, {x, extents}, {{AttributeName::allow_zero, true}});
}

// [product of the extents start..end-1] at run time; bounds as in ONNX's Shape.
Value* extent_product(Builder& builder, Value* x, int64_t start, int64_t end = kEndOfShape) {
  Value* extents =
      builder.op(Op::shape, {x}, {{AttributeName::start, start}, {AttributeName::end, end}});
  return reduce(builder, Op::reduce_prod, extents, nullptr, true);
}

// The kernel's extents are the weights'; where the file also writes them down, it must write the
// same.
void check_kernel_shape(NodeImport& node, const Shape& weights) {
  const auto kernel = node.integers("kernel_shape");
  if (!kernel || !weights.ranked()) return;
  bool fits = weights.rank() == kernel->size() + 2;
  for (size_t i = 0; fits && i < kernel->size(); ++i) {
    fits = (*kernel)[i] >= 0 && !provably_different(weights[i + 2], (*kernel)[i]);
  }
  if (!fits) {
    std::string found;
    for (int64_t extent : *kernel) found += (found.empty() ? "" : ", ") + std::to_string(extent);
    throw Error("attribute kernel_shape does not fit the weights", to_string(weights),
                "[" + found + "]");
  }
}

}  // namespace

void require_at_most_inputs(const NodeImport& node, size_t count) {
  for (size_t i = count; i < node.input_count(); ++i) {
    if (node.has_input(i)) {
      throw Error("too many inputs for opset " + std::to_string(node.opset()),
                  "at most " + std::to_string(count), std::to_string(i + 1));
    }
  }
}

Value* scalar_like(Builder& builder, const Value* x, double value) {
  const ElementType type = x->type().element;
  const bool fits = visit(type, [&]<typename T>(std::type_identity<T>) {
    if constexpr (std::is_integral_v<T>) {
      // 2^digits is the first value beyond, which a double holds exactly where it may not hold the
      // last.
      const double limit = std::ldexp(1.0, std::numeric_limits<T>::digits);
      return value == std::trunc(value) && value < limit &&
             value >= (std::is_signed_v<T> ? -limit : 0);
    } else {
      return true;
    }
  });
  if (!fits) {
    throw Error("a constant does not fit the element type", std::string(name(type)),
                std::to_string(value));
  }
  return builder.scalar(type, value);
}

std::vector<Value*> of_one_type(Builder& builder, std::vector<Value*> operands) {
  const auto number = [](const Value* value) {
    const TensorPtr tensor = constant_tensor(value);
    const bool wide =
        tensor && (tensor->type() == ElementType::i64 || tensor->type() == ElementType::f64);
    return wide && tensor->size() == 1 ? tensor : nullptr;
  };
  const Value* typed = nullptr;
  for (const Value* operand : operands) {
    if (number(operand)) continue;
    if (typed && typed->type().element != operand->type().element) return operands;
    typed = operand;
  }
  if (!typed || !is_float(typed->type().element)) return operands;
  for (Value*& operand : operands) {
    const TensorPtr tensor = number(operand);
    if (tensor && tensor->type() != typed->type().element)
      operand = builder.cast(operand, typed->type().element);
  }
  return operands;
}

Value* reduce(Builder& builder, Op op, Value* x, Value* axes, bool keep_dims,
              bool noop_with_empty_axes) {
  return builder.op(op, {x, axes},
                    {{AttributeName::keep_dims, keep_dims},
                     {AttributeName::noop_with_empty_axes, noop_with_empty_axes}});
}

Value* as_scalar(Builder& builder, Value* x) {
  const Shape& shape = x->type().shape;
  if (shape.ranked() && shape.rank() == 0) return x;
  return builder.reshape(x, {});
}

ElementType wide_type(ElementType type) {
  return type == ElementType::f16 || type == ElementType::bf16 ? ElementType::f32 : type;
}

Value* extents_of(Builder& builder, Value* x) {
  const Shape& shape = x->type().shape;
  if (!shape.ranked()) return builder.op(Op::shape, {x});
  if (shape.is_static()) return builder.ints(shape.extents());
  for (Dim dim : shape.dims()) {
    if (dim.is_unknown()) return builder.op(Op::shape, {x});
  }
  return builder.op(Op::dims, {}, {{AttributeName::dims, shape.dims()}});
}

Value* flatten(Builder& builder, Value* x, int64_t axis) {
  const Shape& shape = x->type().shape;
  if (shape.ranked()) {
    const size_t k = resolve_axis(axis, shape.rank(), true);
    if (k == 1 && shape.rank() == 2 && x->type().is_tensor()) return x;
    const auto head = constant_product(shape, 0, k),
               tail = constant_product(shape, k, shape.rank());
    if (head && tail) return reshape_exactly(builder, x, builder.ints({*head, *tail}));
    // A -1 beside a 0 has no answer; 0 alone copies an extent, known or not.
    if (tail && *tail > 0) return builder.reshape(x, {k == 1 ? 0 : -1, *tail});
    if (head && *head > 0) return builder.reshape(x, {*head, -1});
    axis = static_cast<int64_t>(k);
  }
  Value* parts[] = {extent_product(builder, x, 0, axis), extent_product(builder, x, axis)};
  Value* extents = builder.create(Op::concat, parts, {{AttributeName::axis, int64_t{0}}})->result();
  return reshape_exactly(builder, x, extents);
}

Value* merge_from(Builder& builder, Value* x, size_t axis) {
  const Shape& shape = x->type().shape;
  const auto tail = constant_product(shape, axis, shape.rank());
  if (tail && *tail > 0) {
    std::vector<int64_t> extents(axis, 0);
    extents.push_back(*tail);
    return builder.op(Op::reshape, {x, builder.ints(extents)});
  }
  const auto k = static_cast<int64_t>(axis);
  Value* parts[] = {
      builder.op(Op::shape, {x}, {{AttributeName::start, int64_t{0}}, {AttributeName::end, k}}),
      extent_product(builder, x, k)};
  Value* extents = builder.create(Op::concat, parts, {{AttributeName::axis, int64_t{0}}})->result();
  return reshape_exactly(builder, x, extents);
}

Value* reshape_like(Builder& builder, Value* x, Value* like) {
  if (x->type().shape.ranked() && x->type().shape == like->type().shape &&
      x->type().shape.is_static()) {
    return x;
  }
  return reshape_exactly(builder, x, extents_of(builder, like));
}

size_t resolve_axis(int64_t axis, size_t rank, bool allow_end) {
  const auto signed_rank = static_cast<int64_t>(rank);
  const int64_t last = allow_end ? signed_rank : signed_rank - 1;
  if (axis < -signed_rank || axis > last) {
    throw Error("axis out of range",
                "an axis in " + std::to_string(-signed_rank) + ".." + std::to_string(last),
                std::to_string(axis));
  }
  return static_cast<size_t>(axis < 0 ? axis + signed_rank : axis);
}

Value* require_shape_kept(Value* result, const Value* x, std::string_view what) {
  const Shape &found = result->type().shape, &expected = x->type().shape;
  if (!found.ranked() || !expected.ranked()) return result;
  bool kept = found.rank() == expected.rank();
  for (size_t i = 0; kept && i < found.rank(); ++i)
    kept = !provably_different(found[i], expected[i]);
  if (!kept) {
    throw Error(std::string(what) + " does not broadcast to the input", to_string(expected),
                to_string(found));
  }
  return result;
}

Value* axes_operand(NodeImport& node, int input_since) {
  if (node.opset() >= input_since) {
    require_at_most_inputs(node, 2);
    return node.optional_input(1);
  }
  require_at_most_inputs(node, 1);
  const auto axes = node.integers("axes");
  return axes ? node.builder().ints(*axes) : nullptr;
}

std::vector<Attribute> window_attributes(NodeImport& node, bool dilations) {
  std::vector<Attribute> result;
  if (auto strides = node.integers("strides")) {
    result.push_back({AttributeName::strides, std::move(*strides)});
  }
  if (dilations) {
    if (auto given = node.integers("dilations")) {
      result.push_back({AttributeName::dilations, std::move(*given)});
    }
  }
  const std::string auto_pad = node.string("auto_pad", "NOTSET");
  auto pads = node.integers("pads");
  if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    const std::string ours = auto_pad == "SAME_UPPER" ? "same_upper" : "same_lower";
    result.push_back({AttributeName::auto_pad, ours});
  } else if (auto_pad != "NOTSET" && auto_pad != "VALID") {
    node.unsupported("auto_pad = " + auto_pad);
  }
  if (pads && auto_pad == "NOTSET") {
    result.push_back({AttributeName::pads, std::move(*pads)});
  } else if (pads &&
             std::any_of(pads->begin(), pads->end(), [](int64_t pad) { return pad != 0; })) {
    throw Error("attributes pads and auto_pad contradict each other", "pads of 0", auto_pad);
  }
  return result;
}

std::vector<Attribute> convolution_attributes(NodeImport& node, const Value* weights) {
  check_kernel_shape(node, weights->type().shape);
  std::vector<Attribute> result = window_attributes(node, true);
  result.push_back({AttributeName::groups, node.integer("group", 1)});
  return result;
}

}  // namespace refrain::onnx_import
